"""Django Channels: a consumer's calls know their connection where they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import requests
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.test.utils import override_settings

from itly_core.testing import Recorder
from itly_web.django.testing import recorder as current_recorder
from itly_web.scope import current
from sample_projects.local_sink import LocalSink
from tests.django.conftest import SETTINGS

pytestmark = pytest.mark.django_db(transaction=True)

HEADERS = [(b"user-agent", b"Test/1"), (b"host", b"localhost"), (b"origin", b"http://localhost")]


def talk(path: str, *words: str, cookie: str = "", more: dict[str, Any] | None = None) -> None:
    """Connect, say each word and wait for its answer."""

    async def conversation() -> None:
        from tests.django_site.consumers import application

        headers = [*HEADERS, (b"cookie", cookie.encode())]
        communicator = WebsocketCommunicator(application, path, headers=headers)
        communicator.scope.update({"client": ("203.0.113.77", 1234), **(more or {})})
        assert (await communicator.connect())[0]
        for word in words:
            await communicator.send_json_to({"do": word})
            assert await communicator.receive_json_from(timeout=20) == {"done": word}
        await communicator.disconnect()

    asyncio.run(conversation())


def session_cookie(client: Client) -> str:
    return f"sessionid={client.cookies['sessionid'].value}"


@pytest.mark.parametrize("path", ["/chat/", "/sync/"])
def test_a_consumers_call_carries_its_connection(client: Client, recorder: Recorder, jane: Any, path: str) -> None:
    client.force_login(jane)
    talk(f"{path}?utm_source=news&token=secret", "greet", cookie=session_cookie(client))

    for call in recorder.calls:
        assert call.user_id == str(jane.pk)
        assert call.context["path"] == path
        assert (call.context["user_agent"], call.context["ip"]) == ("Test/1", "203.0.113.0")
        assert call.context["campaign"] == {"source": "news"}
        assert "secret" not in repr(call)
    assert recorder.calls[0].properties["where"] == "greet"


def test_nobody_has_one_id_as_long_as_the_connection_lives(recorder: Recorder) -> None:
    talk("/chat/", "one", "two")
    talk("/chat/", "three")

    ids = [call.anonymous_id for call in recorder.calls]
    assert len(set(ids[:4])) == 1
    assert len(set(ids)) == 2
    assert [call.user_id for call in recorder.calls] == [None] * 6


def test_signing_in_counts_from_the_next_call_and_joins_the_browser(recorder: Recorder, jane: Any) -> None:
    talk("/chat/", "before", "sign in", "after", cookie="ajs_anonymous_id=browser-1")

    found = [(call.kind, call.user_id) for call in recorder.calls]
    assert found[:2] == [("track", None)] * 2
    assert found[2] == ("alias", str(jane.pk))
    assert found[3:] == [("track", str(jane.pk))] * 4


def test_without_being_told_a_consumers_call_has_no_request_context(recorder: Recorder) -> None:
    talk("/unbound/", "alone")

    (call,) = recorder.calls
    assert (call.user_id, dict(call.context)) == ("user-1", {})
    assert current() is None


def test_the_functions_of_the_settings_get_the_handshake(recorder: Recorder) -> None:
    def processor(request: Any) -> dict[str, Any]:
        return {"seen": [request.path, request.headers["User-Agent"], request.user.is_anonymous]}

    with override_settings(ITLY={**SETTINGS, "CONTEXT_PROCESSORS": [processor], "CONSENT": lambda request: "granted"}):
        talk("/chat/", "hello")

        assert current_recorder().calls[0].context["seen"] == ["/chat/", "Test/1", True]


def test_a_connection_without_user_session_or_address_is_enough(recorder: Recorder) -> None:
    import site_events

    from itly_web.django.channels import bind_consumer

    connection: dict[str, Any] = {"type": "websocket", "path": "/bare/", "headers": [], "query_string": b""}
    with bind_consumer(connection):
        site_events.seen(where="bare")

    (call,) = recorder.calls
    assert (call.user_id, call.context["path"]) == (None, "/bare/")


def test_disabled_binds_nothing() -> None:
    from itly_web.django.channels import bind_consumer

    with override_settings(ITLY={**SETTINGS, "DISABLED": True}), bind_consumer({}):
        assert current() is None


def test_daphne_delivers_the_events_of_views(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("daphne") as server:
        assert requests.get(f"{server.url}/seen/door/", timeout=10).text == "door"
        assert requests.get(f"{server.url}/async-seen/", timeout=10).text == "async"
        events = sink.wait_for(2)

    assert {event["event_properties"]["where"] for event in events} == {"door", "async"}
