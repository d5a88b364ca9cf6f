"""What a call in a view carries, and what it leaves alone. Calls are recorded, because this is pytest."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import auth
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext, override_settings

from itly_core.testing import Recorder, recording
from itly_web.django.middleware import ItlyMiddleware
from itly_web.scope import Scope, bind, current
from tests.django_site import views

pytestmark = pytest.mark.django_db  # closing a response asks the connection whether it is still good


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def where(recorder: Recorder) -> list[Any]:
    return [call.properties["where"] for call in recorder.calls]


def users(recorder: Recorder) -> list[Any]:
    return [call.user_id for call in recorder.calls]


def test_a_call_carries_the_facts_of_its_request(client: Client, recorder: Recorder) -> None:
    client.get(
        "/seen/door/?utm_source=news&token=secret",
        headers={
            "user-agent": "Test/1",
            "referer": "https://news.example/a?b",
            "accept-language": "de",
            "x-request-id": "r1",
        },
        REMOTE_ADDR="203.0.113.77",
    )

    (call,) = recorder.calls
    assert (call.name, call.user_id, call.properties["version"]) == ("Seen", "user-1", "1.0")
    assert call.context == {
        "method": "GET",
        "path": "/seen/door/",
        "route": "seen/<str:where>/",
        "referrer": "https://news.example/a",
        "user_agent": "Test/1",
        "locale": "de",
        "campaign": {"source": "news"},
        "search": "?utm_source=news",
        "request_id": "r1",
        "ip": "203.0.113.0",
    }


def test_nobody_is_one_and_the_same_in_a_request(client: Client, recorder: Recorder) -> None:
    client.get("/whoever/")
    client.get("/whoever/")

    first, second, third, _ = (call.anonymous_id for call in recorder.calls)
    assert users(recorder) == [None] * 4
    assert first == second != third


def test_the_signed_in_user_is_found(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    client.get("/whoever/", headers={"cookie": f"ajs_anonymous_id=browser-1; {session_cookie(client)}"})

    assert users(recorder) == [str(jane.pk)] * 2
    assert [call.anonymous_id for call in recorder.calls] == ["browser-1"] * 2
    assert "jane" not in repr(recorder.calls)


def session_cookie(client: Client) -> str:
    return f"sessionid={client.cookies['sessionid'].value}"


def test_scenario_26_signing_in_and_out_counts_from_the_next_call(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.get("/sign-in/")
    client.get("/sign-out/")

    assert list(zip(where(recorder), users(recorder), strict=True)) == [
        ("before", None),
        ("after", str(jane.pk)),
        ("out", None),
    ]


def test_scenario_27_a_user_set_by_the_view_wins(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    client.get("/token/")

    assert users(recorder) == ["4711"]


@pytest.mark.parametrize("path", ["/plain/", "/plain-stream/", "/seen/x/", "/threads/"])
def test_scenario_23_24_a_view_that_does_not_need_the_user_costs_no_query_and_no_vary(
    client: Client, recorder: Recorder, jane: Any, path: str
) -> None:
    client.force_login(jane)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(path)

    if path != "/threads/":  # its calls name nobody: the user is read
        assert len(queries) == 0
    assert not response.has_header("Vary")
    assert not response.cookies


def test_scenario_23_reading_the_user_for_a_call_adds_no_vary(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/whoever/")

    assert users(recorder) == [str(jane.pk)] * 2
    assert not response.has_header("Vary")
    assert len(queries) == 2  # the session and the user, once for both calls


@pytest.mark.parametrize("path", ["/event-then-user/", "/user-then-event/"])
def test_scenario_23_a_page_that_shows_the_user_still_varies(
    client: Client, recorder: Recorder, jane: Any, path: str
) -> None:
    client.force_login(jane)
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)

    assert response.content.decode() == str(jane.pk)
    assert response["Vary"] == "Cookie"
    assert users(recorder) == [str(jane.pk)]
    assert len(queries) == 2


def test_scenario_23_a_stale_session_cookie_is_not_deleted_by_a_call(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.force_login(jane)
    client.session.delete()
    response = client.get("/whoever/")

    assert users(recorder) == [None, None]
    assert not response.cookies
    assert not response.has_header("Vary")


def test_scenario_23_a_session_that_reading_changes_is_kept_changed(
    client: Client, recorder: Recorder, jane: Any
) -> None:
    client.force_login(jane)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["test"]):
        response = client.get("/whoever/")
        again = client.get("/user/")

    assert users(recorder) == [str(jane.pk)] * 2
    assert response.cookies["sessionid"].value
    assert again.content.decode() == str(jane.pk)


def test_scenario_23_caches_still_hit(client: Client, recorder: Recorder, jane: Any) -> None:
    first = client.get("/cached/")
    client.force_login(jane)

    assert client.get("/cached/").content == first.content
    assert not recorder.calls


def test_scenario_23_a_page_with_a_call_is_cached_for_all(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    first = client.get("/cached-event/")

    assert Client().get("/cached-event/").content == first.content
    assert users(recorder) == [str(jane.pk)]


def test_scenario_34_a_streaming_body_knows_its_request(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    response = client.get("/stream/")
    assert current() is None
    body = response.getvalue()

    assert body == b"one two"
    assert where(recorder) == ["first chunk", "last chunk"]
    assert users(recorder) == [str(jane.pk)] * 2
    assert {call.context["path"] for call in recorder.calls} == {"/stream/"}


def test_scenario_35_an_abandoned_stream_is_nobodys_problem(client: Client, recorder: Recorder) -> None:
    response = client.get("/stream/")
    parts = iter(response.streaming_content)  # type: ignore[attr-defined]
    assert next(parts) == b"one "
    response.close()

    assert where(recorder) == ["first chunk"]
    assert current() is None


def test_scenario_15_a_file_response_is_not_wrapped(recorder: Recorder) -> None:
    response = ItlyMiddleware(views.file)(RequestFactory().get("/file/"))

    assert response.file_to_stream is not None  # type: ignore[union-attr]  # what servers hand to the kernel
    assert where(recorder) == ["file"]


def test_scenario_21_a_thread_needs_the_scope_copied(client: Client, recorder: Recorder, db: None) -> None:
    client.get("/threads/")

    by_where = {call.properties["where"]: call for call in recorder.calls}
    assert by_where["copied"].context["path"] == "/threads/"
    assert not by_where["not copied"].context


def test_scenario_29_the_body_is_left_alone(client: Client, recorder: Recorder) -> None:
    response = client.post("/upload/", {"file": SimpleUploadedFile("a.txt", b"content")})

    assert (response.status_code, response.content) == (200, b"content")
    assert where(recorder) == ["upload"]


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "[::1", "\udcff"])
def test_scenario_30_a_bad_host_changes_nothing(client: Client, recorder: Recorder, host: str) -> None:
    response = client.get("/seen/x/", HTTP_HOST=host)

    assert (response.status_code, where(recorder)) == (200, ["x"])


def test_scenario_36_what_was_said_before_an_error_is_kept(client: Client, recorder: Recorder) -> None:
    assert client.get("/boom/").status_code == 500
    assert client.get("/missing/").status_code == 404

    assert where(recorder) == ["boom", "missing"]


def test_scenario_20_nothing_is_bound_after_a_request(client: Client, recorder: Recorder) -> None:
    for path in ("/seen/x/", "/boom/", "/stream/", "/file/"):
        client.get(path)

        assert current() is None


def test_scenario_50_an_invalid_call_in_production_is_kept_and_flagged(
    client: Client, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/invalid/")

    (call,) = recorder.calls
    assert response.content == b"invalid"
    assert [violation.path for violation in call.violations] == ["where"]
    assert "'Seen' breaks the tracking plan: where (type)" in caplog.text


def test_scenario_50_an_invalid_call_in_development_raises_at_the_call(client: Client) -> None:
    with override_settings(ITLY={"PACKAGE": "site_events", "ENVIRONMENT": "development", "CONTEXT": {"version": "1"}}):
        assert client.get("/invalid/").status_code == 500


def test_scenario_44_a_call_outside_a_request_has_no_request_context(recorder: Recorder) -> None:
    import site_events

    site_events.seen("user-1", where="shell")

    (call,) = recorder.calls
    assert (call.user_id, dict(call.context)) == ("user-1", {})


def test_loading_the_package_again_is_refused(recorder: Recorder) -> None:
    import site_events

    with pytest.raises(site_events.AlreadyLoaded):
        site_events.load(site_events.Options())


def test_recording_of_the_core_works_in_a_site_too(client: Client, recorder: Recorder) -> None:
    import site_events

    apps.get_app_config("itly_web_django").integration.reset()
    with recording(site_events, site_events.Options(context={"version": "1"})) as recorded:
        client.get("/seen/door/")

    assert recorded.names == ["Seen"]
    client.get("/seen/door/")
    assert recorded.names == ["Seen"]


def test_scenario_54_other_settings_make_another_client(client: Client, recorder: Recorder) -> None:
    integration = apps.get_app_config("itly_web_django").integration
    given = {"PACKAGE": "site_events", "CONTEXT": {"version": "2.0"}, "CAPTURE": ["method"], "IP": "off"}
    with override_settings(ITLY=given):
        client.get("/seen/x/")
        (call,) = integration.active().client.delivery.calls

    assert call.properties["version"] == "2.0"
    assert call.context == {"method": "GET"}
    client.get("/seen/y/")
    assert [call.properties["version"] for call in integration.active().client.delivery.calls] == ["1.0"]


def test_disabled_means_nothing_is_recorded_or_bound(client: Client) -> None:
    integration = apps.get_app_config("itly_web_django").integration
    with override_settings(ITLY={"PACKAGE": "site_events", "DISABLED": True}):
        assert client.get("/seen/x/").content == b"x"
        assert integration.active().reader is None


def test_scenario_38_listed_twice_the_second_one_does_nothing(recorder: Recorder) -> None:
    bound: list[Scope | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        bound.append(current())
        return HttpResponse()

    inner = ItlyMiddleware(view)

    def between(request: HttpRequest) -> HttpResponse:
        bound.append(current())
        return inner(request)  # type: ignore[return-value]

    ItlyMiddleware(between)(RequestFactory().get("/"))

    assert bound[0] is bound[1] is not None


def test_scenario_39_a_bare_request_is_enough(recorder: Recorder) -> None:
    import site_events

    def view(request: HttpRequest) -> HttpResponse:
        site_events.seen(where="factory")
        return HttpResponse("ok")

    response = ItlyMiddleware(view)(RequestFactory().get("/x"))

    assert response.content == b"ok"  # type: ignore[union-attr]
    assert recorder.calls[0].context["path"] == "/x"


def test_a_leftover_of_another_request_is_put_back_and_not_used(client: Client, recorder: Recorder) -> None:
    integration = apps.get_app_config("itly_web_django").integration
    leftover = Scope(RequestFactory().get("/leftover"), integration.active().reader)

    def visit() -> Any:
        bind(leftover)
        client.get("/seen/x/")
        return current()

    assert contextvars.copy_context().run(visit) is leftover
    assert recorder.calls[0].context["path"] == "/seen/x/"


def test_scenario_16_a_wake_up_that_raises_reaches_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def wake(self) -> None:
            raise RuntimeError("asleep")

        def flush(self, timeout_s: float) -> bool:
            raise RuntimeError("blocked")

    integration = apps.get_app_config("itly_web_django").integration
    for flush, text in ((None, "asleep"), ("after_response", "blocked"), ("before_response", "blocked")):
        with override_settings(ITLY={"PACKAGE": "site_events", "FLUSH": flush, "CONTEXT": {"version": "1"}}):
            integration.active().client.delivery = Broken()
            response = client.get("/plain/")
            request_finished.send(sender=WSGIHandler)

        assert (response.status_code, response.content) == (200, b"plain")
        assert text in caplog.text


def test_flush_is_asked_for_with_its_time_limit(client: Client) -> None:
    asked: list[float] = []

    class Timed(Recorder):
        def flush(self, timeout_s: float) -> bool:
            asked.append(timeout_s)
            return True

    integration = apps.get_app_config("itly_web_django").integration
    for flush in ("after_response", "before_response"):
        given = {"PACKAGE": "site_events", "FLUSH": flush, "FLUSH_TIMEOUT": 0.25, "CONTEXT": {"version": "1"}}
        with override_settings(ITLY=given):
            integration.active().client.delivery = Timed()
            client.get("/seen/x/").close()
            client.get("/stream/").getvalue()

    assert set(asked) == {0.25}


# Asynchronous views


def get(client: AsyncClient, path: str) -> Any:
    async def visit() -> Any:
        response = await client.get(path)
        if response.streaming:
            response.body = b"".join([part async for part in response])
        return response

    return asyncio.run(visit())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "path", ["/async-whoever/", "/async-loaded/", "/async-thread/", "/async-boom/", "/whoever/", "/sync-in-async-out/"]
)
def test_scenario_25_the_user_is_found_in_an_async_site(
    async_client: AsyncClient, recorder: Recorder, jane: Any, path: str
) -> None:
    if path == "/async-loaded/" and not hasattr(auth, "aget_user"):
        pytest.skip("before Django 5.0 an async view cannot read its user")
    async_client.force_login(jane)
    response = get(async_client, path)

    assert set(users(recorder)) == {str(jane.pk)}
    if path != "/async-boom/":  # error reports of Django 4.2 read the user
        assert response.has_header("Vary") == (path == "/async-loaded/")


@pytest.mark.django_db(transaction=True)
def test_scenario_25_an_async_view_in_a_sync_site_finds_its_user(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    for path in ("/async-whoever/", "/sync-in-async-out/"):
        response = client.get(path)
        assert not response.has_header("Vary")

    assert users(recorder) == [str(jane.pk)] * 2
    assert recorder.calls[0].context["path"] == "/async-whoever/"


@pytest.mark.django_db(transaction=True)
def test_scenario_25_nobody_in_an_async_view_gets_a_random_id(async_client: AsyncClient, recorder: Recorder) -> None:
    get(async_client, "/async-whoever/")

    (call,) = recorder.calls
    assert call.user_id is None
    assert call.anonymous_id is not None
    assert not call.violations


@pytest.mark.django_db(transaction=True)
def test_scenario_34_an_async_streaming_body_knows_its_request(
    async_client: AsyncClient, recorder: Recorder, jane: Any
) -> None:
    async_client.force_login(jane)
    response = get(async_client, "/async-stream/")

    assert response.body == b"one two"
    assert where(recorder) == ["first chunk", "last chunk"]
    assert users(recorder) == [str(jane.pk)] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
def test_scenario_34_a_synchronous_body_in_an_async_site_knows_its_request(
    async_client: AsyncClient, recorder: Recorder, jane: Any
) -> None:
    async_client.force_login(jane)
    response = get(async_client, "/stream/")

    assert response.body == b"one two"
    assert where(recorder) == ["first chunk", "last chunk"]
    assert users(recorder) == [str(jane.pk)] * 2
    assert current() is None


@pytest.mark.skipif(not hasattr(auth, "aget_user"), reason="before Django 5.0 an async view cannot read its user")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("call", ["?call", ""], ids=["after a call of the view", "the first call"])
def test_a_task_that_outlives_the_response_knows_what_was_read_of_its_request(
    async_client: AsyncClient, recorder: Recorder, jane: Any, call: str
) -> None:
    async_client.force_login(jane)

    async def visit() -> None:
        await async_client.get(f"/async-later/{call}")
        while views.LATER:
            await views.LATER.pop()

    asyncio.run(visit())
    last = recorder.calls[-1]

    assert last.properties["where"] == "afterwards"
    assert (last.user_id, last.context.get("path")) == ((str(jane.pk), "/async-later/") if call else (None, None))


def test_fifty_async_requests_at_once_keep_apart(async_client: AsyncClient, recorder: Recorder) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(async_client.get(f"/gathered/?n={n}&utm_source=s{n}") for n in range(50)))

    asyncio.run(all_at_once())

    assert len(recorder.calls) == 150
    for call in recorder.calls:
        assert call.user_id == f"user-{call.properties['where']}"
        assert call.context["campaign"] == {"source": f"s{call.properties['where']}"}


def test_scenario_33_a_visitor_who_leaves_does_not_take_the_calls_along(recorder: Recorder) -> None:
    import site_events

    started = asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        request.user = _unread_user()
        site_events.seen(where="waiting")
        started.set()
        await asyncio.sleep(60)
        return HttpResponse()

    async def visit() -> None:
        task = asyncio.ensure_future(ItlyMiddleware(view)(RequestFactory().get("/x")))  # type: ignore[arg-type]
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(visit())

    (call,) = recorder.calls
    assert (call.user_id, call.context["path"]) == (None, "/x")
    assert call.anonymous_id is not None


def _unread_user() -> Any:
    from django.utils.functional import SimpleLazyObject

    return SimpleLazyObject(lambda: pytest.fail("read in an event loop"))
