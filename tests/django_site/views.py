from __future__ import annotations

import asyncio
import io
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import site_events as itly
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model, login, logout
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.csrf import csrf_exempt

from itly_web.scope import copy_scope

VIEWS: dict[str, Callable[..., Any]] = {}


def view(function: Callable[..., Any]) -> Callable[..., Any]:
    VIEWS[function.__name__.replace("_", "-")] = function
    return function


@view
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


@view
def session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = True
    return HttpResponse("session")


@view
def user(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


@view
@cache_page(60)
def cached(request: HttpRequest) -> HttpResponse:
    return HttpResponse(os.urandom(8).hex())


@view
@cache_page(60)
def cached_event(request: HttpRequest) -> HttpResponse:
    itly.seen(where="cached")
    return HttpResponse(os.urandom(8).hex())


def seen_at(request: HttpRequest, where: str) -> HttpResponse:
    itly.seen("user-1", where=where)
    return HttpResponse(where)


@view
def whoever(request: HttpRequest) -> HttpResponse:
    itly.seen(where="first")
    itly.seen(where="second")
    return HttpResponse("whoever")


@view
def event_then_user(request: HttpRequest) -> HttpResponse:
    held = request.user
    itly.seen(where="before the view looks")
    return HttpResponse(str(held.pk))


@view
def user_then_event(request: HttpRequest) -> HttpResponse:
    name = str(request.user.pk)
    itly.seen(where="after the view looked")
    return HttpResponse(name)


@view
def token(request: HttpRequest) -> HttpResponse:
    """As Django REST framework does after checking a token."""
    request.user = SimpleNamespace(is_authenticated=True, pk=4711)  # type: ignore[assignment]
    itly.seen(where="token")
    return HttpResponse("token")


@view
def sign_in(request: HttpRequest) -> HttpResponse:
    itly.seen(where="before")
    login(request, get_user_model().objects.get(username="jane"))
    itly.seen(where="after")
    return HttpResponse("in")


@view
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    itly.seen(where="out")
    return HttpResponse("out")


@view
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        itly.seen(where="first chunk")
        yield "one "
        itly.seen(where="last chunk")
        yield "two"

    return StreamingHttpResponse(body())


@view
def plain_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(["one ", "two"]))


@view
async def async_plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


@view
async def async_plain_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        yield "one "
        yield "two"

    return StreamingHttpResponse(body())


@view
async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        itly.seen(where="first chunk")
        yield "one "
        await asyncio.sleep(0)
        itly.seen(where="last chunk")
        yield "two"

    return StreamingHttpResponse(body())


@view
async def async_endless_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        itly.seen(where="waiting for its user")
        while True:
            yield "more "
            await asyncio.sleep(0.01)

    return StreamingHttpResponse(body())


@view
def file(request: HttpRequest) -> FileResponse:
    itly.seen("user-1", where="file")
    return FileResponse(io.BytesIO(b"x" * 100_000), content_type="application/octet-stream")


@view
async def async_seen(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where="async")
    return HttpResponse("async")


@view
async def async_whoever(request: HttpRequest) -> HttpResponse:
    itly.seen(where="waiting")
    return HttpResponse("async")


@view
async def async_endless(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where="known user")
    itly.seen(where="waiting")
    await asyncio.sleep(60)
    return HttpResponse("never")


LATER: list[asyncio.Task[None]] = []


@view
async def async_later(request: HttpRequest) -> HttpResponse:
    """Starts something that goes on when the response is out."""

    async def afterwards() -> None:
        await asyncio.sleep(0.05)
        itly.seen(where="afterwards")

    await request.auser()
    if "call" in request.GET:
        itly.seen(where="in the view")
    LATER.append(asyncio.create_task(afterwards()))
    return HttpResponse("later")


@view
async def async_loaded(request: HttpRequest) -> HttpResponse:
    await request.auser()
    itly.seen(where="loaded")
    return HttpResponse("async")


@view
async def async_thread(request: HttpRequest) -> HttpResponse:
    await sync_to_async(lambda: itly.seen(where="thread of an async view"))()
    return HttpResponse("async")


@view
async def async_boom(request: HttpRequest) -> HttpResponse:
    itly.seen(where="before the error")
    raise RuntimeError("on purpose")


@view
def sync_in_async_out(request: HttpRequest) -> HttpResponse:
    async def inner() -> None:
        itly.seen(where="async inside sync")

    async_to_sync(inner)()
    return HttpResponse("done")


@view
async def gathered(request: HttpRequest) -> HttpResponse:
    """Its visitor's number, again after others had their turn."""
    number = request.GET["n"]
    for _ in range(3):
        await asyncio.sleep(0.001)
        itly.seen(f"user-{number}", where=number)
    return HttpResponse(number)


@view
def threads(request: HttpRequest) -> HttpResponse:
    def work(where: str) -> None:
        itly.seen(where=where)

    for function, where in ((copy_scope(work), "copied"), (work, "not copied")):
        thread = threading.Thread(target=function, args=(where,))
        thread.start()
        thread.join()
    return HttpResponse("threads")


@view
def boom(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where="boom")
    raise RuntimeError("on purpose")


@view
def missing(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where="missing")
    raise Http404


@view
def invalid(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where=7)  # type: ignore[arg-type]
    return HttpResponse("invalid")


@view
@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Touching the body before this would make setting the handlers an error."""
    itly.seen("user-1", where="upload")
    request.upload_handlers = list(request.upload_handlers)
    return HttpResponse(request.FILES["file"].read())


@view
@csrf_exempt
def raw_body(request: HttpRequest) -> HttpResponse:
    """Reads the body as a stream, which is only there for who reads first."""
    itly.seen("user-1", where="raw body")
    return HttpResponse(b"".join(iter(lambda: request.read(7), b"")))


@view
def lazy_values(request: HttpRequest) -> HttpResponse:
    """What Django hands to views is often a promise of a value."""
    itly.seen(request.user.pk, where=gettext_lazy("Home"), count=SimpleLazyObject(lambda: 3))  # type: ignore[arg-type]
    itly.track(None, itly.Event("Seen", {"where": lazystr(request.user), "count": 1}))
    itly.identify("user-1", plan=SimpleLazyObject(lambda: "pro"))  # type: ignore[arg-type]
    return HttpResponse("lazy")


@view
def exposed(request: HttpRequest) -> HttpResponse:
    """Asks a feature flag thrice, as templates and views do."""
    for _ in range(3):
        itly.seen(where=request.GET["variant"], options=itly.EventOptions(once="flag checkout"))
    return HttpResponse("exposed")


@view
@csrf_exempt
def ingest(request: HttpRequest) -> JsonResponse:
    """A vendor's endpoint that this very site hosts, and that makes a call for every batch it takes."""
    itly.seen("user-1", where="ingested")
    return JsonResponse({"code": 200})


@view
def pid(request: HttpRequest) -> HttpResponse:
    itly.seen("user-1", where=f"pid {os.getpid()}")
    return HttpResponse(str(os.getpid()))


@view
def stats(request: HttpRequest) -> JsonResponse:
    return JsonResponse(itly.stats())


@view
def headers(request: HttpRequest) -> HttpResponse:
    """What Django itself makes of the request."""
    return HttpResponse(json.dumps(sorted(request.META.get(name, "") for name in ("HTTP_HOST", "QUERY_STRING"))))


@view
def rolled_back(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        itly.seen("user-1", where="kept")
        try:
            with transaction.atomic():
                itly.seen("user-1", where="savepoint rolled back")
                raise RuntimeError("on purpose")
        except RuntimeError:
            pass
    itly.seen("user-1", where="outside")
    with transaction.atomic():
        itly.seen("user-1", where="rolled back")
        transaction.set_rollback(True)
    return HttpResponse("rolled back")


@view
@cache_control(private=True)
def private(request: HttpRequest) -> HttpResponse:
    itly.seen(where="private")
    return HttpResponse("private")


@view
@cache_control(private=True)
def private_plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("private")


@view
def start(request: HttpRequest) -> HttpResponse:
    """Starts tasks. how: a key of tasks.STARTERS. look: the view reads its user first; call: it makes a call first."""
    from . import tasks

    if "look" in request.GET:
        str(request.user.pk)
    if "call" in request.GET:
        itly.seen(where="view")
    tasks.STARTERS[request.GET["how"]](request.GET["where"])
    return HttpResponse("started")


@view
def taking_turns(request: HttpRequest) -> HttpResponse:
    """The same as `gathered`, in threads or greenlets."""
    number = request.GET["n"]
    for _ in range(3):
        time.sleep(0.001)
        itly.seen(f"user-{number}", where=number)
    return HttpResponse(number)
