"""What a request of the Flask site starts beside itself, in real workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sample_projects.local_sink import Event, LocalSink
from tests.flask import tasks
from tests.flask.conftest import ROOT, SETTINGS
from tests.servers import Process

NOTHING_ELSE = ("user-9", None, None, None)  # of a task that names its user, and that no request started


@pytest.fixture
def work_off(package_dir: Path, sink: LocalSink, redis_socket: Path) -> Callable[..., Any]:
    """Starts a worker of the site whose calls nothing sends but the end of its process."""
    tasks.use_redis(str(redis_socket))

    @contextmanager
    def working(*command: str) -> Iterator[Process]:
        given = {
            **SETTINGS,
            "ENVIRONMENT": "production",
            "DESTINATIONS": {"amplitude": {"api_key": "AK", "endpoint": sink.amplitude_url}},
            "DELIVERY": {"MODE": "memory", "FLUSH_INTERVAL": 600},
        }
        paths = {"PYTHONPATH": f"{package_dir}:{ROOT}", "SITE_ITLY": json.dumps(given)}
        with Process(command, cwd=package_dir, env={**paths, "SITE_REDIS": str(redis_socket)}) as process:
            yield process

    return working


def start(client: Any, how: str, where: str) -> None:
    assert client.get(f"/start/{how}/{where}?utm_source=news", headers={"X-Request-ID": "request-7"}).status_code == 200


def known_of(event: Event) -> tuple[Any, ...]:
    """The user, the browser, the request and the campaign that an event is told to be of."""
    request_id = event["event_properties"].get("context", {}).get("request_id")
    return event.get("user_id"), event.get("device_id"), request_id, event.get("user_properties", {}).get("utm_source")


def known_by_place(sink: LocalSink) -> dict[str, tuple[Any, ...]]:
    return {event["event_properties"]["where"]: known_of(event) for event in sink.events()}


def test_a_task_of_celery_knows_the_request_that_started_it_and_its_worker_delivers_at_its_end(
    create_app: Callable[..., Any], work_off: Callable[..., Any], sink: LocalSink
) -> None:
    client = create_app().test_client()
    client.set_cookie("ajs_anonymous_id", "browser-7")
    client.post("/sign-in/jane")
    start(client, "task", "before")
    tasks.STARTERS["task"]("no request", "user-9")
    start(client, "task of a task", "inner")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    with work_off(
        "celery", "-A", "tests.flask.tasks", "worker", "-l", "info", "-Q", "flask", "--concurrency", "1", *alone
    ) as process:
        process.wait_for_lines("succeeded in", 4, timeout_s=60)

        assert process.stop() == 0
    jane = ("jane", "browser-7", "request-7", "news")
    assert known_by_place(sink) == {"before": jane, "inner": jane, "no request": NOTHING_ELSE}


def test_a_job_of_rq_knows_the_request_that_started_it_and_delivers_before_its_process_ends(
    create_app: Callable[..., Any], work_off: Callable[..., Any], sink: LocalSink, redis_socket: Path
) -> None:
    client = create_app().test_client()
    client.set_cookie("ajs_anonymous_id", "browser-7")
    client.post("/sign-in/jane")
    start(client, "job", "job")
    tasks.STARTERS["job"]("no request", "user-9")
    with work_off(
        "rq.cli", "worker", "-u", f"unix://{redis_socket}", "--job-class", "itly_web.rq.ItlyJob", "--burst", "flask"
    ) as process:
        assert process.wait(60) == 0

    jane = ("jane", "browser-7", "request-7", "news")
    assert known_by_place(sink) == {"job": jane, "no request": NOTHING_ELSE}
