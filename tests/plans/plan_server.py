"""A web server in this process that answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class PlanServer:
    """Answers each path, or each path with its query, as the test says, and remembers how it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.headers: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                outer.asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = outer.answers.get(self.path) or outer.answers.get(self.path.partition("?")[0])
                (answer or send(b"", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def send(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:  # the client had enough
            pass
        handler.close_connection = True

    return answer


def send_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return send(json.dumps(value).encode(), status, Content_Type="application/json", **headers)
