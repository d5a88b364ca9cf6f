"""The site in uWSGI and in gevent, which have their own ideas of threads, forks and exits."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sample_projects.local_sink import LocalSink
from tests.django.conftest import manage, to_sink
from tests.django.test_servers import pids_of_all_workers

FORKS_WELL = ("--enable-threads", "--py-call-uwsgi-fork-hooks")
LOADS_LATE = ("--enable-threads", "--lazy-apps")


def places(sink: LocalSink) -> list[str]:
    return sorted(event["event_properties"]["where"] for event in sink.events())


@pytest.mark.parametrize(
    "options", [FORKS_WELL, pytest.param(LOADS_LATE, marks=pytest.mark.torture)], ids=["fork hooks", "lazy apps"]
)
def test_scenario_1_5_every_uwsgi_worker_delivers(
    serve: Callable[..., Any], sink: LocalSink, options: tuple[str, ...]
) -> None:
    with serve("uwsgi", "--processes", "2", *options) as server:
        pids = pids_of_all_workers(server, 2)
        sink.wait_for(len(pids))

        assert "uWSGI runs without threads" not in server.output
        assert "uWSGI forks" not in server.output
    assert places(sink) == sorted(f"pid {pid}" for pid in pids)


def test_scenario_5_a_uwsgi_without_threads_says_so_once_and_the_spool_keeps_the_calls(
    serve: Callable[..., Any], sink: LocalSink, tmp_path: Any
) -> None:
    settings = {"DELIVERY": {"MODE": "spool", "SHUTDOWN_TIMEOUT": 0.1}, "SPOOL_DIR": str(tmp_path / "spool")}
    with serve("uwsgi", "--processes", "1", **settings) as server:
        answers = [requests.get(f"{server.url}/seen/{number}/", timeout=10).text for number in range(3)]
        server.wait_for_line("uWSGI runs without threads: add --enable-threads")

        assert server.output.count("uWSGI runs without threads") == 1
        server.kill()
    shipped = manage("itly_worker", "--once", "--timeout", "30", cwd=tmp_path, settings=to_sink(sink, **settings))

    assert answers == ["0", "1", "2"]
    assert shipped.returncode == 0, shipped.stderr
    assert places(sink) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.torture)], ids=["stopped", "reloaded"]
)
def test_scenario_8_a_uwsgi_worker_told_to_end_delivers_what_it_accepted(
    serve: Callable[..., Any], sink: LocalSink, number: signal.Signals
) -> None:
    sink.script(status=503, times=1)  # it is told while it waits to try again
    with serve("uwsgi", "--processes", "1", *LOADS_LATE) as server:
        requests.get(f"{server.url}/seen/last/", timeout=10)
        sink.wait_for_requests(1)

        server.send(number)
        sink.wait_for(1, timeout_s=30)
    assert places(sink) == ["last"]


@pytest.mark.torture
def test_scenario_22_visitors_are_not_mixed_up_between_greenlets(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("gunicorn", "--worker-class", "gevent") as server:
        with ThreadPoolExecutor(20) as pool:
            list(
                pool.map(
                    lambda n: requests.get(f"{server.url}/taking-turns/?n={n}&utm_source=s{n}", timeout=30), range(100)
                )
            )
        events = sink.wait_for(300, timeout_s=30)

    for event in events:
        number = event["event_properties"]["where"]
        assert (event["user_id"], event["user_properties"]["utm_source"]) == (f"user-{number}", f"s{number}")


def test_scenario_8_a_gevent_worker_told_to_end_delivers_what_it_accepted(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.script(delay_s=1.0, times=1)  # it is told while the first request is under way
    with serve("gunicorn", "--worker-class", "gevent") as server:
        for number in range(5):
            requests.get(f"{server.url}/seen/{number}/", timeout=10)

        assert server.stop() == 0
    assert places(sink) == ["0", "1", "2", "3", "4"]
