"""A response is byte for byte the same with and without the integration, as long as nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.django.conftest import run

VISITS = """
import asyncio, json, warnings
warnings.simplefilter("error")
import django; django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection, reset_queries
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext, override_settings
from asgiref.sync import sync_to_async

jane = get_user_model().objects.get(username="jane")
PATHS = ["/plain/", "/session/", "/user/", "/plain-stream/", "/nowhere/", "/headers/?utm_source=x", "/cached/", "/cached/"]
seen = []

def note(response, queries):
    body = b"" if "cached" in response.request["PATH_INFO"] else response.getvalue()
    headers = {name: value for name, value in response.items() if name not in ("Age", "Expires", "Last-Modified")}
    cookies = {name: {**morsel, "expires": ""} for name, morsel in response.cookies.items()}
    names = sorted(cookies)
    seen.append([response.status_code, headers, body.decode(), names, queries])

for is_signed_in in (False, True):
    for method in ("get", "head", "post", "options"):
        client = Client(raise_request_exception=False)
        if is_signed_in:
            client.force_login(jane)
        cache.clear()
        for path in PATHS:
            with CaptureQueriesContext(connection) as queries:
                response = getattr(client, method)(path, HTTP_HOST="localhost")
            note(response, [query["sql"].partition(" ")[0] for query in queries])
        cached = [client.get("/cached/").content for _ in range(2)]
        assert cached[0] == cached[1]

async def visit_asynchronously():
    # The same through Django's ASGI handler. Queries are made in threads of its own.
    for is_signed_in in (False, True):
        client = AsyncClient(raise_request_exception=False)
        if is_signed_in:
            await sync_to_async(client.force_login)(jane)
        for path in ("/async-plain/", "/async-plain-stream/", *(path for path in PATHS if path != "/plain-stream/")):
            with override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}):
                response = await client.get(path, headers={"host": "localhost"})
            body = b"".join([part async for part in response]) if response.streaming else response.content
            body = b"" if "cached" in path else body
            headers = {name: value for name, value in response.items() if name not in ("Age", "Expires", "Last-Modified")}
            seen.append([response.status_code, headers, body.decode(), sorted(response.cookies), []])

asyncio.run(visit_asynchronously())

CACHED = ["django.middleware.cache.UpdateCacheMiddleware", *settings.MIDDLEWARE, "django.middleware.cache.FetchFromCacheMiddleware"]
with override_settings(MIDDLEWARE=CACHED):  # the whole site cached, as its documentation says
    cache.clear()
    for path in ("/plain/", "/user/", "/headers/"):
        for is_signed_in in (False, True, True):
            client = Client(headers={"host": "localhost"})
            if is_signed_in:
                client.force_login(jane)
            with CaptureQueriesContext(connection) as queries:
                note(client.get(path), len(queries))
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def visits(site_dir: Path) -> tuple[Any, Any]:
    """The same visits to the bare site and to the one with the integration."""
    bare, ours = (json.loads(run(VISITS, cwd=site_dir, SITE_BARE=flag)) for flag in ("1", "0"))
    return bare, ours


def test_scenario_24_status_headers_body_cookies_and_queries_are_the_same(visits: tuple[Any, Any]) -> None:
    bare, ours = visits

    assert len(bare) == 64 + 18 + 9
    assert ours == bare


def test_scenario_23_only_pages_that_look_at_the_session_vary(visits: tuple[Any, Any]) -> None:
    _, ours = visits

    assert [headers.get("Vary") for _, headers, *_ in ours[:4]] == [None, "Cookie", "Cookie", None]
