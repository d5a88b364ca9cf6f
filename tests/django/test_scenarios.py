"""Ways in which an integration breaks a Django site, by the numbers of docs/web-scenarios.md; more are in the other files."""

from __future__ import annotations

import gc
import http.client
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
import pytest
import requests
from django.core import checks
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings

from itly_core.testing import Recorder
from itly_web.django.middleware import ItlyMiddleware
from itly_web.django.testing import recorder as current_recorder
from sample_projects.local_sink import LocalSink
from tests.django.conftest import SETTINGS, environment, run, serving, to_sink
from tests.django.test_commands import CALL, NEW, project  # noqa: F401  # a fixture
from tests.servers import Server

pytestmark = pytest.mark.django_db

AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


def where(recorder: Recorder) -> list[Any]:
    return [call.properties["where"] for call in recorder.calls]


def places(sink: LocalSink, vendor: str | None = None) -> list[Any]:
    return [event["event_properties"]["where"] for event in sink.events(vendor)]


def test_scenario_5_uwsgi_without_threads_is_a_warning_of_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", type("uwsgi", (), {"opt": {b"lazy-apps": True}, "numproc": 2}))
    (message,) = checks.run_checks(tags=["itly"])

    assert message.id == "itly.W004"
    assert "--enable-threads" in message.msg
    assert message.hint


def test_scenario_8_a_killed_worker_loses_nothing_it_accepted(
    serve: Callable[..., Any], sink: LocalSink, tmp_path: Path
) -> None:
    sink.script(status=503)
    spooled = {"DELIVERY": {"MODE": "spool", "FLUSH_INTERVAL": 0.2}, "SPOOL_DIR": str(tmp_path / "spool")}
    with serve("uvicorn", **spooled) as server:
        for number in range(20):
            requests.get(f"{server.url}/seen/{number}/", timeout=10)
        server.kill()
    sink.heal()
    body = "site_events.seen('user-1', where='after'); site_events.flush(20)"
    run(CALL.format(body=body), cwd=tmp_path, settings=to_sink(sink, **spooled))

    assert sorted(places(sink)) == sorted([*map(str, range(20)), "after"])


def test_scenario_8_a_worker_that_is_replaced_after_some_requests_loses_nothing(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    with serve("gunicorn", "--max-requests", "5") as server:
        for number in range(8):
            requests.get(f"{server.url}/seen/{number}/", timeout=20)
        sink.wait_for(8)

    assert sorted(places(sink)) == sorted(map(str, range(8)))


@pytest.fixture(scope="module")
def site_sink() -> Iterator[LocalSink]:
    with LocalSink() as running:
        yield running


@pytest.fixture(scope="module")
def running_site(site_dir: Path, site_sink: LocalSink) -> Iterator[Server]:
    vendors = {
        "amplitude": {"api_key": "AK", "endpoint": site_sink.amplitude_url},
        "segment": {"write_key": "WK", "endpoint": site_sink.segment_url},
    }
    with serving(site_dir, site_sink, "gunicorn", DESTINATIONS=vendors) as server:
        yield server


@pytest.fixture
def site(running_site: Server, site_sink: LocalSink) -> Server:
    """One server for all tests that only look at what arrives."""
    site_sink.forget()
    return running_site


def test_scenario_14_a_file_is_delivered_after(site: Server, site_sink: LocalSink) -> None:
    assert len(requests.get(f"{site.url}/file/", timeout=10).content) == 100_000
    site_sink.wait_for(2)

    assert "file" in places(site_sink, "amplitude")


def test_scenario_28_lazy_values_are_what_they_promise(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    response = client.get("/lazy-values/")
    first, second, third = recorder.calls

    assert response.content == b"lazy"
    assert (first.user_id, dict(first.properties)) == (str(jane.pk), {"where": "Home", "count": 3, "version": "1.0"})
    assert second.properties["where"] == "jane"
    assert third.traits == {"plan": "pro"}
    assert [call.violations for call in recorder.calls] == [(), (), ()]


def test_scenario_29_a_body_read_as_a_stream_is_whole(site: Server, site_sink: LocalSink) -> None:
    body = os.urandom(100_000)
    answer = requests.post(f"{site.url}/raw-body/", data=body, timeout=10)
    site_sink.wait_for(2)

    assert answer.content == body


SECRETS = {
    "cookie": "sessionid=SECRET-session; csrftoken=SECRET-csrf; ajs_user_id=SECRET-user; other=SECRET-cookie",
    "authorization": "Bearer SECRET-bearer",
    "x-csrftoken": "SECRET-csrf",
    "x-api-key": "SECRET-key",
    "referer": "https://SECRET-name:SECRET-word@shop.example/a?token=SECRET-referrer#SECRET-fragment",
    "proxy-authorization": "Basic SECRET-proxy",
}


def test_scenario_32_no_secret_of_a_request_leaves(site: Server, site_sink: LocalSink) -> None:
    with requests.Session() as browser:
        browser.get(f"{site.url}/sign-in/", timeout=10)
        query = "token=SECRET-reset&utm_source=news&email=SECRET@example.org&sig=SECRET-signature"
        browser.post(f"{site.url}/raw-body/?{query}", data="password=SECRET-word", headers=SECRETS, timeout=10)
        browser.get(f"{site.url}/whoever/?{query}", headers=SECRETS, timeout=10)
        site_sink.wait_for(10)
        sent = b"".join(request.body for request in site_sink.requests)
        key = browser.cookies["sessionid"]

    assert sent.count(b"news") >= 6  # to both vendors
    assert b"SECRET" not in sent
    assert key.encode() not in sent


@pytest.mark.django_db(transaction=True)
def test_scenario_37_an_error_page_of_atomic_requests_takes_its_calls_along(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with override_settings(ITLY={**SETTINGS, "AFTER_COMMIT": True}):
        assert client.get("/boom/").status_code == 500
        client.get("/seen/kept/")

        assert where(current_recorder()) == ["kept"]


@pytest.mark.skipif(django.VERSION < (5, 0), reason="before 5.0 Django lets the view of a visitor who left go on")
def test_scenario_33_35_a_visitor_who_hangs_up_in_mid_stream_takes_no_call_along(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    with serve("uvicorn") as server:
        with requests.get(f"{server.url}/async-endless-stream/", stream=True, timeout=10) as answer:
            assert next(answer.iter_content(5)) == b"more "
        (event,) = sink.wait_for(1)
        assert requests.get(f"{server.url}/plain/", timeout=10).text == "plain"

    assert event["event_properties"]["where"] == "waiting for its user"


def test_scenario_37_after_the_commit_a_call_is_in_the_spool_at_once(tmp_path: Path, sink: LocalSink) -> None:
    sink.go_down()
    spool = tmp_path / "spool"
    body = f"""
import os, pathlib
from django.db import transaction
lines = lambda: b"".join(path.read_bytes() for path in pathlib.Path({str(spool)!r}).rglob("*") if path.is_file())
with transaction.atomic():
    site_events.seen("user-1", where="committed")
    print(b'"committed"' in lines(), flush=True)
print(b'"committed"' in lines(), flush=True)
os._exit(0)
"""
    settings = to_sink(sink, AFTER_COMMIT=True, DELIVERY={"MODE": "spool"}, SPOOL_DIR=str(spool))

    assert run(CALL.format(body=body), cwd=tmp_path, settings=settings).split() == ["False", "True"]


def test_scenario_38_without_the_middleware_calls_are_made_and_know_no_request(jane: Any) -> None:
    with override_settings(MIDDLEWARE=[SESSION, AUTH]):
        client = Client(raise_request_exception=False)
        client.force_login(jane)
        response = client.get("/seen/alone/")
        current_recorder().clear()
        client.get("/whoever/")
        calls = current_recorder().calls

    assert response.content == b"alone"
    assert [(call.user_id, dict(call.context)) for call in calls] == [(None, {})] * 2
    assert all(call.violations[0].path == "user_id" for call in calls)


def test_scenario_46_a_log_handler_that_makes_calls_breeds_none(tmp_path: Path, sink: LocalSink) -> None:
    body = """
import logging
class Tracking(logging.Handler):
    def emit(self, record):
        site_events.seen("user-1", where=record.name)
logging.basicConfig(level=logging.DEBUG, handlers=[Tracking()])
logging.getLogger("shop").info("one")
site_events.flush(10)
assert site_events.flush(10)
print(site_events.stats()["amplitude"]["dropped_by_reason"])
"""
    said = run(CALL.format(body=body), cwd=tmp_path, settings=to_sink(sink))

    assert places(sink) == ["shop"]
    assert said.startswith("{'recursion': ")  # what the sending of it logged


def test_scenario_47_a_site_that_is_its_own_vendor_does_not_feed_itself(serve: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"api_key": "AK", "endpoint": f"http://127.0.0.1:{port}/ingest/"}
    where = ("--bind", f"127.0.0.1:{port}", "--threads", "4")
    with serve("gunicorn", *where, DESTINATIONS={"amplitude": own}, EXCLUDE_PATHS=["/ingest/"]) as server:
        requests.get(f"{server.url}/seen/once/", timeout=10)
        stats: dict[str, Any] = {}
        while not stats.get("delivered"):
            stats = requests.get(f"{server.url}/stats/", timeout=10).json()["amplitude"]

    assert (stats["delivered"], stats["dropped"]) == (1, 1)  # the second is the one that its ingestion would have sent


def test_scenario_48_nothing_is_sent_that_no_view_sent(client: Client, recorder: Recorder) -> None:
    headers = {"sec-purpose": "prefetch", "origin": "https://shop.example", "access-control-request-method": "GET"}
    for method in ("options", "head", "get", "trace"):
        getattr(client, method)("/plain/", headers=headers)
    assert recorder.calls == []

    client.head("/seen/explicit/", headers=headers)
    assert where(recorder) == ["explicit"]


def test_scenario_49_a_call_keeps_its_id_however_often_it_is_sent(serve: Callable[..., Any], sink: LocalSink) -> None:
    sink.script(status=503, times=1)
    sink.script(swallow=True, times=1)  # taken, but the answer never came
    with serve("gunicorn") as server:
        requests.get(f"{server.url}/seen/once/", timeout=10)
        sink.wait_for_requests(3, timeout_s=30)

    sent = [json.loads(request.body)["events"][0] for request in sink.requests[:3]]
    assert len({event["insert_id"] for event in sent}) == 1
    assert len({event["time"] for event in sent}) == 1


def test_scenario_49_a_double_submit_is_one_event_where_the_site_names_it(client: Client, recorder: Recorder) -> None:
    import site_events

    def view(request: HttpRequest) -> HttpResponse:
        site_events.seen("user-1", where="paid", options=site_events.EventOptions(message_id="order-17"))
        return HttpResponse()

    for _ in range(2):
        ItlyMiddleware(view)(_get("/pay"))

    assert [call.message_id for call in recorder.calls] == ["order-17"] * 2  # vendors keep one of an id


INTERRUPTED = """
import os, pathlib, signal, sys
import django; django.setup()
from django.core.management import CommandError, call_command
call_command("itly_pull", "python", verbosity=0)
plan = pathlib.Path("plan.yaml")
text = plan.read_text()

def pull_until(moment):
    left = moment
    def audit(event, arguments):
        nonlocal left
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and "new_events" in str(arguments[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(audit)
    call_command("itly_pull", "python", verbosity=0)

def use():
    import new_events
    new_events._package.plan
    new_events.Seen(where="x")

def ended(function, *arguments):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        function(*arguments)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for moment in range(1, 100, 6):
    plan.write_text(text.replace("minimum: 0", f"minimum: {moment}"))
    pulled = ended(pull_until, moment)
    print(moment, pulled, ended(use))
    if pulled == 0:
        break
before = {path: path.read_bytes() for path in pathlib.Path("new_events").iterdir() if path.is_file()}
try:
    call_command("itly_pull", plan="http://127.0.0.1:1/plan.yaml")
except CommandError as exc:
    print("unreachable", exc.returncode)
call_command("itly_pull", "python", check=True)  # leaves when the package is not what the plan gives
print("unchanged", {path: path.read_bytes() for path in pathlib.Path("new_events").iterdir() if path.is_file()} == before)
"""


def test_scenario_52_a_pull_that_is_killed_or_finds_nobody_leaves_a_whole_package(
    project: Path,  # noqa: F811
) -> None:
    said = run(INTERRUPTED, cwd=project, settings=NEW, SITE_URLS="new_urls", PYTHONDONTWRITEBYTECODE="1")
    moments = [tuple(map(int, line.split())) for line in said.splitlines() if line[:1].isdigit()]

    assert [pulled for _, pulled, _ in moments] == [-signal.SIGKILL] * (len(moments) - 1) + [0]
    assert len(moments) > 3
    assert {used for *_, used in moments} == {0}  # the old one or the new one
    assert "unreachable 3\n" in said
    assert said.endswith("unchanged True\n")


def test_scenario_55_a_server_that_reloads_has_one_sender(site_dir: Path, sink: LocalSink, tmp_path: Path) -> None:
    watched = tmp_path / "watched_module.py"
    watched.write_text("")
    given = environment(site_dir, to_sink(sink), SITE_URLS="watched_urls")
    (tmp_path / "watched_urls.py").write_text("import watched_module\nfrom tests.django_site.urls import urlpatterns\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ("SITE_DIR", "SITE_ITLY", "DJANGO_SETTINGS_MODULE", "SITE_URLS")
    env = {name: given[name] for name in names} | {"PYTHONPATH": f"{tmp_path}:{given['PYTHONPATH']}"}
    with Server(["django", "runserver", f"127.0.0.1:{port}"], cwd=site_dir, env=env) as server:
        first = _pids_until(server.url, lambda pid: True)
        moments = itertools.count(2e9)

        def is_new(pid: int) -> bool:
            if pid in first:  # changed again and again: a change before the first look at the file is none
                os.utime(watched, (next(moments),) * 2)
            return pid not in first

        later = _pids_until(server.url, is_new)
        sink.wait_for(len(first) + len(later), timeout_s=20)
        threads = list(Path(f"/proc/{server.pid}/task").iterdir())

    assert sorted(places(sink)) == sorted(f"pid {pid}" for pid in [*first, *later])
    assert len(threads) == 1  # of the process that only watches files, which set the app up as well


def test_scenario_57_a_buffer_that_is_full_is_counted_and_delays_no_one(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.go_down()
    small = {"MODE": "memory", "MAX_BYTES": 4096, "FLUSH_INTERVAL": 0.2}
    with serve("gunicorn", DELIVERY=small) as server:
        answers = [requests.get(f"{server.url}/seen/{n}/", timeout=10) for n in range(60)]
        stats = requests.get(f"{server.url}/stats/", timeout=10).json()["amplitude"]

    assert {answer.status_code for answer in answers} == {200}
    assert stats["accepted"] == 60
    assert stats["dropped"] > 0
    assert stats["dropped"] + stats["queued"] + stats["in_flight"] + stats["parked"] + stats["dead"] == 60


def test_scenario_58_a_request_is_not_kept_alive(recorder: Recorder) -> None:
    import site_events

    seen: list[weakref.ref[Any]] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(weakref.ref(request))
        site_events.seen(where="short")
        return HttpResponse()

    ItlyMiddleware(view)(_get("/short"))
    gc.collect()

    assert len(recorder.calls) == 1
    assert seen[0]() is None


def test_scenario_62_a_flag_that_is_asked_often_is_told_once_and_again_when_its_value_changes(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.force_login(jane)
    for variant in ("a", "a", "b", "b", "a"):
        client.get("/exposed/", {"variant": variant})
    Client().get("/exposed/", {"variant": "a"})

    assert where(recorder) == ["a", "b", "a", "a"]
    assert recorder.refused == {"repeated": 14}


@pytest.mark.parametrize("is_debug", [False, True], ids=["production", "debug"])
def test_scenario_63_no_page_is_added_and_no_call_is_kept_to_be_looked_at(tmp_path: Path, is_debug: bool) -> None:
    code = f"""
import django
from django.conf import settings
settings.DEBUG = {is_debug}
django.setup()
import gc, site_events
from django.urls import get_resolver
from itly_core.call import Call
from tests.django_site.urls import urlpatterns
site_events.seen("user-1", where="marked")
print(len(get_resolver().url_patterns) == len(urlpatterns))
print([item for item in gc.get_objects() if isinstance(item, Call)])
"""
    given = {"DESTINATIONS": {"all": {"disabled": True}}, "DELIVERY": {"MODE": "memory"}}

    assert run(code, cwd=tmp_path, settings=given).splitlines() == ["True", "[]"]


def test_scenario_65_an_old_client_that_waits_for_the_end_waits_a_bounded_time(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.script(delay_s=40.0)
    with serve("gunicorn", FLUSH="after_response") as server:  # FLUSH_TIMEOUT as it is by itself
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=60)
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        ended = threading.Timer(25.0, connection.close)
        ended.start()
        connection.request("GET", "/seen/old/")
        response = connection.getresponse()
        body = response.read()  # to the end of the connection
        is_late = not ended.is_alive()
        ended.cancel()

    assert (response.status, body, is_late) == (200, b"old", False)


def _get(path: str) -> WSGIRequest:
    from django.test import RequestFactory

    return RequestFactory().get(path)


def _pids_until(url: str, is_wanted: Callable[[int], bool]) -> list[int]:
    """Which server process answered each visit, up to the one that is wanted."""
    pids: list[int] = []
    for _ in range(600):
        try:
            pids.append(int(requests.get(f"{url}/pid/", timeout=10).text))
        except (requests.ConnectionError, requests.Timeout):  # between two processes
            time.sleep(0.05)
            continue
        if is_wanted(pids[-1]):
            return pids
        time.sleep(0.05)
    raise TimeoutError(f"only {set(pids)} answered")
