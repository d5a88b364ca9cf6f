"""The retry table: what each answer, and each failure to get one, is decided to mean. On real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Any

import pytest

from itly_core.call import Call, encode_call
from itly_core.delivery.sender import HttpSender, Item
from itly_core.delivery.source import Entry
from itly_core.options import AmplitudeOptions, SegmentOptions
from itly_core.wire import Bisect, Hold, Ok, Outcome, Reject, Retry, RetrySome, Split
from sample_projects.local_sink import LocalSink


def decided(vendor: str, url: str, *, calls: int = 2, timeout_s: float = 10.0) -> Outcome:
    """What becomes of one request."""
    options = {
        "amplitude": lambda: AmplitudeOptions(api_key="AK", endpoint=url),
        "segment": lambda: SegmentOptions(write_key="WK", endpoint=url),
    }[vendor]()
    sender = HttpSender(options.build({}, "production"), timeout_s)
    items = []
    for n in range(calls):
        call = Call(
            kind="track", name="Seen", message_id=f"m-{n}", timestamp=datetime.now(timezone.utc), user_id=f"user-{n}"
        )
        items.append(Item(Entry(encode_call(call)), 0.0, sender.pieces(call)))
    try:
        return sender.send(items)
    finally:
        sender.close(is_final=True)


def shape(outcome: Outcome) -> str:
    """An outcome as the table names it."""
    match outcome:
        case Retry(throttled=True, ambiguous=True):
            return "throttled, ambiguous"
        case Retry(throttled=True):
            return "throttled"
        case Retry(ambiguous=True):
            return "retry, ambiguous"
        case _:
            return type(outcome).__name__.lower()


EVERYWHERE = {
    200: "ok",
    202: "ok",
    301: "hold",
    302: "hold",
    303: "hold",
    307: "hold",
    308: "hold",
    400: "bisect",
    401: "hold",
    402: "reject",
    404: "hold",
    405: "hold",
    408: "retry, ambiguous",
    413: "split",
    415: "hold",
    422: "bisect",
    425: "retry",
    429: "throttled",
    451: "reject",
    500: "retry, ambiguous",
    502: "retry, ambiguous",
    503: "retry",
    504: "retry, ambiguous",
    520: "retry, ambiguous",
    524: "retry, ambiguous",
    529: "retry, ambiguous",
}
OWN = {
    # Amplitude's firewall answers 403 to what one event holds; Segment means the key.
    "amplitude": {403: "bisect", 410: "hold", 501: "reject"},
    "segment": {403: "hold", 410: "retry, ambiguous", 460: "retry, ambiguous", 501: "reject", 511: "retry, ambiguous"},
}
ROWS = [
    (vendor, status, expected)
    for vendor, own in OWN.items()
    for status, expected in sorted({**EVERYWHERE, **own}.items())
]


@pytest.mark.parametrize(("vendor", "status", "expected"), ROWS)
def test_each_status_has_its_decision(sink: LocalSink, vendor: str, status: int, expected: str) -> None:
    url = sink.amplitude_url if vendor == "amplitude" else sink.segment_url
    sink.script(status=status, times=1, headers={"Location": f"{sink.url}/elsewhere"})

    assert shape(decided(vendor, url)) == expected
    assert [request.path for request in sink.requests] == [url.removeprefix(sink.url)]  # one request, not followed


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("vendor", ["amplitude", "segment"])
def test_a_vendor_says_when_to_come_again(sink: LocalSink, vendor: str, status: int) -> None:
    """T8: in seconds, and as a date by the vendor's own clock; a date in the past and nonsense say nothing."""
    url = sink.amplitude_url if vendor == "amplitude" else sink.segment_url
    now_s = time.time()
    asked: list[Any] = [
        ("45", 45.0),
        (formatdate(now_s + 50, usegmt=True), 50.0),
        (formatdate(now_s - 50, usegmt=True), 0.0),
        ("soon", None),
        ("86400", 300.0),
    ]
    least_s = 30.0 if (vendor, status) == ("amplitude", 429) else 0.0
    for value, expected_s in asked:
        sink.script(status=status, headers={"Retry-After": value}, times=1)
        outcome = decided(vendor, url)

        assert isinstance(outcome, Retry)
        assert outcome.throttled == (status == 429 or expected_s is not None)
        assert outcome.after_s == pytest.approx(max(expected_s or 0.0, least_s), abs=5.0) or expected_s is None
        assert not outcome.ambiguous


def test_an_invalid_key_is_no_poisoned_call(sink: LocalSink) -> None:
    """T10: Amplitude answers 400 to it."""
    sink.script(status=400, body={"code": 400, "error": "Invalid API key: AK"})

    assert shape(decided("amplitude", sink.amplitude_url)) == "hold"
    assert shape(decided("amplitude", sink.amplitude_url, calls=1)) == "hold"


def test_a_call_refused_alone_is_refused_for_good(sink: LocalSink) -> None:
    sink.script(status=400)

    assert isinstance(decided("amplitude", sink.amplitude_url, calls=1), Reject)
    assert isinstance(decided("amplitude", sink.amplitude_url, calls=2), Bisect)


def test_named_calls_are_refused_and_the_rest_is_sent_again(sink: LocalSink) -> None:
    """T9: index lists of every kind."""
    bodies = [
        {"events_with_invalid_fields": {"time": [1]}},
        {"events_with_missing_fields": {"event_type": [1]}},
        {"events_with_invalid_id_lengths": {"user_id": [1]}},
        {"silenced_events": [1]},
    ]
    for body in bodies:
        sink.script(status=400, body={"code": 400, "error": "bad", **body}, times=1)
        outcome = decided("amplitude", sink.amplitude_url, calls=3)

        assert isinstance(outcome, RetrySome)
        assert set(outcome.rejected) == {1}
        assert outcome.retry == {0: 0.0, 2: 0.0}


def test_a_throttled_user_waits_and_the_others_do_not(sink: LocalSink) -> None:
    """T8: and one over the daily quota waits a day."""
    body = {"code": 429, "error": "Too many requests", "throttled_users": {"user-1": 31}, "throttled_events": [1]}
    sink.script(status=429, body=body, times=1)
    assert decided("amplitude", sink.amplitude_url, calls=3) == RetrySome(
        {0: 0.0, 1: 30.0, 2: 0.0}, reason="Too many requests"
    )

    body = {"code": 429, "error": "Too many requests", "exceeded_daily_quota_users": {"user-2": 500_001}}
    sink.script(status=429, body=body, times=1)
    assert decided("amplitude", sink.amplitude_url, calls=3) == RetrySome(
        {0: 0.0, 1: 0.0, 2: 86_400.0}, reason="Too many requests"
    )


@pytest.mark.parametrize("body", ["<html>sign in</html>", " \n<!doctype html>"], ids=["html", "doctype"])
@pytest.mark.parametrize("vendor", ["amplitude", "segment"])
def test_a_portal_that_answers_200_is_not_the_vendor(sink: LocalSink, vendor: str, body: str) -> None:
    sink.script(status=200, body=body, headers={"Content-Type": "text/html"})
    url = sink.amplitude_url if vendor == "amplitude" else sink.segment_url

    assert isinstance(decided(vendor, url), Retry)


def test_half_an_answer_of_a_vendor_that_speaks_json_is_none(sink: LocalSink) -> None:
    sink.script(status=200, body='{"code": 200, "events_inge')

    assert shape(decided("amplitude", sink.amplitude_url)) == "retry, ambiguous"


# No answer at all


def test_a_refused_connection_changed_nothing(sink: LocalSink) -> None:
    sink.go_down()

    assert shape(decided("amplitude", sink.amplitude_url)) == "retry"


def test_an_unknown_host_changed_nothing() -> None:
    assert shape(decided("amplitude", "http://vendor.invalid/2/httpapi")) == "retry"


def test_a_host_that_speaks_no_tls_changed_nothing(sink: LocalSink) -> None:
    assert shape(decided("amplitude", sink.amplitude_url.replace("http:", "https:"))) == "retry"


@pytest.mark.parametrize("fault", [{"reset": True}, {"swallow": True}], ids=["before", "after"])
def test_a_connection_cut_after_the_request_leaves_in_doubt_whether_it_was_taken(
    sink: LocalSink, fault: dict[str, bool]
) -> None:
    """T11"""
    sink.script(**fault)

    assert shape(decided("amplitude", sink.amplitude_url)) == "retry, ambiguous"


def test_a_late_answer_leaves_in_doubt_whether_it_was_taken(sink: LocalSink) -> None:
    """T11"""
    sink.script(delay_s=30.0)

    assert shape(decided("amplitude", sink.amplitude_url, timeout_s=0.2)) == "retry, ambiguous"


class Raw:
    """A server that reads a request, sends some bytes, and hangs up, or does not."""

    def __init__(self, answer: bytes, *, drips: bytes = b"") -> None:
        self._answer = answer
        self._drips = drips
        self._ends = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/2/httpapi"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join(10.0)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            try:
                connection.sendall(self._answer)
                while self._drips and not self._ends.wait(0.02):
                    connection.sendall(self._drips)
            except OSError:
                pass  # the client has had enough


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> Iterator[Raw]:
    server = Raw(**request.param)
    yield server
    server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"answer": b""}, id="nothing"),
        pytest.param({"answer": b"SSH-2.0-OpenSSH_9.2\r\n"}, id="no HTTP"),
        pytest.param({"answer": HEAD + b"Content-Length: 100\r\n\r\n{"}, id="cut body"),
        pytest.param({"answer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"}, id="cut chunk"),
        pytest.param({"answer": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"}, id="no chunk"),
        pytest.param({"answer": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n{}{}"}, id="no gzip"),
    ],
    indirect=True,
)
def test_an_answer_cut_or_broken_leaves_in_doubt_whether_it_was_taken(raw: Raw) -> None:
    assert shape(decided("amplitude", raw.url)) == "retry, ambiguous"


@pytest.mark.parametrize(
    "raw",
    [pytest.param({"answer": HEAD + b"Content-Length: 100000\r\n\r\n", "drips": b" "}, id="drips")],
    indirect=True,
)
def test_an_answer_that_trickles_in_for_ever_is_given_up(raw: Raw) -> None:
    outcome = decided("amplitude", raw.url, timeout_s=0.5)

    assert shape(outcome) == "retry, ambiguous"


@pytest.mark.parametrize(
    "raw",
    [pytest.param({"answer": b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * (8 << 20)}, id="endless")],
    indirect=True,
)
def test_of_an_endless_answer_only_the_beginning_is_read(raw: Raw) -> None:
    assert shape(decided("amplitude", raw.url)) == "retry, ambiguous"


def test_an_answer_without_a_fault_is_a_delivery(sink: LocalSink) -> None:
    assert decided("amplitude", sink.amplitude_url) == Ok()
    assert isinstance(decided("segment", sink.segment_url), Ok)
    assert shape(Split()) == "split"
    assert shape(Hold("")) == "hold"
