"""What a request starts beside itself, in real workers: its calls are the request's, and the worker's end loses none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from itly_core.testing import Recorder
from itly_web.carried import KEY, carry
from sample_projects.local_sink import Event, LocalSink
from tests.django.conftest import environment, manage, run, to_sink
from tests.django_site import tasks
from tests.servers import Process

Worker = Callable[..., Any]
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
IN_SPOOL = {"MODE": "spool"}
NOTHING_ELSE = ("user-9", None, None)  # of a task that names its user, and that no request started


@pytest.fixture(scope="module")
def make_worker(site_dir: Path, redis_socket: Path) -> Worker:
    """Starts a worker of the site: `with make_worker(sink, "celery", "--pool", "solo") as process`."""
    tasks.use_redis(str(redis_socket))

    @contextmanager
    def working(sink: LocalSink, kind: str, *options: str, **settings: Any) -> Iterator[Process]:
        if kind == "celery":
            command = ["celery", "-A", "tests.django_site.tasks", "worker", "-l", "info", *ALONE, *options]
        else:
            command = [
                "rq.cli",
                "worker",
                "-u",
                f"unix://{redis_socket}",
                "--job-class",
                "itly_web.rq.ItlyJob",
                *options,
            ]
        given = environment(site_dir, to_sink(sink, **settings), SITE_REDIS=str(redis_socket))
        names = ("PYTHONPATH", "SITE_DIR", "SITE_ITLY", "DJANGO_SETTINGS_MODULE", "SITE_REDIS")
        with Process(command, cwd=site_dir, env={name: given[name] for name in names}) as process:
            process.wait_for_line(r"ready\.$|Listening on", timeout_s=60)
            yield process

    return working


@pytest.fixture(scope="module")
def worker_sink(make_worker: Worker) -> Iterator[LocalSink]:
    """Where one child of a Celery worker sends; one, so that every task runs where the one before it ran."""
    with LocalSink() as sink, make_worker(sink, "celery", "--concurrency", "1"):
        yield sink


@pytest.fixture
def visitor(client: Client, jane: Any) -> Client:
    """Jane, in a browser that a vendor's library knows."""
    client.force_login(jane)
    client.cookies["ajs_anonymous_id"] = "browser-7"
    return client


def start(client: Client, how: str, where: str, does: str = "look") -> None:
    """Visit the page that starts tasks. does: what else its view does."""
    query = {"how": how, "where": where, does: "1", "utm_source": "news"}
    assert client.get("/start/", query, headers={"X-Request-ID": "request-7"}).status_code == 200


def arrived(sink: LocalSink, *places: str) -> list[Event]:
    """The first event of each place, as soon as all are there."""
    while not set(places) <= (found := {place_of(event): event for event in reversed(sink.events())}).keys():
        sink.wait_for(sink.count() + 1, timeout_s=30)
    return [found[place] for place in places]


def place_of(event: Event) -> str:
    return str(event["event_properties"]["where"])


def known_of(event: Event) -> tuple[Any, Any, Any]:
    """The user, the request and the campaign that an event is told to be of."""
    context = event["event_properties"].get("context", {})
    return event.get("user_id"), context.get("request_id"), event.get("user_properties", {}).get("utm_source")


@pytest.mark.parametrize(
    ("how", "places"),
    [
        ("delay", [""]),
        ("later", [""]),
        ("group", [" 0", " 1"]),
        ("chain", [" 0", " 1"]),
        ("retry", [" 0", " 1"]),
        ("failing", [""]),
        ("task of a task", [""]),
    ],
)
def test_scenario_6_a_task_knows_the_request_that_started_it(
    worker_sink: LocalSink, visitor: Client, jane: Any, how: str, places: list[str]
) -> None:
    start(visitor, how, f"knows {how}")
    events = arrived(worker_sink, *(f"knows {how}{place}" for place in places))

    assert {known_of(event) for event in events} == {(str(jane.pk), "request-7", "news")}
    assert {event["device_id"] for event in events} == {"browser-7"}
    assert not any("ip" in event for event in events)


def test_a_task_that_no_request_started_knows_none_though_others_ran_before_it(
    worker_sink: LocalSink, visitor: Client
) -> None:
    for number in range(3):
        start(visitor, "failing" if number == 1 else "delay", f"leak {number}")
        tasks.work_of.delay("user-9", f"no request {number}")
    events = arrived(worker_sink, *(f"no request {number}" for number in range(3)))

    assert [known_of(event) for event in events] == [NOTHING_ELSE] * 3
    assert not any("device_id" in event for event in events)


def test_tasks_of_a_visitor_nobody_knows_share_the_anonymous_id_of_its_request(
    worker_sink: LocalSink, client: Client, recorder: Recorder, db: None
) -> None:
    start(client, "group", "unknown", does="call")
    events = arrived(worker_sink, "unknown 0", "unknown 1")

    assert {event["device_id"] for event in events} == {recorder.calls[0].anonymous_id}


def test_starting_a_task_does_not_read_the_user(
    worker_sink: LocalSink, visitor: Client, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        start(visitor, "delay", "unread", does="nothing")
    (event,) = arrived(worker_sink, "unread")

    assert known_of(event) == (None, "request-7", "news")


def test_a_task_that_names_its_user_is_not_given_an_id_made_up_for_its_request(
    worker_sink: LocalSink, client: Client
) -> None:
    tasks.work_of.apply_async(("user-9", "named"), headers={"headers": {KEY: {"spare_id": "made-up"}}})
    (event,) = arrived(worker_sink, "named")

    assert event["user_id"] == "user-9"
    assert "device_id" not in event


def test_a_message_is_data_and_no_more_of_it_counts_than_ids_request_and_campaign(worker_sink: LocalSink) -> None:
    hostile = [
        "text",
        ["list"],
        {"user_id": 7, "anonymous_id": [], "request_id": {"source": "x"}, "campaign": "text", "spare_id": {}},
        {"user_id": "u" * 100_000, "request_id": "", "campaign": {str(n): "x" for n in range(10_000)}},
        {"ip": "10.1.2.3", "user_agent": "x", "path": "/x", "context": {"a": 1}},
    ]
    for number, carried in enumerate(hostile):
        tasks.work_of.apply_async(("user-9", f"hostile {number}"), headers={"headers": {KEY: carried}})
    tasks.work_of.apply_async(("user-9", f"hostile {len(hostile)}"), headers={"headers": "text"})
    sent = {KEY: {"user_id": "user-3", "request_id": "a\nb", "campaign": {"source": "s\x1b", "other": "x"}}}
    tasks.work.apply_async(("half good",), headers={"headers": sent})
    events = arrived(worker_sink, *(f"hostile {number}" for number in range(len(hostile) + 1)))
    (half_good,) = arrived(worker_sink, "half good")

    assert {known_of(event) for event in events} == {NOTHING_ELSE}
    assert not any(name in event for event in events for name in ("ip", "user_agent"))
    assert not any("context" in event["event_properties"] for event in events)
    assert known_of(half_good) == ("user-3", "a\ufffdb", "s\ufffd")


def test_headers_of_the_site_stay_with_its_task(worker_sink: LocalSink, visitor: Client) -> None:
    starters = {**tasks.STARTERS, "headers": lambda where: tasks.tell_headers.apply_async(headers={"x-team": where})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "STARTERS", starters)
        start(visitor, "headers", "blue")

    arrived(worker_sink, "x-team is blue")


@pytest.mark.usefixtures("make_worker")  # Celery keeps to the broker it was first used with
@pytest.mark.parametrize("how", ["delay", "retry", "chain", "task of a task"])
def test_a_task_run_at_once_is_part_of_its_request(visitor: Client, jane: Any, recorder: Recorder, how: str) -> None:
    tasks.app.conf.task_always_eager = True
    try:
        start(visitor, how, "eager")
        tasks.work_of.delay("user-9", "outside")
    finally:
        tasks.app.conf.task_always_eager = False
    *calls, outside = recorder.calls

    assert {(call.user_id, call.context["route"]) for call in calls} == {(str(jane.pk), "start/")}
    assert (outside.user_id, outside.context) == ("user-9", {})


@pytest.mark.parametrize("pool", ["threads", pytest.param("gevent", marks=pytest.mark.torture)])
def test_every_pool_keeps_the_requests_of_its_tasks_apart(
    make_worker: Worker, sink: LocalSink, client: Client, pool: str
) -> None:
    with make_worker(sink, "celery", "-Q", pool, "--pool", pool, "--concurrency", "4"):
        for number in range(40):
            client.cookies["ajs_anonymous_id"] = f"browser-{number}"
            start(client, "own queue", f"{pool}/{number}")
        events = sink.wait_for(40, timeout_s=30)

    assert {place_of(event): event["device_id"] for event in events} == {
        f"{pool}/{number}": f"browser-{number}" for number in range(40)
    }


def test_scenario_6_7_children_that_did_their_share_or_are_told_to_stop_deliver_what_their_tasks_said(
    make_worker: Worker, sink: LocalSink, client: Client
) -> None:
    in_memory = {"MODE": "memory", "FLUSH_INTERVAL": 600}  # nothing but a child's end has it send
    options = ("-Q", "share", "--concurrency", "1", "--max-tasks-per-child", "2")
    with make_worker(sink, "celery", *options, DELIVERY=in_memory) as process:
        for number in range(5):
            start(client, "own queue", f"share/{number}")
        sink.wait_for(4, timeout_s=60)  # of two children that did their share
        until_tasks_are_done(process, 5)
        assert sink.count() == 4

        assert process.stop() == 0
    assert sorted(map(place_of, sink.events())) == [f"share/{number}" for number in range(5)]


def test_scenario_8_what_a_worker_could_not_deliver_is_in_the_spool(
    make_worker: Worker, sink: LocalSink, client: Client, site_dir: Path, tmp_path: Path
) -> None:
    settings = {"DELIVERY": IN_SPOOL, "SPOOL_DIR": str(tmp_path / "spool"), "SHUTDOWN_TIMEOUT": 0.1}
    sink.go_down()
    with make_worker(sink, "celery", "-Q", "spool", "--concurrency", "2", **settings) as process:
        for number in range(10):
            start(client, "own queue", f"spool/{number}")
        until_tasks_are_done(process, 10)
        process.stop()
    sink.go_up()
    shipped = manage("itly_worker", "--once", "--timeout", "30", cwd=site_dir, settings=to_sink(sink, **settings))

    assert shipped.returncode == 0, shipped.stderr
    assert sorted(map(place_of, sink.events())) == [f"spool/{number}" for number in range(10)]


def test_a_job_of_rq_knows_the_request_that_started_it_and_delivers_before_its_process_ends(
    make_worker: Worker, sink: LocalSink, visitor: Client, jane: Any
) -> None:
    in_memory = {"MODE": "memory", "FLUSH_INTERVAL": 600}
    start(visitor, "job", "job")
    start(visitor, "failing job", "failing")
    tasks.queue().enqueue(tasks.job, "no request", "user-9")
    for carried in ("text", {"user_id": 7, "campaign": 7}):
        tasks.queue().enqueue(tasks.job, f"hostile {type(carried).__name__}", "user-9", meta={KEY: carried})
    with make_worker(sink, "rq", "--burst", DELIVERY=in_memory) as process:
        assert process.wait(60) == 0
    events = {place_of(event): event for event in sink.events()}

    known = (str(jane.pk), "request-7", "news")
    assert {place: known_of(event) for place, event in events.items()} == {
        "job": known,
        "failing 1": known,
        "failing 0": known,
        "no request": NOTHING_ELSE,
        "hostile str": NOTHING_ELSE,
        "hostile dict": NOTHING_ELSE,
    }


@pytest.mark.torture
def test_what_jobs_of_rq_could_not_deliver_is_in_the_spool(
    make_worker: Worker, sink: LocalSink, client: Client, site_dir: Path, tmp_path: Path
) -> None:
    settings = {"DELIVERY": IN_SPOOL, "SPOOL_DIR": str(tmp_path / "spool")}
    sink.script(status=401)
    for number in range(3):
        start(client, "job", str(number))
    with make_worker(sink, "rq", "--burst", **settings) as process:
        assert process.wait(60) == 0
    sink.heal()
    shipped = manage("itly_worker", "--once", "--timeout", "30", cwd=site_dir, settings=to_sink(sink, **settings))

    assert shipped.returncode == 0, shipped.stderr
    assert sorted(map(place_of, sink.events())) == ["0", "1", "2"]


def until_tasks_are_done(process: Process, count: int) -> None:
    """Awaits that many lines about tasks that succeeded."""
    process.wait_for_lines(r"succeeded in", count, timeout_s=60)


def test_meta_of_the_site_is_not_changed(make_worker: Worker, visitor: Client) -> None:
    meta = {"team": "blue"}
    starters = {**tasks.STARTERS, "meta": lambda where: tasks.queue("other").enqueue(tasks.job, where, meta=meta)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "STARTERS", starters)
        start(visitor, "meta", "meta")
    (job,) = tasks.queue("other").jobs

    assert meta == {"team": "blue"}
    assert job.meta.keys() == {"team", KEY}


def test_a_process_of_the_sites_own_is_handed_what_it_may_know(
    site_dir: Path, sink: LocalSink, visitor: Client, jane: Any
) -> None:
    handed: list[Any] = []
    starters = {**tasks.STARTERS, "own": lambda where: handed.append(carry())}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "STARTERS", starters)
        start(visitor, "own", "own")
    code = f"""
import json, django
django.setup()
import site_events as itly
from itly_web.carried import bound
with bound(json.loads({json.dumps(json.dumps(handed[0]))})):
    itly.seen(where="inside")
with bound(None):
    itly.seen("user-9", where="handed nothing")
"""
    run(code, cwd=site_dir, settings=to_sink(sink))
    events = {place_of(event): known_of(event) for event in sink.events()}

    assert events == {"inside": (str(jane.pk), "request-7", "news"), "handed nothing": NOTHING_ELSE}
