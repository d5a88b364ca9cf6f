"""The site in real servers: every worker delivers, and no response waits for a vendor."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import django
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from sample_projects.local_sink import LocalSink
from tests.servers import Server

TWO_WORKERS = ("--workers", "2")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gunicorn", ("--worker-class", "sync")),
        ("gunicorn", ("--worker-class", "gthread", "--threads", "4")),
        ("uvicorn", ()),
    ],
    ids=["gunicorn sync", "gunicorn gthread", "uvicorn"],
)
def test_an_event_of_a_view_arrives_with_its_request(
    serve: Callable[..., Any], sink: LocalSink, kind: str, options: tuple[str, ...]
) -> None:
    with serve(kind, *options) as server:
        answer = requests.get(f"{server.url}/seen/door/?utm_source=news", headers={"User-Agent": "Test/1"}, timeout=10)
        (event,) = sink.wait_for(1)

    assert answer.text == "door"
    assert (event["event_type"], event["user_id"], event["user_agent"]) == ("Seen", "user-1", "Test/1")
    assert event["event_properties"].items() >= {"where": "door", "version": "1.0"}.items()
    assert event["event_properties"]["context"]["route"] == "seen/<str:where>/"


@pytest.mark.parametrize(
    "options",
    [
        (*TWO_WORKERS, "--worker-class", "sync"),
        (*TWO_WORKERS, "--worker-class", "gthread", "--threads", "2"),
        (*TWO_WORKERS, "--worker-class", "sync", "--preload"),
        (*TWO_WORKERS, "--worker-class", "gthread", "--threads", "2", "--preload"),
    ],
    ids=["sync", "gthread", "sync preload", "gthread preload"],
)
def test_scenario_1_every_gunicorn_worker_delivers(
    serve: Callable[..., Any], sink: LocalSink, options: tuple[str, ...]
) -> None:
    with serve("gunicorn", *options) as server:
        pids = pids_of_all_workers(server, 2)
        sink.wait_for(len(pids))

    assert sorted(event["event_properties"]["where"] for event in sink.events()) == sorted(f"pid {pid}" for pid in pids)


def test_scenario_1_every_uvicorn_worker_delivers(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("uvicorn", *TWO_WORKERS) as server:
        pids = pids_of_all_workers(server, 2)
        sink.wait_for(len(pids))

    assert sorted(event["event_properties"]["where"] for event in sink.events()) == sorted(f"pid {pid}" for pid in pids)


def test_scenario_8_a_worker_told_to_stop_delivers_what_it_accepted(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.script(status=503, times=1)  # it stops while it waits to try again
    with serve("gunicorn") as server:
        requests.get(f"{server.url}/seen/last/", timeout=10)
        sink.wait_for_requests(1)

        assert server.stop() == 0
    assert [event["event_properties"]["where"] for event in sink.wait_for(1)] == ["last"]


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_scenario_13_no_byte_of_a_response_waits_for_a_vendor_that_stalls(
    serve: Callable[..., Any], sink: LocalSink, kind: str
) -> None:
    sink.script(delay_s=8.0)
    with serve(kind) as server:
        requests.get(f"{server.url}/plain/", timeout=10)
        seconds = [
            time_to_last_byte(f"{server.url}{path}")
            for path in ("/seen/1/", "/seen/2/", "/stream/", "/file/", "/boom/")
        ]

    assert max(seconds) < 7.0


def test_scenario_57_a_vendor_that_is_down_changes_no_response(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.go_down()
    with serve("gunicorn") as server:
        answers = [requests.get(f"{server.url}/seen/{n}/", timeout=10) for n in range(20)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, str(n)) for n in range(20)]


@pytest.mark.parametrize("flush", ["after_response", "before_response"])
def test_flush_waits_a_bounded_time(serve: Callable[..., Any], sink: LocalSink, flush: str) -> None:
    with serve("gunicorn", FLUSH=flush, FLUSH_TIMEOUT=3) as server:
        requests.get(f"{server.url}/seen/quick/", timeout=10)
        requests.get(f"{server.url}/plain/", timeout=10)  # the one worker is free again: the first flush is over
        assert sink.count() == 1

        sink.script(delay_s=12.0)
        first_byte, last_byte = times_of_bytes(server, "/seen/slow/")

    assert last_byte < 9.0
    assert (first_byte > 2.9) == (flush == "before_response")


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_scenario_11_12_a_serverless_host_gets_what_was_said_before_it_answers(
    serve: Callable[..., Any], sink: LocalSink, kind: str
) -> None:
    with serve(kind, env={"K_SERVICE": "shop"}, FLUSH_TIMEOUT=8) as server:
        requests.get(f"{server.url}/seen/door/", timeout=10)

        assert sink.count() == 1


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_scenario_25_the_user_of_an_async_view_arrives(serve: Callable[..., Any], sink: LocalSink, kind: str) -> None:
    with serve(kind) as server, requests.Session() as session:
        session.get(f"{server.url}/sign-in/", timeout=10)
        answer = session.get(f"{server.url}/async-whoever/", timeout=10)
        session.get(f"{server.url}/async-stream/", timeout=10)
        events = {event["event_properties"]["where"]: event for event in sink.wait_for(5)}

    assert answer.headers.get("Vary") is None
    assert "user_id" not in events["before"]
    signed_in = {events[where]["user_id"] for where in ("after", "waiting", "first chunk", "last chunk")}
    assert len(signed_in) == 1


def test_scenario_17_two_hundred_visitors_at_once_are_not_mixed_up(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("uvicorn") as server:
        with ThreadPoolExecutor(20) as pool:
            list(
                pool.map(
                    lambda n: requests.get(f"{server.url}/gathered/?n={n}&utm_source=s{n}", timeout=30), range(200)
                )
            )
        events = sink.wait_for(600)

    for event in events:
        number = event["event_properties"]["where"]
        assert (event["user_id"], event["user_properties"]["utm_source"]) == (f"user-{number}", f"s{number}")


@pytest.mark.skipif(django.VERSION < (5, 0), reason="before 5.0 Django lets the view of a visitor who left go on")
def test_scenario_33_a_visitor_who_hangs_up_takes_no_call_along(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("uvicorn") as server:
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
            connection.sendall(b"GET /async-endless/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sink.wait_for(1)
        events = sink.wait_for(2)  # the one whose user was not known yet is stored when the view is cancelled
        assert requests.get(f"{server.url}/plain/", timeout=10).text == "plain"

    assert [event["event_properties"]["where"] for event in events] == ["known user", "waiting"]


def test_scenario_31_hostile_bytes_reach_the_view_and_the_sink_unharmed(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    with serve("gunicorn") as server:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=10)
        connection.putrequest("GET", "/seen/%ff%fe/?utm_source=%ff&utm_medium=%00", skip_host=True)
        connection.putheader("Host", "localhost")
        connection.putheader("User-Agent", b"\xff\xfe" + b"x" * 5000)
        connection.putheader("Cookie", b"AMP_a=%%%; ph_a_posthog=[; ajs_anonymous_id=\xff")
        connection.putheader("X-Forwarded-For", "', --, ::1%, [")
        connection.endheaders()
        assert connection.getresponse().status == 200
        (event,) = sink.wait_for(1)

    assert len(event["user_agent"]) == 512
    assert event["user_properties"]["utm_source"] == "\ufffd"


def pids_of_all_workers(server: Server, workers: int) -> list[int]:
    """Visits until every worker answered; who answered each visit."""
    pids: list[int] = []
    deadline = time.monotonic() + 30
    with requests.Session() as session:  # uvicorn says where it listens before a worker does
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=100, backoff_factor=0.05, backoff_max=0.2)))
        session.get(f"{server.url}/plain/", timeout=10)
    with ThreadPoolExecutor(8) as pool:
        while len(set(pids)) < workers:
            assert time.monotonic() < deadline, f"only {set(pids)} answered"
            pids.extend(pool.map(lambda _: int(requests.get(f"{server.url}/pid/", timeout=10).text), range(8)))
    return pids


def time_to_last_byte(url: str) -> float:
    started = time.monotonic()
    requests.get(url, timeout=10)
    return time.monotonic() - started


def times_of_bytes(server: Server, path: str) -> tuple[float, float]:
    """Seconds to the first byte of a response and to its last, as its length says."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=10)
    started = time.monotonic()
    connection.request("GET", path)
    response = connection.getresponse()
    first_byte = time.monotonic() - started
    response.read()
    return first_byte, time.monotonic() - started
