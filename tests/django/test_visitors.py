"""What a site says of its visitors: consent, robots, ids, sign-in, transactions."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core import checks
from django.db import transaction
from django.test import Client
from django.test.utils import override_settings

from itly_core.findings import uwsgi_problems
from itly_core.testing import Recorder
from itly_web.django.testing import recorder as current_recorder
from tests.django.conftest import SETTINGS

pytestmark = pytest.mark.django_db


def with_itly(**given: Any) -> Any:
    return override_settings(ITLY={**SETTINGS, **given})


def where() -> list[Any]:
    return [call.properties["where"] for call in current_recorder().calls]


def granted(request: Any) -> str:
    return "granted"


@pytest.mark.django_db(transaction=True)
def test_scenario_37_calls_in_a_transaction_wait_for_its_commit_and_vanish_with_a_rollback(client: Client) -> None:
    with with_itly(AFTER_COMMIT=True):
        client.get("/rolled-back/")

        assert where() == ["kept", "outside"]


@pytest.mark.django_db(transaction=True)
def test_scenario_37_without_the_setting_calls_do_not_wait(client: Client, recorder: Recorder) -> None:
    client.get("/rolled-back/")

    assert where() == ["kept", "savepoint rolled back", "outside", "rolled back"]


@pytest.mark.django_db(transaction=True)
def test_a_call_that_waited_has_the_id_and_the_time_of_the_call(client: Client) -> None:
    import site_events

    with with_itly(AFTER_COMMIT=True):
        with transaction.atomic():
            site_events.seen("user-1", where="first")
            time.sleep(0.02)
            called = time.time()
            assert where() == []
            with transaction.atomic():
                site_events.seen("user-1", where="second")
        first, second = current_recorder().calls

    assert first.timestamp.timestamp() < called - 0.01
    assert first.message_id < second.message_id


def test_in_a_test_case_the_commit_is_asked_for(django_capture_on_commit_callbacks: Any) -> None:
    import site_events

    with with_itly(AFTER_COMMIT=True):
        with django_capture_on_commit_callbacks(execute=True):
            site_events.seen("user-1", where="captured")
            assert where() == []

        assert where() == ["captured"]


@pytest.mark.parametrize(
    ("given", "headers", "reason"),
    [
        ({"CONSENT": lambda request: "denied"}, {}, "consent"),
        ({"CONSENT": lambda request: 1 / 0}, {}, "consent"),
        ({"GPC_ACTION": "drop"}, {"sec-gpc": "1"}, "privacy"),
        ({"BOTS": "drop"}, {"user-agent": "Googlebot/2.1"}, "bot"),
        ({"EXCLUDE_PATHS": ["/seen/"]}, {}, "excluded_path"),
    ],
    ids=["denied", "consent raises", "privacy", "bot", "path"],
)
def test_scenario_47_61_calls_that_are_not_taken_are_counted_and_change_no_response(
    client: Client, given: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    with with_itly(**given):
        response = client.get("/seen/x/", headers=headers)

        assert (response.status_code, response.content) == (200, b"x")
        assert (current_recorder().calls, current_recorder().refused) == ([], {reason: 1})


def test_consent_is_asked_once_a_request_and_only_where_something_is_sent(client: Client) -> None:
    asked: list[str] = []

    def consent(request: Any) -> str:
        asked.append(request.path)
        return "granted"

    with with_itly(CONSENT=consent):
        client.get("/plain/")
        client.get("/whoever/")

    assert asked == ["/whoever/"]


def test_a_robot_is_marked(client: Client, recorder: Recorder) -> None:
    client.get("/seen/x/", headers={"user-agent": "Googlebot/2.1"})

    assert recorder.calls[0].context["synthetic"] == "bot"


def test_scenario_46_a_context_processor_that_makes_a_call_does_not_go_round_in_circles(client: Client) -> None:
    import site_events

    def processor(request: Any) -> dict[str, Any]:
        site_events.seen("user-1", where="processor")
        return {"tenant": request.path}

    with with_itly(CONTEXT_PROCESSORS=[processor]):
        client.get("/seen/x/")
        calls = current_recorder().calls

    assert [(call.properties["where"], call.context.get("tenant")) for call in calls] == [
        ("processor", None),
        ("x", "/seen/x/"),
    ]


def test_a_visitor_gets_an_id_on_a_private_response_and_keeps_it(client: Client) -> None:
    with with_itly(CONSENT=granted, ANONYMOUS_ID={"COOKIE": "visitor"}):
        first = client.get("/private/")
        second = client.get("/private/")
        ids = [call.anonymous_id for call in current_recorder().calls]

    assert first["Vary"] == "Cookie"
    assert (first.cookies["visitor"]["httponly"], first.cookies["visitor"]["secure"]) == (True, "")
    assert first.cookies["visitor"].value == ids[0] == ids[1]
    assert "visitor" not in second.cookies


@pytest.mark.parametrize("path", ["/whoever/", "/private-plain/", "/stream/", "/cached-event/"])
def test_scenario_59_no_id_on_a_response_that_others_may_get_or_that_sent_nothing(client: Client, path: str) -> None:
    with with_itly(CONSENT=granted, ANONYMOUS_ID={"COOKIE": "visitor"}):
        response = client.get(path)

    assert not response.cookies
    assert not response.has_header("Vary")


@pytest.mark.parametrize(
    ("given", "headers"),
    [({}, {}), ({"CONSENT": lambda request: "unknown"}, {}), ({"CONSENT": granted}, {"sec-gpc": "1"})],
    ids=["nobody asked", "unknown", "gpc"],
)
def test_scenario_60_no_id_without_consent(client: Client, given: dict[str, Any], headers: dict[str, str]) -> None:
    client.cookies["visitor"] = "set-earlier"
    with with_itly(ANONYMOUS_ID={"COOKIE": "visitor"}, **given):
        response = client.get("/private/", headers=headers)
        (call,) = current_recorder().calls

    assert not response.cookies
    assert (call.anonymous_id == "set-earlier") == (given == {})


def test_signing_in_joins_the_browser_with_the_user_once(client: Client, recorder: Recorder, jane: Any) -> None:
    client.cookies["ajs_anonymous_id"] = "browser-1"
    client.get("/sign-in/")
    aliases = [call for call in recorder.calls if call.kind == "alias"]

    assert [(call.user_id, call.previous_id) for call in aliases] == [(str(jane.pk), "browser-1")]


def test_signing_in_joins_nothing_where_the_browser_is_unknown_or_private(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.get("/sign-in/")
    client.cookies["ajs_anonymous_id"] = "browser-1"
    client.get("/sign-in/", headers={"sec-gpc": "1"})

    assert [call.kind for call in recorder.calls] == ["track"] * 4


def test_signing_in_joins_nothing_when_told_not_to(client: Client, jane: Any) -> None:
    client.cookies["ajs_anonymous_id"] = "browser-1"
    with with_itly(IDENTIFY_ON_LOGIN=False):
        client.get("/sign-in/")

        assert [call.kind for call in current_recorder().calls] == ["track", "track"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"USER_ID": "username"}, "jane"),
        ({"USER_ID": lambda user: f"u-{user.username}"}, "u-jane"),
        ({"USER_RESOLUTION": "off"}, None),
        ({"USER_RESOLUTION": "loaded"}, None),
        ({"USER_RESOLUTION": lambda request: 7}, "7"),
        ({"USER_RESOLUTION": lambda request: 1 / 0}, None),
    ],
    ids=["attribute", "callable", "off", "loaded", "resolver", "resolver raises"],
)
def test_the_user_is_found_as_the_settings_say(
    client: Client, jane: Any, given: dict[str, Any], expected: str | None
) -> None:
    client.force_login(jane)
    with with_itly(**given):
        client.get("/whoever/")

        assert [call.user_id for call in current_recorder().calls] == [expected] * 2


def test_a_user_that_was_read_counts_where_only_such_do(client: Client, jane: Any) -> None:
    client.force_login(jane)
    with with_itly(USER_RESOLUTION="loaded"):
        client.get("/user-then-event/")

        assert [call.user_id for call in current_recorder().calls] == [str(jane.pk)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"IP": "full"}, ["itly.W006"]), ({"IP": "full", "CONSENT": granted}, []), ({"IP": "off"}, [])],
)
def test_whole_addresses_without_consent_are_a_warning(given: dict[str, Any], expected: list[str]) -> None:
    with with_itly(**given):
        assert [message.id for message in checks.run_checks(tags=["itly"])] == expected


def test_a_host_that_freezes_is_a_warning_when_deploying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "shop")
    with with_itly(DESTINATIONS={"console": {}}):
        found = checks.run_checks(tags=["itly"], include_deployment_checks=True)
    with with_itly(DESTINATIONS={"console": {}}, FLUSH="before_response"):
        silenced = checks.run_checks(tags=["itly"], include_deployment_checks=True)

    assert ([message.id for message in found], silenced) == (["itly.W008"], [])


@pytest.mark.parametrize(
    ("options", "workers", "expected"),
    [
        ({b"enable-threads": True, b"lazy-apps": True}, 2, 0),
        ({"enable-threads": True}, 1, 0),
        ({"threads": "4", "py-call-uwsgi-fork-hooks": True}, 4, 0),
        ({b"enable-threads": b"false", b"lazy-apps": True}, 2, 1),
        ({b"enable-threads": True}, 2, 1),
        ({}, 4, 2),
    ],
)
def test_scenario_5_uwsgi_that_stops_threads_or_forks_in_secret_is_noticed(
    options: dict[Any, Any], workers: int, expected: int
) -> None:
    assert len(list(uwsgi_problems(options, workers))) == expected
