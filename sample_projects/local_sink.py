"""A vendor on this machine: an HTTP server that answers as Amplitude and Segment do, and can be told to misbehave.

    with LocalSink() as sink:
        ...                                           # point a destination's endpoint at sink.amplitude_url
        events = sink.wait_for(3, timeout_s=5)        # returns once three events were taken
        sink.script(status=503, times=2)              # the next two requests are refused

or as a program, for tests and people in other processes:

    python sample_projects/local_sink.py --port 0 --print --seconds 60

    GET    /_events[?vendor=NAME][&n=COUNT&timeout_s=S]   what arrived; with n, waits until that many did
    POST   /_script  {"status": 503, "times": 2}          a fault, as the arguments of LocalSink.script
    DELETE /_script                                       no more faults
    DELETE /_events                                       forget what arrived

Listens on 127.0.0.1 only. Needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import gzip
import json
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Event = dict[str, Any]
Match = Callable[[Event], bool] | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave, and for which requests.

    path: only requests to this path; None: all. times: for that many requests; None: until cleared.
    above_bytes: only requests with a larger body (answers 413 unless `status` says otherwise).
    match: only requests holding an event that matches: a callable, or fields the event must have (nested). Answers 400
        unless `status` says otherwise, naming the events' indexes in Amplitude's form while `named` is true.
    delay_s: wait before anything else. A fault with nothing but a delay is followed by the usual answer.
    reset: the connection is reset before the events are taken. swallow: they are taken, then the connection is reset.
    outage_s: the port refuses connections for that long, from this request on.
    """

    path: str | None = None
    times: int | None = None
    above_bytes: int | None = None
    match: Match | None = None
    named: bool = True
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay_s: float = 0.0
    reset: bool = False
    swallow: bool = False
    outage_s: float | None = None

    def hits(self, path: str, size: int, events: Sequence[Event]) -> bool:
        return (
            self.path in (None, path)
            and (self.above_bytes is None or size > self.above_bytes)
            and (self.match is None or any(matches(self.match, event) for event in events))
        )

    @property
    def answer_status(self) -> int | None:
        """The status this fault answers with; None where it leaves the answer alone."""
        if self.status is not None:
            return self.status
        if self.match is not None:
            return 400
        return 413 if self.above_bytes is not None else None


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request. `events` are those taken; `refused` were in it and were not. status 0: no answer was given."""

    vendor: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    events: Sequence[Event]
    refused: Sequence[Event]
    connection: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back, and which of the request's events count as taken (by index)."""

    status: int
    body: Any
    taken: Sequence[int]
    headers: Mapping[str, str] = field(default_factory=dict)


class LocalSink:
    """A running sink. `keep=False` counts events and forgets them, for measurements."""

    def __init__(
        self, port: int = 0, *, keep: bool = True, on_event: Callable[[str, Event], None] | None = None
    ) -> None:
        self._keep = keep
        self._on_event = on_event
        self._changed = threading.Condition()
        self._requests: list[Received] = []
        self._counts: dict[str, int] = {}
        self._faults: list[Fault] = []
        self._closing = threading.Event()
        self._server = _Server(self, port)
        self.port: int = self._server.server_address[1]
        self._server.start()

    def __enter__(self) -> LocalSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening and cuts open connections. What arrived can still be read."""
        self._closing.set()
        self._server.stop()

    # Where to send

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def amplitude_url(self) -> str:
        return f"{self.url}/2/httpapi"

    @property
    def amplitude_batch_url(self) -> str:
        return f"{self.url}/batch"

    @property
    def segment_url(self) -> str:
        return f"{self.url}/v1/batch"

    # What arrived

    @property
    def requests(self) -> list[Received]:
        """Every request so far, refused ones too, in the order they were answered."""
        with self._changed:
            return list(self._requests)

    def events(self, where: str | None = None) -> list[Event]:
        """The events taken, in order, duplicates included. where: a vendor's name, or a path; None: all."""
        return [event for request in self.requests if _is_at(request, where) for event in request.events]

    def count(self, where: str | None = None) -> int:
        """How many events were taken. where: as in `events`."""
        with self._changed:
            return self._count(where)

    def wait_for(self, n: int, timeout_s: float = 10.0, where: str | None = None) -> list[Event]:
        """The events taken so far, as soon as there are n.

        Raises:
            TimeoutError: there were fewer in time; says how many, and how requests were answered.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(where) >= n, timeout_s):
                statuses = [request.status for request in self._requests]
                raise TimeoutError(
                    f"{self._count(where)} of {n} events after {timeout_s} s; {len(statuses)} requests,"
                    f" last answers {statuses[-10:]}"
                )
        return self.events(where)

    def wait_for_requests(self, n: int, timeout_s: float = 10.0) -> list[Received]:
        """Every request so far, as soon as n were answered (or refused, or reset).

        Raises:
            TimeoutError: there were fewer in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= n, timeout_s):
                raise TimeoutError(f"{len(self._requests)} of {n} requests after {timeout_s} s")
            return list(self._requests)

    def forget(self) -> None:
        """As if nothing had arrived."""
        with self._changed:
            self._requests.clear()
            self._counts.clear()

    # How to misbehave

    def script(self, **fault: Any) -> None:
        """Adds a fault, with the fields of Fault. `retry_after` is short for 429 with that header.

        Every fault that fits a request applies its delay; the first one with an answer decides it.
        """
        retry_after = fault.pop("retry_after", None)
        if retry_after is not None:
            fault = {"status": 429, "headers": {"Retry-After": str(retry_after)}, **fault}
        with self._changed:
            self._faults.append(Fault(**fault))

    def heal(self) -> None:
        """No more faults; a sink that was down is up again."""
        with self._changed:
            self._faults.clear()
        self.go_up()

    def go_down(self) -> None:
        """An outage: the port refuses connections, open ones are cut."""
        self._server.stop()
        if not self._closing.is_set():
            self._server = _Server(self, self.port)  # bound and not listening: nobody else gets the port

    def go_up(self) -> None:
        """Ends an outage."""
        if not self._closing.is_set():
            self._server.start()

    # For the handler

    def pause(self, seconds: float) -> None:
        """Waits, but not longer than this sink lives."""
        self._closing.wait(seconds)

    def faults_for(self, path: str, size: int, events: Sequence[Event]) -> list[Fault]:
        """The faults that apply to a request, each used up by one."""
        with self._changed:
            fitting = []
            for index, fault in enumerate(self._faults):
                if fault.times != 0 and fault.hits(path, size, events):
                    fitting.append(fault)
                    if fault.times is not None:
                        self._faults[index] = _used(fault)
                    if _decides(fault):
                        break
            return fitting

    def store(self, received: Received) -> None:
        with self._changed:
            counts = self._counts
            for key in ("", received.vendor, received.path):
                counts[key] = counts.get(key, 0) + len(received.events)
            if self._keep:
                self._requests.append(received)
            self._changed.notify_all()
        if self._on_event is not None:
            for event in received.events:
                self._on_event(received.vendor, event)

    def _count(self, where: str | None) -> int:
        return self._counts.get(where or "", 0)


# What a vendor answers. Pure.


def vendor_of(path: str) -> str:
    """Whose endpoint a path is; "generic" for all others."""
    return {"/2/httpapi": "amplitude", "/batch": "amplitude", "/v1/batch": "segment"}.get(path, "generic")


def decode(body: bytes, headers: Mapping[str, str]) -> Any:
    """The JSON of a body: plain, gzipped, newline-delimited, or in the `data` field of a form.

    Raises:
        ValueError: it is none of these.
    """
    if headers.get("content-encoding", "").lower() == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as exc:
            raise ValueError("not gzip") from exc
    kind = headers.get("content-type", "")
    if "x-www-form-urlencoded" in kind:
        return [json.loads(value) for value in parse_qs(body.decode("utf-8")).get("data", [])]
    if "ndjson" in kind:
        return [json.loads(line) for line in body.splitlines() if line.strip()]
    return json.loads(body)


def events_in(document: Any) -> list[Event]:
    """The events of a request's JSON, wherever this vendor keeps them."""
    if isinstance(document, list):
        return [event for item in document for event in (item if isinstance(item, list) else [item])]
    if isinstance(document, dict):
        for key in ("events", "batch", "data"):
            if isinstance(document.get(key), list):
                return list(document[key])
        return [document]
    return []


def answer(path: str, headers: Mapping[str, str], size: int, document: Any) -> Answer:
    """How the vendor behind this path answers a request that reached it. document: None where it is not JSON."""
    vendor = vendor_of(path)
    if vendor == "amplitude":
        return _amplitude(document, size, max_bytes=20_000_000 if path == "/batch" else 1_000_000)
    if vendor == "segment":
        return _segment(headers, document, size)
    if document is None:
        return Answer(status=400, body={"error": "not JSON"}, taken=())
    return Answer(status=200, body={"status": 1, "success": True}, taken=range(len(events_in(document))))


def _amplitude(document: Any, size: int, max_bytes: int) -> Answer:
    """HTTP V2 and Batch: amplitude.com/docs/apis/analytics/http-v2."""
    if size > max_bytes:
        return Answer(status=413, body={"code": 413, "error": "Payload too large"}, taken=())
    if not isinstance(document, dict):
        return Answer(status=400, body={"code": 400, "error": "Invalid JSON request body"}, taken=())
    for name in ("api_key", "events"):
        if not document.get(name):
            body = {"code": 400, "error": "Request missing required field", "missing_field": name}
            return Answer(status=400, body=body, taken=())
    events = document["events"]
    if len(events) > 2000:
        return Answer(status=413, body={"code": 413, "error": "Too many events in request"}, taken=())
    bad = _amplitude_faults(events, min_length=(document.get("options") or {}).get("min_id_length", 5))
    if any(bad.values()):
        return Answer(status=400, body={"code": 400, "error": "Request has invalid events", **bad}, taken=())
    now_ms = int(time.time() * 1000)
    body = {"code": 200, "events_ingested": len(events), "payload_size_bytes": size, "server_upload_time": now_ms}
    return Answer(status=200, body=body, taken=range(len(events)))


def _amplitude_faults(events: Sequence[Event], min_length: int) -> dict[str, dict[str, list[int]]]:
    """{"events_with_…": {field: [indexes]}}, as HTTP V2 names the events it refuses."""
    missing: dict[str, list[int]] = {}
    invalid: dict[str, list[int]] = {}
    short: dict[str, list[int]] = {}
    for index, event in enumerate(events):
        if not event.get("event_type"):
            missing.setdefault("event_type", []).append(index)
        ids = {name: event[name] for name in ("user_id", "device_id") if event.get(name) is not None}
        if not ids and event.get("event_type") != "$groupidentify":
            missing.setdefault("user_id", []).append(index)
        for name, value in ids.items():
            if not isinstance(value, str):
                invalid.setdefault(name, []).append(index)
            elif len(value) < min_length:
                short.setdefault(name, []).append(index)
        if "time" in event and type(event["time"]) is not int:
            invalid.setdefault("time", []).append(index)
        for name in ("event_properties", "user_properties", "group_properties", "groups"):
            if not isinstance(event.get(name, {}), dict):
                invalid.setdefault(name, []).append(index)
    return {
        "events_with_missing_fields": missing,
        "events_with_invalid_fields": invalid,
        "events_with_invalid_id_lengths": short,
    }


def _segment(headers: Mapping[str, str], document: Any, size: int) -> Answer:
    """Segment's /v1/batch: a 200 says "taken for processing" and hides what it silently refuses."""
    if not isinstance(document, dict) or not isinstance(document.get("batch"), list):
        return Answer(status=400, body={"success": False, "message": "malformed JSON"}, taken=())
    if size > 500_000:
        return Answer(status=400, body={"success": False, "message": "request too large"}, taken=())
    if not (document.get("writeKey") or headers.get("authorization")):
        return Answer(status=401, body={"success": False, "message": "write key required"}, taken=())
    batch = document["batch"]
    taken = [index for index, message in enumerate(batch) if _segment_takes(message)] if len(batch) <= 2500 else []
    return Answer(status=200, body={"success": True}, taken=taken)


def _segment_takes(message: Event) -> bool:
    known = message.get("type") in ("track", "identify", "group", "page", "screen", "alias")
    named = message.get("type") != "track" or bool(message.get("event"))
    return known and named and bool(message.get("userId") or message.get("anonymousId") or message.get("previousId"))


def matches(match: Match, event: Event) -> bool:
    """Whether an event is meant by `Fault.match`."""
    return _has(event, match) if isinstance(match, Mapping) else bool(match(event))


def _has(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(value, dict) and all(key in value and _has(value[key], wanted[key]) for key in wanted)
    return bool(value == wanted)


def faulty_answer(fault: Fault, status: int, vendor: str, events: Sequence[Event]) -> Answer:
    """The answer a fault gives in the vendor's place."""
    body = fault.body
    if body is None and fault.match is not None and fault.named and vendor == "amplitude":
        indexes = [index for index, event in enumerate(events) if matches(fault.match, event)]
        named = {"events_with_invalid_fields": {"event_properties": indexes}}
        body = {"code": status, "error": "Request has invalid events", **named}
    elif body is None:
        body = {"code": status, "error": "Invalid JSON request body" if status == 400 else f"scripted {status}"}
    return Answer(status=status, body=body, taken=range(len(events)) if status < 300 else (), headers=fault.headers)


def _decides(fault: Fault) -> bool:
    return fault.reset or fault.swallow or fault.outage_s is not None or fault.answer_status is not None


def _used(fault: Fault) -> Fault:
    return Fault(**{**vars(fault), "times": (fault.times or 0) - 1})


def _is_at(request: Received, where: str | None) -> bool:
    return where is None or where in (request.vendor, request.path)


# The edge


class _Server(ThreadingHTTPServer):
    """Bound at once, listening between start() and stop()."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sink: LocalSink, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler, bind_and_activate=False)
        self.sink = sink
        self.open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        self.server_bind()

    def server_bind(self) -> None:
        # HTTPServer.server_bind also asks the resolver for this host's name, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        host, port = self.socket.getsockname()
        self.server_address, self.server_name, self.server_port = (host, port), host, port

    def start(self) -> None:
        if self._thread is None:
            self.server_activate()
            self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="local-sink", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        try:
            # Closing is not enough: a child that is just being forked holds a copy, which would listen on.
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it did not listen
        self.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its client has gone already

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that went away is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "local-sink"
    disable_nagle_algorithm = True
    wbufsize = -1  # status, headers and body leave in one packet
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/_events":
            self._tell(parse_qs(parts.query))
        else:
            self._reply(200 if parts.path == "/" else 404, {"sink": self.server.sink.url})

    def do_DELETE(self) -> None:
        if self.path == "/_script":
            self.server.sink.heal()
        elif self.path == "/_events":
            self.server.sink.forget()
        self._reply(200 if self.path in ("/_script", "/_events") else 404, {})

    def do_POST(self) -> None:
        sink = self.server.sink
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            document = decode(body, headers)
        except ValueError:
            document = None
        if path == "/_script":
            self._script(document)
            return
        events = [event for event in events_in(document) if isinstance(event, dict)]
        fault = Fault()
        for fault in sink.faults_for(path, len(body), events):
            sink.pause(fault.delay_s)
        if fault.outage_s is not None:
            self._outage(fault.outage_s)
        given = self._answer(fault, path, headers, len(body), document, events)
        silent = fault.reset or fault.swallow or fault.outage_s is not None
        taken = set() if fault.reset or fault.outage_s is not None else set(given.taken)
        received = Received(
            vendor=vendor_of(path),
            path=path,
            status=0 if silent else given.status,
            headers=headers,
            body=body,
            events=[event for index, event in enumerate(events) if index in taken],
            refused=[event for index, event in enumerate(events) if index not in taken],
            connection=f"{self.client_address[0]}:{self.client_address[1]}",
        )
        sink.store(received)  # before the answer, so that whoever got the answer finds the events here
        if silent:
            self._reset()
        else:
            self._reply(given.status, given.body, given.headers)

    def _answer(
        self, fault: Fault, path: str, headers: Mapping[str, str], size: int, document: Any, events: Sequence[Event]
    ) -> Answer:
        status = fault.answer_status
        if status is None:
            return answer(path, headers, size, document)
        return faulty_answer(fault, status, vendor_of(path), events)

    def _tell(self, query: Mapping[str, list[str]]) -> None:
        sink = self.server.sink
        vendor = query["vendor"][0] if "vendor" in query else None
        late = False
        if "n" in query:
            try:
                sink.wait_for(int(query["n"][0]), float(query.get("timeout_s", ["10"])[0]), vendor)
            except TimeoutError:
                late = True
        shown = [request for request in sink.requests if _is_at(request, vendor)]
        self._reply(
            408 if late else 200,
            {
                "count": sink.count(vendor),
                "events": [
                    {"vendor": request.vendor, "path": request.path, "event": event}
                    for request in shown
                    for event in request.events
                ],
                "requests": [
                    {"vendor": item.vendor, "path": item.path, "status": item.status, "events": len(item.events)}
                    for item in shown
                ],
            },
        )

    def _script(self, document: Any) -> None:
        try:
            for fault in document if isinstance(document, list) else [document]:
                self.server.sink.script(**fault)
        except TypeError as exc:
            self._reply(400, {"error": str(exc)})
        else:
            self._reply(200, {})

    def _outage(self, seconds: float) -> None:
        sink = self.server.sink

        def take_down() -> None:
            sink.go_down()
            sink.pause(seconds)
            sink.go_up()

        threading.Thread(target=take_down, name="local-sink-outage", daemon=True).start()

    def _reply(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        chosen = {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(payload))}
        for name, value in chosen.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def _reset(self) -> None:
        """Ends the connection with RST, as a crashed server or a broken proxy does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    def log_message(self, *_: Any) -> None:
        pass


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A local HTTP sink that answers as Amplitude and Segment do.")
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one, which the first line tells")
    parser.add_argument("--print", action="store_true", dest="prints", help="print every event as one line of JSON")
    parser.add_argument("--count-only", action="store_true", help="count events and forget them")
    parser.add_argument("--seconds", type=float, help="stop after that long (default: until interrupted)")
    arguments = parser.parse_args(argv)

    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    show = _print_event if arguments.prints else None
    with LocalSink(arguments.port, keep=not arguments.count_only, on_event=show) as sink:
        print(f"listening on {sink.url}", flush=True)
        done.wait(arguments.seconds)
    return 0


def _print_event(vendor: str, event: Event) -> None:
    print(json.dumps({"vendor": vendor, "event": event}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
