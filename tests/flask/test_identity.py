"""Who a call belongs to: what the client claims never counts. Numbers of defects: docs/web-scenarios.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

from tests.flask.conftest import SETTINGS

CreateApp = Callable[..., flask.Flask]

# What other libraries take a visitor's identity, session or address from.
CLAIMS = {
    "X-PostHog-Distinct-Id": "mallory",
    "X-PostHog-Session-Id": "mallory",
    "X-User-Id": "mallory",
    "X-Distinct-Id": "mallory",
    "X-Amplitude-User-Id": "mallory",
    "X-Device-Id": "mallory",
    "X-Real-Ip": "6.6.6.6",
    "True-Client-Ip": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
    "X-Forwarded-For": "6.6.6.6, 10.0.0.1",
    "Remote-User": "mallory",
}


def made(create_app: CreateApp, **given: Any) -> tuple[flask.Flask, Any]:
    """A site with these settings, and what it records."""
    app = create_app(ITLY={**SETTINGS, **given})
    return app, app.extensions["itly"].recorder


def signed_in(app: flask.Flask) -> Any:
    client = app.test_client()
    client.post("/sign-in/user-7")
    app.extensions["itly"].recorder.clear()
    return client


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_defect_1_client_supplied_identity_does_not_override_the_logged_in_user(
    create_app: CreateApp, is_signed_in: bool
) -> None:
    app, recorder = made(create_app)
    client = signed_in(app) if is_signed_in else app.test_client()
    client.set_cookie("ajs_user_id", "mallory")
    client.get("/whoever?user_id=mallory&distinct_id=mallory", headers=CLAIMS)

    (call,) = recorder.calls
    assert call.user_id == ("user-7" if is_signed_in else None)
    assert "mallory" not in repr(call)


def test_defect_2_the_ip_is_one_address_and_the_connections_own(create_app: CreateApp) -> None:
    app, recorder = made(create_app)
    behind, behind_recorder = made(create_app, TRUSTED_PROXIES=1)
    for each, headers, address in (
        (app, CLAIMS, "203.0.113.77"),
        (app, {}, "203.0.113.77"),
        (behind, CLAIMS, "10.0.0.2"),
    ):
        each.test_client().get("/seen/x", headers=headers, environ_base={"REMOTE_ADDR": address})

    assert [call.context["ip"] for call in recorder.calls] == ["203.0.113.0"] * 2
    assert [call.context["ip"] for call in behind_recorder.calls] == ["10.0.0.0"]  # what the one proxy saw


def test_defect_3_the_url_has_no_query_string_and_no_email_is_attached(create_app: CreateApp) -> None:
    app, recorder = made(create_app, CAPTURE=["path", "page_url", "referrer", "search"])
    signed_in(app).get(
        "/whoever?token=SECRET&email=a@b.example&utm_source=news",
        headers={"Referer": "https://shop.example/a?token=SECRET"},
    )
    (call,) = recorder.calls

    assert call.context["page_url"] == "http://localhost/whoever"
    assert call.context["search"] == "?utm_source=news"
    assert "SECRET" not in repr(call)
    assert "a@b.example" not in repr(call)


def test_defect_4_the_user_is_not_touched_by_a_request_that_captures_nothing(create_app: CreateApp) -> None:
    app, _ = made(create_app)
    app.after_request_funcs.clear()  # Flask-Login's own hook looks at the session of every request
    client = signed_in(app)
    app.config["LOADS"] = 0
    answer = client.get("/plain")

    assert (app.config["LOADS"], answer.headers.get("Vary"), answer.headers.get("Set-Cookie")) == (0, None, None)


@pytest.mark.parametrize("path", ["/whoever", "/async", "/stream", "/greeting"])
@pytest.mark.parametrize(
    "name", ["CONTEXT_PROCESSORS", "CONSENT", "BEFORE_SEND", "USER_ID", "USER_RESOLUTION", "LOGGER"]
)
def test_defect_5_a_raising_callback_turns_no_response_into_an_error(
    create_app: CreateApp, name: str, path: str
) -> None:
    class Raising:
        def __call__(self, *_: Any) -> Any:
            raise RuntimeError("on purpose")

        debug = info = warn = error = __call__

    given: Any = [Raising()] if name == "CONTEXT_PROCESSORS" else Raising()
    app, _ = made(create_app, **{name: given})
    answer = signed_in(app).get(path)

    assert (answer.status_code, answer.text) in [(200, text) for text in ("whoever", "async", "one two", "user-7")]


def test_defect_6_the_context_is_there_inside_a_streaming_body(create_app: CreateApp) -> None:
    app, recorder = made(create_app)
    assert signed_in(app).get("/stream").text == "one two"

    assert [call.properties["where"] for call in recorder.calls] == ["before", "first chunk", "last chunk"]
    assert {(call.user_id, call.context["path"]) for call in recorder.calls} == {("user-7", "/stream")}


def test_defect_7_no_context_overwrites_explicit_event_properties(create_app: CreateApp, itly: Any) -> None:
    app, recorder = made(create_app, CONTEXT_PROCESSORS=[lambda request: {"where": "processor", "count": 7}])
    app.test_client().get("/seen/explicit")
    with app.app_context():
        itly.track("user-1", itly.Event("Seen", {"where": "own", "version": "2.0"}))
    first, second = recorder.calls

    assert dict(first.properties) == {"where": "explicit", "version": "1.0"}
    assert second.properties["version"] == "2.0"


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("ajs_anonymous_id=browser-1", "browser-1"),
        ("AMP_0123456789=JTdCJTIyZGV2aWNlSWQlMjIlM0ElMjJkZXZpY2UtMSUyMiU3RA==", "device-1"),
        ("ph_key_posthog=%7B%22distinct_id%22%3A%22hog-1%22%7D", "hog-1"),
        ("ajs_anonymous_id=jane@example.org", None),
        ("session=abcdefgh", None),
    ],
    ids=["segment", "amplitude", "posthog", "an address", "a session"],
)
def test_the_browsers_id_is_adopted_from_vendors_cookies_only(
    create_app: CreateApp, cookies: str, expected: str | None
) -> None:
    app, recorder = made(create_app)
    app.test_client(use_cookies=False).get("/nobody", headers={"Cookie": cookies})

    found = {call.anonymous_id for call in recorder.calls}
    assert len(found) == 1
    assert (found == {expected}) if expected else not any(value in cookies for value in found)
