"""Who a call belongs to: what the client claims never counts, and any user model does.

Numbers of defects: docs/web-scenarios.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from itly_core.testing import Recorder
from itly_web.django.testing import recorder as current_recorder
from tests.django.conftest import SETTINGS, run

pytestmark = pytest.mark.django_db

# What other libraries take a visitor's identity, session or address from.
CLAIMS = {
    "x-posthog-distinct-id": "mallory",
    "x-posthog-session-id": "mallory",
    "x-user-id": "mallory",
    "x-distinct-id": "mallory",
    "x-amplitude-user-id": "mallory",
    "x-device-id": "mallory",
    "x-real-ip": "6.6.6.6",
    "true-client-ip": "6.6.6.6",
    "cf-connecting-ip": "6.6.6.6",
    "forwarded": "for=6.6.6.6",
    "x-forwarded-for": "6.6.6.6, 10.0.0.1",
    "remote-user": "mallory",
}
COOKIES = {"ajs_user_id": "mallory", "user_id": "mallory", "uid": "mallory"}


def visit(client: Client, path: str) -> Any:
    client.cookies.load(COOKIES)
    return client.get(path, {"user_id": "mallory", "distinct_id": "mallory"}, headers=CLAIMS)


def test_defect_1_client_supplied_identity_does_not_override_the_logged_in_user(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.force_login(jane)
    visit(client, "/whoever/")

    assert [call.user_id for call in recorder.calls] == [str(jane.pk)] * 2
    assert "mallory" not in repr(recorder.calls)


def test_client_supplied_identity_makes_nobody_somebody(client: Client, recorder: Recorder) -> None:
    visit(client, "/whoever/")

    assert [call.user_id for call in recorder.calls] == [None] * 2
    assert "mallory" not in repr(recorder.calls)


def test_defect_2_the_ip_is_one_address_and_the_connections_own(client: Client, recorder: Recorder) -> None:
    client.get("/seen/x/", headers=CLAIMS, REMOTE_ADDR="203.0.113.77")
    client.get("/seen/x/", REMOTE_ADDR="203.0.113.77")
    with override_settings(ITLY={**SETTINGS, "TRUSTED_PROXIES": 1}):
        client.get("/seen/x/", headers=CLAIMS, REMOTE_ADDR="10.0.0.2")
        (behind,) = current_recorder().calls

    assert [call.context["ip"] for call in recorder.calls] == ["203.0.113.0"] * 2
    assert behind.context["ip"] == "10.0.0.0"  # what the one proxy saw; 6.6.6.6 is the client's invention


def test_defect_3_the_url_has_no_query_string_and_no_email_is_attached(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.force_login(jane)
    with override_settings(ITLY={**SETTINGS, "CAPTURE": ["path", "page_url", "referrer", "search", "campaign"]}):
        client.get(
            "/whoever/?token=SECRET&email=a@b.example&utm_source=news",
            headers={"referer": "https://shop.example/a?token=SECRET", "host": "localhost"},
        )
        kept = current_recorder().calls

    assert kept[0].context["page_url"] == "http://localhost/whoever/"
    assert kept[0].context["search"] == "?utm_source=news"
    for word in ("SECRET", "a@b.example", jane.email, jane.username):
        assert word not in repr(kept)


def test_defect_4_the_user_is_not_touched_by_a_request_that_captures_nothing(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    from django.db import connection

    client.force_login(jane)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/plain/")

    assert (len(queries), response.has_header("Vary")) == (0, False)


@pytest.mark.parametrize(
    "name", ["CONTEXT_PROCESSORS", "CONSENT", "BEFORE_SEND", "USER_ID", "USER_RESOLUTION", "LOGGER"]
)
@pytest.mark.parametrize("path", ["/whoever/", "/async-whoever/", "/stream/"])
@pytest.mark.django_db(transaction=True)
def test_defect_5_a_raising_callback_turns_no_response_into_an_error(
    client: Client, jane: Any, name: str, path: str
) -> None:
    class Raising:
        def __call__(self, *_: Any) -> Any:
            raise RuntimeError("on purpose")

        debug = info = warn = error = __call__

    given: Any = [Raising()] if name == "CONTEXT_PROCESSORS" else Raising()
    client.force_login(jane)
    with override_settings(ITLY={**SETTINGS, name: given}):
        response = client.get(path)
        body = b"".join(response) if isinstance(response, StreamingHttpResponse) else response.content

    assert response.status_code == 200
    assert body in (b"whoever", b"async", b"one two")


def test_defect_6_the_context_is_there_inside_a_streaming_body(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    client.get("/stream/").getvalue()

    assert [(call.user_id, call.context["path"]) for call in recorder.calls] == [(str(jane.pk), "/stream/")] * 2


def test_defect_7_no_context_overwrites_explicit_event_properties(client: Client) -> None:
    import site_events

    def processor(request: Any) -> dict[str, Any]:
        return {"where": "processor", "count": 7}

    with override_settings(ITLY={**SETTINGS, "CONTEXT": {"version": "1.0"}, "CONTEXT_PROCESSORS": [processor]}):
        client.get("/seen/explicit/")
        site_events.track("user-1", site_events.Event("Seen", {"where": "own", "version": "2.0"}))
        first, second = current_recorder().calls

    assert dict(first.properties) == {"where": "explicit", "version": "1.0"}
    assert second.properties["version"] == "2.0"


# User models

OWN_MODEL = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
import uuid
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client
from django.test.utils import setup_test_environment
from itly_core.testing import recording
from itly_core.options import Options
import asyncio, site_events
from django.apps import apps
from itly_core.testing import Recorder
person = get_user_model().objects.create(handle="jo")
integration = apps.get_app_config("itly_web_django").integration
integration.active().client.delivery = recorder = Recorder()
client = Client(headers={"host": "localhost"})
client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
client.get("/whoever/")
client.get("/user-then-event/")
print({call.user_id for call in recorder.calls} == {str(person.pk)}, uuid.UUID(recorder.calls[0].user_id) == person.pk)
"""


def test_a_user_model_of_the_sites_own_with_another_kind_of_key(tmp_path: Path) -> None:
    given = {"DESTINATIONS": {"all": {"disabled": True}}, "DELIVERY": {"MODE": "memory"}}
    said = run(OWN_MODEL, cwd=tmp_path, settings=given, SITE_USER_MODEL="people.Person")

    assert said == "True True\n"


def test_an_id_chosen_of_the_user_model_is_sent_instead(client: Client, jane: Any) -> None:
    for chosen, expected in (("username", "jane"), (lambda user: user.pk * 2, str(jane.pk * 2)), ("no_such", None)):
        client.force_login(jane)
        with override_settings(ITLY={**SETTINGS, "USER_ID": chosen}):
            client.get("/whoever/")

            assert {call.user_id for call in current_recorder().calls} == {expected}


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ({"ajs_anonymous_id": "browser-1"}, "browser-1"),
        ({"AMP_0123456789": "JTdCJTIyZGV2aWNlSWQlMjIlM0ElMjJkZXZpY2UtMSUyMiU3RA=="}, "device-1"),
        ({"ph_key_posthog": "%7B%22distinct_id%22%3A%22hog-1%22%7D"}, "hog-1"),
        ({"ajs_anonymous_id": "jane@example.org"}, None),
        ({"sessionid": "a" * 32}, None),
    ],
    ids=["segment", "amplitude", "posthog", "an address", "a session"],
)
def test_the_browsers_id_is_adopted_from_vendors_cookies_only(
    client: Client, recorder: Recorder, cookies: dict[str, str], expected: str | None
) -> None:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    client.get("/whoever/", headers={"cookie": header})

    found = {call.anonymous_id for call in recorder.calls}
    assert len(found) == 1
    assert (found == {expected}) if expected else (found.isdisjoint(cookies.values()))
