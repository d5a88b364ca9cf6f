"""The extension in one process: set-up, settings, one client per app, and what it records under a test runner."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest

from itly_core import codegen, plans
from itly_core.errors import ConfigError, InvalidEvent, NotLoaded
from itly_web.flask import Itly, copy_scope
from sample_projects.local_sink import LocalSink
from tests.flask.conftest import ROOT

CreateApp = Callable[..., flask.Flask]


def calls(app: flask.Flask) -> list[Any]:
    return list(app.extensions["itly"].recorder.calls)


def places(app: flask.Flask) -> list[Any]:
    return [call.properties["where"] for call in calls(app)]


# Set-up


def test_init_app_twice_on_one_app_is_refused_with_advice(create_app: CreateApp) -> None:
    app = create_app()

    with pytest.raises(ConfigError, match="call init_app once per app"):
        Itly().init_app(app)


def test_one_extension_object_serves_several_apps(itly: ModuleType) -> None:
    extension = Itly()
    apps = [flask.Flask("one"), flask.Flask("two")]
    for app in apps:
        app.config["ITLY"] = {"CONTEXT": {"version": app.name}}
        extension.init_app(app)
    for app in apps:
        with app.app_context():
            itly.seen("user-1", where=app.name)

    assert [[call.properties["version"] for call in calls(app)] for app in apps] == [["one"], ["two"]]
    assert vars(extension) == {}


def test_scenario_43_two_apps_with_different_packages_do_not_meet(
    itly: ModuleType, create_app: CreateApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plan.yaml").write_text(
        "itly: 1\nplan: {name: Other, version: 1.0.0}\nevents: {Done: {properties: {}}}\n"
    )
    codegen.write(codegen.render(plans.load("plan.yaml", base=tmp_path)), tmp_path / "other_events")
    monkeypatch.syspath_prepend(str(tmp_path))
    first, second = create_app(), flask.Flask("second")
    second.config["ITLY_PACKAGE"] = "other_events"
    Itly(second)
    other = sys.modules["other_events"]
    with first.app_context():
        itly.seen("user-1", where="first")
        with pytest.raises(NotLoaded):
            other.done("user-1")
    with second.app_context():
        other.done("user-1")
    sys.modules.pop("other_events")

    assert places(first) == ["first"]
    assert [call.name for call in calls(second)] == ["Done"]


def test_quart_is_refused_by_name(itly: ModuleType) -> None:
    quart = type("Quart", (), {"__module__": "quart.app"})

    with pytest.raises(ConfigError, match="this is a Quart app"):
        Itly(quart())


def test_something_that_is_no_app_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes a Flask app, got str"):
        Itly("app")  # type: ignore[arg-type]


def test_init_app_starts_no_thread(create_app: CreateApp) -> None:
    before = threading.active_count()
    create_app(ITLY={"CONTEXT": {"version": "1.0"}, "DESTINATIONS": {"amplitude": {"api_key": "AK"}}})

    assert threading.active_count() == before


def test_scenario_51_a_package_not_generated_yet_is_said_and_the_app_starts(caplog: pytest.LogCaptureFixture) -> None:
    app = flask.Flask("early")
    app.config["ITLY"] = {"PACKAGE": "not_generated_yet"}
    with caplog.at_level(logging.WARNING):
        Itly(app)

    assert "there is no package 'not_generated_yet' yet; generate it with `flask itly pull`" in caplog.text


def test_scenario_51_another_package_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shadow", types.ModuleType("shadow"))
    app = flask.Flask("shadowed")
    app.config["ITLY"] = {"PACKAGE": "shadow"}

    with pytest.raises(ConfigError, match="is not a package made by `flask itly pull`"):
        Itly(app)


def test_a_plan_context_that_breaks_the_plan_stops_a_development_app(create_app: CreateApp) -> None:
    with pytest.raises(InvalidEvent, match="version"):
        create_app(DEBUG=True, ITLY={"CONTEXT": {"version": 7}})


def test_scenario_53_calls_are_recorded_and_never_sent(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app(ITLY={"CONTEXT": {"version": "1"}, "DESTINATIONS": {"amplitude": {"api_key": "AK"}}})
    app.test_client().get("/seen/test")

    assert places(app) == ["test"]
    assert itly.stats() == {}


TESTING_SET_LATE = """
from tests.flask.site_app import create_app
app = create_app(ITLY={"CONTEXT": {"version": "1"}, "DESTINATIONS": {"amplitude": {"api_key": "AK", "endpoint": "%s"}}})
app.config["TESTING"] = True
app.test_client().get("/seen/test")
app.extensions["itly"].client().flush(5)
print(app.extensions["itly"].recorder.names)
"""


def test_scenario_53_testing_set_after_init_app_counts_without_pytest(package_dir: Path, sink: LocalSink) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", TESTING_SET_LATE % sink.amplitude_url],
        env={**env, "PYTHONPATH": f"{package_dir}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "['Seen']\n", done.stderr
    assert sink.requests == []


def test_recording_needs_no_vendor_key(create_app: CreateApp) -> None:
    create_app(TESTING=True, ITLY={"CONTEXT": {"version": "1"}, "DESTINATIONS": {"amplitude": {"api_key": ""}}})


def test_debug_set_after_init_app_counts_at_the_first_call(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app()
    app.debug = True

    with app.app_context(), pytest.raises(InvalidEvent):
        itly.seen("user-1", where=7)


def test_disabled_makes_every_call_a_no_op(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app(ITLY={"DISABLED": True})

    assert app.test_client().get("/seen/nothing").status_code == 200
    assert calls(app) == []


# Settings


def test_a_key_of_its_own_is_laid_over_the_dict(create_app: CreateApp) -> None:
    app = create_app(
        ITLY={"CONTEXT": {"version": "1"}, "DELIVERY": {"MODE": "memory", "TIMEOUT": 3}},
        ITLY_DELIVERY={"TIMEOUT": 5},
        ITLY_FLUSH_TIMEOUT=2,
    )
    settings = app.extensions["itly"].settings

    assert (settings.options.delivery.mode, settings.options.delivery.timeout) == ("memory", 5.0)
    assert settings.web.flush_timeout == 2.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ITLY": {"FLUSH_TIMEOUTS": 1}}, r"ITLY\['FLUSH_TIMEOUTS'\] is not a setting; did you mean 'FLUSH_TIMEOUT'"),
        ({"ITLY_FLUSHES": "x"}, r"ITLY_FLUSHES is not a setting; did you mean 'FLUSH'"),
        ({"ITLY_FLUSH_TIMEOUT": "soon"}, r"ITLY_FLUSH_TIMEOUT must be a number, got 'soon'"),
        ({"ITLY": "amplitude"}, "ITLY must be a dict"),
        ({"ITLY_ENVIRONMENT": "staging"}, "ITLY_ENVIRONMENT must be one of 'development', 'production', got 'staging'"),
    ],
    ids=["unknown in dict", "unknown alone", "wrong type", "no dict", "wrong value"],
)
def test_a_wrong_setting_is_named_as_it_was_written(config: dict[str, Any], message: str) -> None:
    app = flask.Flask("wrong")
    app.config.update(config)

    with pytest.raises(ConfigError, match=message):
        Itly(app)


@pytest.mark.parametrize(
    ("variables", "read", "value"),
    [
        ({"FLASK_ITLY_DISABLED": "False"}, lambda s: s.options.disabled, False),
        ({"FLASK_ITLY_DISABLED": "true"}, lambda s: s.options.disabled, True),
        ({"FLASK_ITLY_FLUSH_TIMEOUT": "2.5"}, lambda s: s.web.flush_timeout, 2.5),
        ({"FLASK_ITLY_TRUSTED_PROXIES": "2"}, lambda s: s.rules.trusted_proxies, 2),
        ({"FLASK_ITLY__DELIVERY__MODE": "memory"}, lambda s: s.options.delivery.mode, "memory"),
        (
            {"FLASK_ITLY__DESTINATIONS__amplitude__api_key": "12345"},
            lambda s: s.options.destinations.amplitude.api_key,
            "12345",
        ),
    ],
    ids=["False is false", "true is true", "number", "whole number", "nested", "key of digits"],
)
def test_scenario_64_environment_variables_are_coerced_strictly(
    variables: dict[str, str], read: Callable[[Any], Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    app = flask.Flask("environment")
    app.config["ITLY_PACKAGE"] = "not_generated_yet"
    app.config.from_prefixed_env()
    Itly(app)

    found = read(app.extensions["itly"].settings)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("FLASK_ITLY_DISABLED", "nope", "ITLY_DISABLED must be True or False, got 'nope'"),
        ("FLASK_ITLY_TRUSTED_PROXIES", "1.5", "ITLY_TRUSTED_PROXIES must be a whole number"),
        ("FLASK_ITLY__DESTINATIONS__amplitude__api_key", "1e5", r"\['amplitude'\]\['api_key'\] must be a string"),
    ],
)
def test_scenario_64_environment_variables_that_fit_no_setting_are_refused(
    variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    app = flask.Flask("environment")
    app.config.from_prefixed_env()

    with pytest.raises(ConfigError, match=message):
        Itly(app)


# Calls and their requests


def test_a_call_carries_the_facts_of_its_request(create_app: CreateApp) -> None:
    app = create_app()
    app.test_client().get(
        "/seen/here?utm_source=news&token=secret",
        headers={"User-Agent": "Test/1", "Accept-Language": "de-CH, en;q=0.5", "X-Request-ID": "r-1"},
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )
    context = calls(app)[0].context

    assert context["route"] == "/seen/<where>"
    assert context["path"] == "/seen/here"
    assert context["method"] == "GET"
    assert context["user_agent"] == "Test/1"
    assert context["locale"] == "de-CH"
    assert context["ip"] == "203.0.113.0"
    assert context["request_id"] == "r-1"
    assert context["campaign"] == {"source": "news"}
    assert "secret" not in str(context)


def test_a_mounted_app_says_the_whole_path(create_app: CreateApp) -> None:
    app = create_app()
    app.test_client().get("/seen/here", environ_overrides={"SCRIPT_NAME": "/shop"})

    assert calls(app)[0].context["path"] == "/shop/seen/here"


def test_nobody_gets_one_random_id_for_all_calls_of_a_request(create_app: CreateApp) -> None:
    app = create_app()
    client = app.test_client()
    client.get("/nobody")
    client.get("/nobody")
    first, second, third, fourth = [call.anonymous_id for call in calls(app)]

    assert first == second != third == fourth
    assert all(call.user_id is None for call in calls(app))


def test_scenario_44_a_call_outside_any_request_has_no_request_context(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app()
    with app.app_context():
        itly.seen("user-1", where="shell")
    itly.seen("user-1", where="no app context")

    assert [(call.properties["where"], call.context) for call in calls(app)] == [("shell", {}), ("no app context", {})]


def test_scenario_44_a_call_outside_any_app_context_is_refused_where_two_apps_could_be_meant(
    create_app: CreateApp, itly: ModuleType
) -> None:
    apps = [create_app(), create_app()]

    with pytest.raises(NotLoaded, match=r"inside `with app\.app_context\(\):`"):
        itly.seen("user-1", where="whose")
    assert [calls(app) for app in apps] == [[], []]


def test_scenario_41_nested_contexts_keep_their_own_requests(create_app: CreateApp) -> None:
    app = create_app()
    app.test_client().get("/nested")
    seen = {call.properties["where"]: call for call in calls(app)}

    assert list(seen) == ["outer", "inner", "other request", "outer again"]
    assert seen["outer"].context == seen["outer again"].context
    assert seen["outer"].anonymous_id == seen["outer again"].anonymous_id
    assert seen["other request"].context["path"] == "/elsewhere"
    assert seen["other request"].anonymous_id != seen["outer"].anonymous_id


def test_scenario_39_a_test_request_context_is_enough_for_a_call(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app()
    with app.test_request_context("/half"):
        itly.seen(where="half")

    assert calls(app)[0].context["path"] == "/half"


def test_scenario_40_a_teardown_without_a_request_or_a_call_does_nothing(create_app: CreateApp) -> None:
    app = create_app()
    with app.app_context():
        app.extensions["itly"].end_request()
    with app.test_request_context("/"):
        pass

    assert calls(app) == []


def test_scenario_42_a_kept_context_is_torn_down_twice_without_harm(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app()
    with app.test_client() as client:
        client.get("/nobody")
        itly.seen(where="after the response")
        client.get("/stream").close()
        client.get("/plain")

    assert places(app)[:3] == ["first", "second", "after the response"]
    first, _, late = calls(app)[:3]
    assert (late.anonymous_id, late.context) == (first.anonymous_id, first.context)


def test_scenario_21_copy_scope_takes_the_request_into_a_thread(create_app: CreateApp, itly: ModuleType) -> None:
    app = create_app()

    @app.get("/pool")
    def pool() -> str:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(copy_scope(itly.seen), where="copied").result()
            executor.submit(itly.seen, "user-1", where="bare").result()
        return "pool"

    client = app.test_client()
    client.post("/sign-in/user-7")
    app.extensions["itly"].recorder.clear()
    client.get("/pool")
    copied, bare = calls(app)

    assert (copied.user_id, copied.context["route"]) == ("user-7", "/pool")
    assert (bare.user_id, bare.context) == ("user-1", {})


def test_scenario_58_a_request_is_not_kept_alive(create_app: CreateApp) -> None:
    app = create_app()
    seen: list[weakref.ref[Any]] = []

    @app.get("/short")
    def short() -> str:
        import itly

        seen.append(weakref.ref(flask.request._get_current_object()))
        itly.seen(where="short")
        return "short"

    app.test_client().get("/short").close()
    gc.collect()

    assert seen[0]() is None


def test_an_app_that_is_dropped_is_freed(create_app: CreateApp) -> None:
    app = create_app()
    app.test_client().get("/seen/x").close()
    seen = weakref.ref(app)
    del app
    gc.collect()

    assert seen() is None


def test_scenario_29_the_body_stays_the_views_own(create_app: CreateApp) -> None:
    app = create_app()

    assert app.test_client().post("/body", json={"a": 1}).get_json() == {"a": 1}
    assert places(app) == ["body"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/seen/%ff%fe", {}),
        ("/seen/x", {"User-Agent": "a" * 1_000_000}),
        ("/seen/x", {"Referer": "http://[::bad"}),
        ("/seen/x", {"Host": "bad host^"}),
        ("/seen/x", {"Accept-Language": ";;;,q=,"}),
        ("/seen/x", {"X-Forwarded-For": "garbage, more"}),
        ("/seen/x", {"Cookie": "AMP_x=%%%; ph_y_posthog=[; ajs_anonymous_id="}),
    ],
    ids=["path", "user agent", "referrer", "host", "language", "forwarded", "cookies"],
)
def test_scenario_31_hostile_requests_are_answered_as_ever(
    create_app: CreateApp, path: str, headers: dict[str, str]
) -> None:
    app = create_app()
    answer = app.test_client(use_cookies=False).get(path, headers=headers)

    assert answer.status_code == 200
    assert len(calls(app)) == 1


def test_scenario_50_development_raises_where_the_call_is_and_names_every_violation(
    create_app: CreateApp, itly: ModuleType
) -> None:
    app = create_app(DEBUG=True, TESTING=True)

    with pytest.raises(InvalidEvent) as raised:
        app.test_client().get("/invalid")
    assert [violation.path for violation in raised.value.violations] == ["where"]
    assert calls(app) == []


def test_a_before_send_that_raises_changes_no_response(create_app: CreateApp) -> None:
    def broken(call: Any) -> None:
        raise RuntimeError("on purpose")

    app = create_app(ITLY={"CONTEXT": {"version": "1"}, "BEFORE_SEND": broken})
    answer = app.test_client().get("/seen/x")

    assert (answer.status_code, answer.text) == (200, "x")
    assert app.extensions["itly"].recorder.refused == {"before_send": 1}
