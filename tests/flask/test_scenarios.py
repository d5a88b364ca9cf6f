"""Ways in which an integration breaks a Flask site, by the numbers of docs/web-scenarios.md; more are in the other files."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest
import requests
from flask_login import current_user
from werkzeug.local import LocalProxy
from werkzeug.wsgi import FileWrapper

from itly_core.errors import NotLoaded
from itly_web import scope as scopes
from itly_web.flask import Itly
from sample_projects.local_sink import LocalSink
from tests.flask.conftest import HERE, ROOT, SETTINGS, serving

CreateApp = Callable[..., flask.Flask]


def recorder(app: flask.Flask) -> Any:
    return app.extensions["itly"].recorder


def places(app: flask.Flask) -> list[Any]:
    return [call.properties["where"] for call in recorder(app).calls]


def sent(sink: LocalSink) -> list[Any]:
    return [event["event_properties"]["where"] for event in sink.events()]


def script(code: str, *, cwd: Path, package_dir: Path) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, with the package at hand."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ITLY", "SITE_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**kept, "PYTHONPATH": f"{package_dir}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_scenario_8_a_killed_worker_loses_nothing_it_accepted(
    serve: Callable[..., Any], sink: LocalSink, tmp_path: Path
) -> None:
    sink.script(status=503)
    spooled = {"DELIVERY": {"MODE": "spool"}, "SPOOL_DIR": str(tmp_path / "spool")}
    with serve("gunicorn", **spooled) as server:
        for number in range(20):
            requests.get(f"{server.url}/seen/{number}", timeout=10)
        server.kill()
    sink.heal()
    with serve("gunicorn", **spooled) as server:
        requests.get(f"{server.url}/seen/after", timeout=10)
        sink.wait_for(21, timeout_s=30)

    assert sorted(sent(sink)) == sorted([*map(str, range(20)), "after"])


def test_scenario_15_a_file_is_handed_to_the_server_as_it_is(create_app: CreateApp) -> None:
    class Sendfile(FileWrapper):
        """What uWSGI and gunicorn put there: they look for it to hand the file to the kernel."""

    app = create_app(ITLY={**SETTINGS, "FLUSH": "after_response"})
    environ = flask.Flask("x").test_request_context("/file").request.environ | {"wsgi.file_wrapper": Sendfile}
    body = app.wsgi_app(environ, lambda *_: io.BytesIO().write)

    assert type(body) is Sendfile
    assert places(app) == ["file"]


def test_scenario_16_whatever_goes_wrong_at_the_end_of_a_request_reaches_nobody(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for flush in (None, "after_response", "before_response"):
        app = create_app(DEBUG=True, ITLY={**SETTINGS, "FLUSH": flush})  # in development the core itself raises
        told: list[str] = []
        app.teardown_request(lambda exc: told.append("another teardown"))  # noqa: B023
        for name in ("wake", "flush"):
            monkeypatch.setattr(type(recorder(app)), name, lambda *_: 1 / 0)
        answer = app.test_client().get("/seen/x")
        answer.close()

        assert (answer.status_code, answer.text) == (200, "x")
        assert told == ["another teardown"]
    assert "division by zero" in caplog.text


def test_scenario_20_nothing_is_bound_after_a_request(create_app: CreateApp) -> None:
    app = create_app()
    for path in ("/seen/x", "/nobody", "/stream", "/file", "/nested", "/async"):
        app.test_client().get(path).close()

        assert scopes.current() is None
        assert scopes.here() is None


def test_scenario_21_a_copied_scope_speaks_for_its_request_when_the_response_is_out(create_app: CreateApp) -> None:
    from itly_web.flask import copy_scope

    app = create_app()

    @app.get("/later")
    def later() -> flask.Response:
        import itly

        response = flask.Response("later")
        response.call_on_close(copy_scope(lambda: itly.seen(where="copied")))
        response.call_on_close(lambda: itly.seen("user-1", where="not copied"))
        return response

    client = app.test_client()
    client.post("/sign-in/user-7")
    recorder(app).clear()
    client.get("/later").close()

    found = {call.properties["where"]: (call.user_id, call.context.get("path")) for call in recorder(app).calls}
    assert found == {"copied": ("user-7", "/later"), "not copied": ("user-1", None)}


def test_scenario_25_the_user_of_an_async_view_is_found(create_app: CreateApp) -> None:
    app = create_app()
    client = app.test_client()
    client.post("/sign-in/user-7")
    recorder(app).clear()
    client.get("/async")
    (call,) = recorder(app).calls

    assert (call.user_id, call.context["path"]) == ("user-7", "/async")


def test_scenario_28_proxies_are_what_they_stand_for(create_app: CreateApp) -> None:
    app = create_app()

    @app.get("/proxies")
    def proxies() -> str:
        import itly

        itly.seen(current_user.get_id(), where=LocalProxy(lambda: "proxy"), count=LocalProxy(lambda: 3))
        itly.identify(LocalProxy(lambda: "user-1"), plan=LocalProxy(lambda: "pro"))
        return "proxies"

    client = app.test_client()
    client.post("/sign-in/user-7")
    recorder(app).clear()
    answer = client.get("/proxies")
    first, second = recorder(app).calls

    assert answer.text == "proxies"
    assert (first.user_id, first.properties["where"], first.properties["count"]) == ("user-7", "proxy", 3)
    assert (second.user_id, second.traits) == ("user-1", {"plan": "pro"})
    assert (first.violations, second.violations) == ((), ())


SECRETS = {
    "Authorization": "Bearer SECRET-bearer",
    "X-Api-Key": "SECRET-key",
    "Referer": "https://SECRET-name:SECRET-word@shop.example/a?token=SECRET-referrer#SECRET-fragment",
}


def test_scenario_32_no_secret_of_a_request_leaves(create_app: CreateApp) -> None:
    app = create_app()
    client = app.test_client()
    client.post("/sign-in/user-7")
    client.set_cookie("other", "SECRET-cookie")
    session = client.get_cookie("session")
    query = "token=SECRET-reset&utm_source=news&email=SECRET@example.org&sig=SECRET-signature"
    client.get(f"/whoever?{query}", headers=SECRETS)
    client.post(f"/body?{query}", json={"password": "SECRET-word"}, headers=SECRETS)
    kept = repr(recorder(app).calls)

    assert "news" in kept
    assert "SECRET" not in kept
    assert session is not None
    assert session.value not in kept


def test_scenario_38_without_init_app_a_call_says_what_to_do(itly: ModuleType) -> None:
    app = flask.Flask("forgotten")
    with app.app_context(), pytest.raises(NotLoaded, match="load"):
        itly.seen("user-1", where="nowhere")


def test_scenario_45_a_call_before_the_app_is_made_says_what_to_do(package_dir: Path, tmp_path: Path) -> None:
    code = """
import itly
try:
    itly.seen("user-1", where="too early")
except itly.NotLoaded as exc:
    print("load" in str(exc))
from tests.flask.site_app import create_app
app = create_app(ITLY={"CONTEXT": {"version": "1"}}, TESTING=True)
with app.app_context():
    itly.seen("user-1", where="now")
print(app.extensions["itly"].recorder.names)
"""
    done = script(code, cwd=tmp_path, package_dir=package_dir)

    assert done.stdout == "True\n['Seen']\n", done.stderr


def test_scenario_46_a_log_handler_that_makes_calls_breeds_none(
    package_dir: Path, tmp_path: Path, sink: LocalSink
) -> None:
    code = f"""
import itly, logging
from tests.flask.site_app import create_app
app = create_app(ITLY={{
    "CONTEXT": {{"version": "1"}}, "ENVIRONMENT": "production", "DELIVERY": {{"MODE": "memory"}},
    "DESTINATIONS": {{"amplitude": {{"api_key": "AK", "endpoint": {sink.amplitude_url!r}}}}},
}})
class Tracking(logging.Handler):
    def emit(self, record):
        with app.app_context():
            itly.seen("user-1", where=record.name)
logging.basicConfig(level=logging.DEBUG, handlers=[Tracking()])
app.test_client().get("/seen/one")
with app.app_context():
    itly.flush(10)
    assert itly.flush(10)
    print(list(itly.stats()["amplitude"]["dropped_by_reason"]))
"""
    done = script(code, cwd=tmp_path, package_dir=package_dir)

    assert done.stdout == "['recursion']\n", done.stderr
    assert "urllib3.connectionpool" not in sent(sink)


def test_scenario_52_a_pull_without_the_network_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "tracking-plan.yaml").write_text((HERE / "tracking-plan.yaml").read_text())
    (tmp_path / "shop.py").write_text("from flask import Flask\napp = Flask(__name__)\n")

    def flask_itly(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "shop", "itly", "pull", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode

    assert flask_itly("--plan", "tracking-plan.yaml") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "itly").iterdir() if path.is_file()}

    assert flask_itly("--plan", "http://127.0.0.1:1/plan.yaml") == 3
    assert {path: path.read_bytes() for path in (tmp_path / "itly").iterdir() if path.is_file()} == before


def test_scenario_55_a_server_that_reloads_has_one_sender(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("flask", "--debug") as server:
        for _ in range(3):
            requests.get(f"{server.url}/pid", timeout=10)
        events = sink.wait_for(3)

    assert len({event["insert_id"] for event in events}) == len(sink.events()) == 3


def test_scenario_57_a_vendor_that_is_down_and_a_full_buffer_delay_no_one(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.go_down()
    with serve("gunicorn", DELIVERY={"MODE": "memory", "MAX_BYTES": 4096}) as server:
        answers = [requests.get(f"{server.url}/seen/{n}", timeout=10) for n in range(60)]
        stats = requests.get(f"{server.url}/stats", timeout=10).json()["amplitude"]

    assert {answer.status_code for answer in answers} == {200}
    assert stats["accepted"] == 60
    assert stats["dropped"] > 0


def test_scenario_62_a_flag_that_is_asked_often_is_told_once_and_again_when_its_value_changes(
    create_app: CreateApp,
) -> None:
    app = create_app()

    @app.get("/exposed/<variant>")
    def exposed(variant: str) -> str:
        import itly

        for _ in range(3):
            itly.seen(where=variant, options=itly.EventOptions(once="flag checkout"))
        return variant

    client = app.test_client()
    client.post("/sign-in/user-7")
    recorder(app).clear()
    for variant in ("a", "a", "b", "a"):
        client.get(f"/exposed/{variant}")
    app.test_client().get("/exposed/a")

    assert places(app) == ["a", "b", "a", "a"]
    assert recorder(app).refused == {"repeated": 11}


@pytest.mark.parametrize("is_debug", [False, True], ids=["production", "debug"])
def test_scenario_63_no_page_is_added_and_no_call_is_kept_to_be_looked_at(
    create_app: CreateApp, is_debug: bool
) -> None:
    bare = flask.Flask("bare")
    app = flask.Flask("ours")
    for each in (bare, app):
        each.debug = is_debug
    app.config["ITLY"] = SETTINGS
    Itly(app)

    assert [str(rule) for rule in app.url_map.iter_rules()] == [str(rule) for rule in bare.url_map.iter_rules()]
    assert (app.blueprints, app.before_request_funcs, app.after_request_funcs) == ({}, {}, {})


# Pages that send nothing, behind a server of the other kind


def test_scenario_24_a_response_behind_asgi_is_the_same_to_the_byte(package_dir: Path, sink: LocalSink) -> None:
    def answers(**env: str) -> list[Any]:
        with _uvicorn(package_dir, sink, **env) as server:
            found = []
            for path in ("/plain", "/private", "/missing", "/loads"):
                answer = requests.get(f"{server.url}{path}", timeout=10)
                headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() != "date"}
                headers["set-cookie"] = headers.get("set-cookie", "").partition(".")[0]  # what follows is the time
                found.append((answer.status_code, headers, answer.content))
            return found

    assert answers() == answers(SITE_BARE="1")


def test_an_event_behind_asgi_carries_its_request(package_dir: Path, sink: LocalSink) -> None:
    with _uvicorn(package_dir, sink) as server:
        requests.get(f"{server.url}/nobody", headers={"User-Agent": "Test/1"}, timeout=10)
        events = sink.wait_for(2)

    assert {event["user_agent"] for event in events} == {"Test/1"}
    assert len({event["device_id"] for event in events}) == 1


def _uvicorn(package_dir: Path, sink: LocalSink, **env: str) -> Any:
    return serving(package_dir, sink, "uvicorn", app="tests.flask.asgi:application", env=env)
