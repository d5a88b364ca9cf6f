"""The extension in real servers: every worker delivers, and no response waits for a vendor."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sample_projects.local_sink import LocalSink
from tests.flask.conftest import serving
from tests.servers import Server

TWO_WORKERS = ("--workers", "2")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("flask", ()),
        ("gunicorn", ("--worker-class", "sync")),
        ("gunicorn", ("--worker-class", "gthread", "--threads", "4")),
    ],
    ids=["development server", "gunicorn sync", "gunicorn gthread"],
)
def test_an_event_of_a_view_arrives_with_its_request(
    serve: Callable[..., Any], sink: LocalSink, kind: str, options: tuple[str, ...]
) -> None:
    with serve(kind, *options) as server:
        answer = requests.get(f"{server.url}/seen/door?utm_source=news", headers={"User-Agent": "Test/1"}, timeout=10)
        (event,) = sink.wait_for(1)

    assert answer.text == "door"
    assert (event["event_type"], event["user_id"]) == ("Seen", "user-1")
    assert event["event_properties"].items() >= {"where": "door", "version": "1.0"}.items()
    assert event["user_agent"] == "Test/1"


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
def test_scenario_1_every_worker_delivers(serve: Callable[..., Any], sink: LocalSink, options: tuple[str, ...]) -> None:
    with serve("gunicorn", *options) as server:
        pids = pids_of_all_workers(server, 2)
        sink.wait_for(len(pids))

    assert {event["event_properties"]["where"] for event in sink.events()} == {f"pid {pid}" for pid in set(pids)}
    assert len(sink.events()) == len(pids)


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_scenario_43_two_apps_in_one_process_use_a_key_each(
    serve: Callable[..., Any], sink: LocalSink, options: tuple[str, ...]
) -> None:
    with serve("gunicorn", *options, app="tests.flask.two_apps:application") as server:
        for path in ("/seen/a", "/second/seen/b", "/seen/c", "/second/seen/d"):
            requests.get(f"{server.url}{path}", timeout=10)
        sink.wait_for(4)

    by_key: dict[str, set[str]] = {}
    for request in sink.requests:
        places = {event["event_properties"]["where"] for event in request.events}
        by_key.setdefault(json.loads(request.body)["api_key"], set()).update(places)
    assert by_key == {"first-key": {"a", "c"}, "second-key": {"b", "d"}}


def test_scenario_8_a_worker_told_to_stop_delivers_what_it_accepted(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.script(status=503, times=1)  # it stops while it waits to try again
    with serve("gunicorn") as server:
        requests.get(f"{server.url}/seen/last", timeout=10)
        sink.wait_for_requests(1)

        assert server.stop() == 0
    assert [event["event_properties"]["where"] for event in sink.wait_for(1)] == ["last"]


def test_scenario_13_no_byte_of_a_response_waits_for_a_vendor_that_stalls(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.script(delay_s=8.0)
    with serve("gunicorn") as server:
        seconds = [
            time_to_last_byte(f"{server.url}{path}") for path in ("/seen/1", "/seen/2", "/stream", "/file", "/nobody")
        ]

    assert max(seconds) < 7.0


@pytest.mark.parametrize("kind", ["GET", "HEAD"])
def test_a_response_is_the_same_to_the_byte_with_and_without_the_extension(
    serve: Callable[..., Any], kind: str
) -> None:
    paths = ("/plain", "/private", "/missing", "/loads")
    with serve("gunicorn") as server:
        with_extension = [raw_answer(server.url, kind, path) for path in paths]
    with serve("gunicorn", env={"SITE_BARE": "1"}) as server:
        without = [raw_answer(server.url, kind, path) for path in paths]

    assert with_extension == without


def test_scenario_11_before_response_delivers_before_the_answer_is_there(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    with serve("gunicorn", FLUSH="before_response", FLUSH_TIMEOUT=5) as server:
        requests.get(f"{server.url}/seen/frozen", timeout=10)

        assert sink.count() == 1


def test_scenario_11_12_a_serverless_host_is_recognised(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("gunicorn", env={"K_SERVICE": "shop"}, FLUSH_TIMEOUT=5) as server:
        requests.get(f"{server.url}/seen/frozen", timeout=10)

        assert sink.count() == 1


def test_before_response_waits_no_longer_than_its_timeout(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.script(delay_s=12.0)
    with serve("gunicorn", FLUSH="before_response", FLUSH_TIMEOUT=3) as server:
        assert 3.0 <= time_to_last_byte(f"{server.url}/seen/slow") < 9.0
        assert time_to_last_byte(f"{server.url}/plain") < 3.0  # nothing sent, nothing awaited


def test_scenario_65_after_response_waits_when_the_body_is_out(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.script(delay_s=8.0)
    with serve("gunicorn", FLUSH="after_response", FLUSH_TIMEOUT=12) as server:
        first = time_to_last_byte(f"{server.url}/seen/slow", close=False)
        started = time.monotonic()
        requests.get(f"{server.url}/plain", timeout=30)
        second = time.monotonic() - started

    assert first < 7.0
    assert second > 0.5  # the only worker was still waiting for the vendor


def test_scenario_14_a_file_is_delivered_after_although_it_never_says_it_was_sent(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    with serve("gunicorn", FLUSH="after_response") as server:
        assert len(requests.get(f"{server.url}/file", timeout=10).content) == 100_000
        assert sink.wait_for(1)[0]["event_properties"]["where"] == "file"


def test_production_without_a_destination_says_so_at_the_first_event(serve: Callable[..., Any]) -> None:
    with serve("gunicorn", DESTINATIONS={}) as server:
        assert requests.get(f"{server.url}/seen/nowhere", timeout=10).text == "nowhere"

        server.wait_for_line("events go nowhere")


@pytest.fixture(scope="module")
def site_sink() -> Iterator[LocalSink]:
    with LocalSink() as running:
        yield running


@pytest.fixture(scope="module")
def running_site(package_dir: Path, site_sink: LocalSink) -> Iterator[Server]:
    with serving(package_dir, site_sink, "gunicorn", "--worker-class", "gthread", "--threads", "4") as server:
        yield server


@pytest.fixture
def site(running_site: Server, site_sink: LocalSink) -> Server:
    """One gthread server for all tests that only look at what a route sends."""
    site_sink.forget()
    return running_site


def test_scenario_34_events_of_a_streamed_body_carry_its_request(site: Server, site_sink: LocalSink) -> None:
    answer = requests.get(f"{site.url}/stream", timeout=10)
    events = site_sink.wait_for(3)

    assert answer.text == "one two"
    assert [event["event_properties"]["where"] for event in events] == ["before", "first chunk", "last chunk"]
    assert len({event["device_id"] for event in events}) == 1


def test_scenario_34_events_of_a_body_outside_the_request_context_arrive(site: Server, site_sink: LocalSink) -> None:
    answer = requests.get(f"{site.url}/bare-stream", timeout=10)

    assert answer.text == "one two"
    assert site_sink.wait_for(1)[0]["event_properties"]["where"] == "outside"


def test_scenario_35_an_abandoned_body_costs_nobody_anything(site: Server, site_sink: LocalSink) -> None:
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
    site_sink.wait_for(1)

    assert requests.get(f"{site.url}/plain", timeout=10).text == "plain"


def test_a_thread_with_the_request_context_sends_as_its_request(site: Server, site_sink: LocalSink) -> None:
    requests.get(f"{site.url}/thread", timeout=10)
    events = site_sink.wait_for(2)

    assert {event["event_properties"]["where"] for event in events} == {"view", "thread"}
    assert len({event["device_id"] for event in events}) == 1


def test_an_async_view_sends_as_its_request(site: Server, site_sink: LocalSink) -> None:
    with requests.Session() as browser:
        browser.post(f"{site.url}/sign-in/user-7", timeout=10)
        site_sink.wait_for(2)
        browser.get(f"{site.url}/async", timeout=10)
        event = site_sink.wait_for(3)[2]

    assert (event["event_properties"]["where"], event["user_id"]) == ("async", "user-7")


def test_scenario_36_an_event_before_an_error_is_delivered(site: Server, site_sink: LocalSink) -> None:
    answer = requests.get(f"{site.url}/boom", timeout=10)

    assert answer.status_code == 500
    assert site_sink.wait_for(1)[0]["event_properties"]["where"] == "boom"


def test_scenario_50_an_event_that_breaks_the_plan_is_no_error_of_the_page(site: Server, site_sink: LocalSink) -> None:
    answer = requests.get(f"{site.url}/invalid", timeout=10)

    assert (answer.status_code, answer.text) == (200, "invalid")
    assert site_sink.wait_for(1)[0]["event_properties"]["where"] == 7
    site.wait_for_line("'Seen' breaks the tracking plan: where")


def test_scenario_30_a_bad_host_changes_nothing(site: Server, site_sink: LocalSink) -> None:
    answer = requests.get(f"{site.url}/seen/host", headers={"Host": "bad_host:99999999"}, timeout=10)

    assert answer.status_code == 200
    assert site_sink.wait_for(1)


def test_scenario_48_nothing_is_sent_that_no_view_sent(site: Server, site_sink: LocalSink) -> None:
    for method in ("OPTIONS", "HEAD", "GET"):
        requests.request(method, f"{site.url}/plain", timeout=10)
    requests.get(f"{site.url}/seen/only", timeout=10)

    assert [event["event_properties"]["where"] for event in site_sink.wait_for(1)] == ["only"]


def test_requests_at_once_do_not_mix_users(site: Server, site_sink: LocalSink) -> None:
    def visit(number: int) -> None:
        with requests.Session() as browser:
            browser.post(f"{site.url}/sign-in/user-{number}", timeout=30)
            for _ in range(5):
                browser.get(f"{site.url}/whoever", headers={"User-Agent": f"agent-{number}"}, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(16)))
    events = [event for event in site_sink.wait_for(16 * 7) if event["event_properties"]["where"] == "whoever"]

    assert len(events) == 80
    assert all(event["user_id"].removeprefix("user-") == event["user_agent"].removeprefix("agent-") for event in events)


def time_to_last_byte(url: str, *, close: bool = True) -> float:
    """Seconds until the whole body is there, as its Content-Length says."""
    started = time.monotonic()
    with requests.get(
        url, stream=True, timeout=20, headers={"Connection": "close" if close else "keep-alive"}
    ) as answer:
        size = int(answer.headers.get("Content-Length", 0))
        _ = answer.raw.read(size) if size else answer.content
        return time.monotonic() - started


def raw_answer(url: str, method: str, path: str) -> bytes:
    """Everything the server sends, but for the time of day, which a session cookie is signed with as well."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    received = re.sub(rb"(session=[^.;]+)\.[^;]+", rb"\1", received)
    return b"\r\n".join(line for line in received.split(b"\r\n") if not line.lower().startswith(b"date:"))


def pids_of_all_workers(server: Server, workers: int) -> list[str]:
    """Visit until each worker answered; the pid of every answer."""
    pids: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        while len(set(pids)) < workers and len(pids) < 2000:
            answers = pool.map(lambda _: requests.get(f"{server.url}/pid", timeout=20).text, range(16))
            pids.extend(answers)
    return pids
