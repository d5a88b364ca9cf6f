"""The vendor of the benchmarks: takes requests as fast as Python can, answers what every client accepts, reads later.

Alone in its own process, so that what it costs is not measured. `POST /stall` is taken and never answered;
`GET /count` answers how many different events arrived; `DELETE /` forgets them. Prints its port on the first line.
"""

from __future__ import annotations

import asyncio
import base64
import re
from urllib.parse import unquote_plus

ANSWER_BODY = b'{"code":200,"status":1,"success":true,"error":null}'
PROCESS_ID = re.compile(rb"p-\d{8}")
SNOWPLOW_BASE64 = re.compile(rb'"ue_px":\s*"([^"]+)"')


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def process_ids(body: bytes) -> set[bytes]:
    """The events in a request of any of the vendors."""
    encoded = SNOWPLOW_BASE64.findall(body)
    if encoded:
        return {found for text in encoded for found in PROCESS_ID.findall(base64.urlsafe_b64decode(text + b"=="))}
    if body.startswith(b"data="):
        body = unquote_plus(body.decode()).encode()
    return set(PROCESS_ID.findall(body))


class Sink(asyncio.Protocol):
    bodies: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take_request():
            pass

    def _take_request(self) -> bool:
        """One whole request off the buffer, if it is there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if b"100-continue" in head or len(self._buffer) < end + 4 + size:
            return False
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        self._answer(head.split(b" ", 2), body)
        return True

    def _answer(self, request_line: list[bytes], body: bytes) -> None:
        method, path = request_line[0], request_line[1]
        if method == b"GET" and path == b"/count":
            count = len(set().union(*map(process_ids, self.bodies)))
            self._transport.write(answer(b"%d" % count))  # type: ignore[attr-defined]
        elif method == b"DELETE":
            self.bodies.clear()
            self._transport.write(answer(b"{}"))  # type: ignore[attr-defined]
        elif path != b"/stall":
            self.bodies.append(body)
            self._transport.write(answer(ANSWER_BODY))  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
