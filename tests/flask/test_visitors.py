"""What a site says of its visitors: consent, robots, ids, sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

from itly_core.errors import ConfigError
from tests.flask.conftest import SETTINGS

CreateApp = Callable[..., flask.Flask]


def made(create_app: CreateApp, **given: Any) -> tuple[flask.Flask, Any]:
    """A site with these settings, and what it records."""
    app = create_app(ITLY={**SETTINGS, **given})
    return app, app.extensions["itly"].recorder


def granted(request: Any) -> str:
    return "granted"


@pytest.mark.parametrize(
    ("given", "headers", "reason"),
    [
        ({"CONSENT": lambda request: "denied"}, {}, "consent"),
        ({"GPC_ACTION": "drop"}, {"Sec-GPC": "1"}, "privacy"),
        ({"BOTS": "drop"}, {"User-Agent": "Googlebot/2.1"}, "bot"),
        ({"EXCLUDE_PATHS": ["/seen/"]}, {}, "excluded_path"),
    ],
    ids=["denied", "privacy", "bot", "path"],
)
def test_scenario_47_61_calls_that_are_not_taken_are_counted_and_change_no_response(
    create_app: CreateApp, given: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    app, recorder = made(create_app, **given)
    response = app.test_client().get("/seen/x", headers=headers)

    assert (response.status_code, response.text) == (200, "x")
    assert (recorder.calls, recorder.refused) == ([], {reason: 1})


def test_context_processors_get_flasks_request(create_app: CreateApp) -> None:
    app, recorder = made(create_app, CONTEXT_PROCESSORS=[lambda request: {"endpoint": request.endpoint}])
    app.test_client().get("/seen/x")

    assert recorder.calls[0].context["endpoint"] == "seen"


def test_scenario_59_a_visitor_gets_an_id_on_a_private_response_only(create_app: CreateApp) -> None:
    app, recorder = made(create_app, CONSENT=granted, ANONYMOUS_ID={"COOKIE": "visitor"})
    client = app.test_client()
    public, nothing, private = (client.get(path) for path in ("/whoever", "/plain", "/private-whoever"))
    client.get("/private-whoever")
    ids = [call.anonymous_id for call in recorder.calls]

    assert [response.headers.get("Set-Cookie") for response in (public, nothing)] == [None, None]
    assert private.headers["Set-Cookie"].startswith(f"visitor={ids[1]};")
    assert private.headers["Vary"] == "Cookie"
    assert ids[0] != ids[1] == ids[2]


@pytest.mark.parametrize("headers", [{}, {"Sec-GPC": "1"}], ids=["known browser", "gpc"])
def test_signing_in_joins_the_browser_with_the_user_once(create_app: CreateApp, headers: dict[str, str]) -> None:
    app, recorder = made(create_app)
    client = app.test_client()
    client.set_cookie("ajs_anonymous_id", "browser-1")
    client.post("/sign-in/user-7", headers=headers)
    aliases = [(call.user_id, call.previous_id) for call in recorder.calls if call.kind == "alias"]

    assert aliases == ([] if headers else [("user-7", "browser-1")])


def test_signing_in_joins_nothing_when_told_not_to(create_app: CreateApp) -> None:
    app, recorder = made(create_app, IDENTIFY_ON_LOGIN=False)
    client = app.test_client()
    client.set_cookie("ajs_anonymous_id", "browser-1")
    client.post("/sign-in/user-7")

    assert [call.kind for call in recorder.calls] == ["track", "track"]


def test_signing_in_to_another_app_is_that_apps_matter(create_app: CreateApp) -> None:
    _, first = made(create_app)
    app, second = made(create_app)
    client = app.test_client()
    client.set_cookie("ajs_anonymous_id", "browser-1")
    client.post("/sign-in/user-7")

    assert (first.calls, [call.kind for call in second.calls]) == ([], ["track", "alias", "track"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"USER_ID": lambda user: f"u-{user.id}"}, "u-user-7"),
        ({"USER_ID": "id"}, "user-7"),
        ({"USER_RESOLUTION": "off"}, None),
        ({"USER_RESOLUTION": "loaded"}, None),
        ({"USER_RESOLUTION": lambda request: request.path}, "/whoever"),
    ],
    ids=["callable", "attribute", "off", "loaded", "resolver"],
)
def test_the_user_is_found_as_the_settings_say(
    create_app: CreateApp, given: dict[str, Any], expected: str | None
) -> None:
    app, recorder = made(create_app, **given)
    client = app.test_client()
    client.post("/sign-in/user-7")
    recorder.clear()
    client.get("/whoever")

    assert [call.user_id for call in recorder.calls] == [expected]


def test_after_commit_is_refused_where_there_is_no_orm_to_ask(create_app: CreateApp) -> None:
    with pytest.raises(ConfigError, match=r"ITLY\['AFTER_COMMIT'\] is for Django"):
        create_app(ITLY={**SETTINGS, "AFTER_COMMIT": True})
