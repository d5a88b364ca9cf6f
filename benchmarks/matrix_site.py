"""The sites of matrix.py, in Django and in Flask, and their tasks. Every visitor is known by a number.

`/visit/?n=N` makes two calls with a pause between them, in which the server turns to others, and answers with the number
and the process that made them: from then on both are accepted. `/start/?n=N` has a task do so, which says it through Redis.
MATRIX_ITLY: the ITLY settings as JSON. MATRIX_REDIS: socket of the Redis server.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

SETTINGS = json.loads(os.environ.get("MATRIX_ITLY", "{}"))
PAUSE_S = 0.002
DONE = "matrix-done"  # the list in Redis where tasks say that their calls are accepted


def headers_of(number: str) -> Mapping[str, str]:
    """What tells one visitor from another, besides the campaign in the address."""
    return {"X-User": f"user-{number}", "X-Request-ID": f"request-{number}", "User-Agent": f"agent/{number}"}


def user_of(request: Any) -> str | None:
    """USER_RESOLUTION."""
    return request.headers.get("X-User")  # type: ignore[no-any-return]


def call(number: str, step: str) -> None:
    import matrix_events as itly

    itly.visited(number=number, step=step, pid=os.getpid())


def visit(number: str) -> str:
    call(number, "first")
    time.sleep(PAUSE_S)
    call(number, "second")
    return f"{number} {os.getpid()}"


async def visit_async(number: str) -> str:
    call(number, "first")
    await asyncio.sleep(PAUSE_S)
    call(number, "second")
    return f"{number} {os.getpid()}"


def flask_site() -> Any:
    from flask import Flask, request

    from itly_web.flask import Itly

    app = Flask("matrix")
    app.config["ITLY"] = SETTINGS
    Itly(app)

    @app.get("/visit/")
    def visited() -> str:
        return visit(request.args["n"])

    @app.get("/start/")
    def start() -> str:
        celery_app().send_task("visit", (request.args["n"],))
        return "started"

    return app


def django_site() -> Any:
    """Sets Django up."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="matrix",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="matrix_urls",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "itly_web.django"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "itly_web.django.middleware.ItlyMiddleware"],
        ITLY=SETTINGS,
    )
    sys.modules["matrix_urls"] = sys.modules[__name__]
    django.setup(set_prefix=False)


def celery_app() -> Any:
    from celery import Celery, current_app

    if current_app.main == "matrix":
        return current_app
    app = Celery("matrix", broker=f"redis+socket://{os.environ['MATRIX_REDIS']}")
    app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)
    app.set_current()

    import itly_web.celery

    itly_web.celery.connect()

    @app.task(name="visit")
    def visit_and_tell(number: str) -> None:
        from redis import Redis

        Redis(unix_socket_path=os.environ["MATRIX_REDIS"]).rpush(DONE, visit(number))

    return app


def visit_many(app: Any, numbers: range) -> None:
    """As if these visitors came to a process of the site's own making."""
    for number in map(str, numbers):
        address = f"/visit/?n={number}&utm_source=source-{number}"
        with app.test_request_context(address, headers=headers_of(number)):
            os.write(1, f"{visit(number)}\n".encode())


def multiprocess(method: str, processes: int, requests: int) -> None:
    """Visits by several processes of multiprocessing, and one before by their parent, so that it has threads when it forks."""
    context = multiprocessing.get_context(method)
    visit_many(flask_site(), range(1))
    shares = [range(1 + start, requests, processes) for start in range(processes)]
    children = [context.Process(target=child, args=(share,)) for share in shares]
    for started in children:
        started.start()
    for started in children:
        started.join()
    print("all ended", flush=True)
    sys.stdin.read()  # lives on, as whoever ships what a dead child left


def child(numbers: range) -> None:
    visit_many(flask_site(), numbers)


if os.environ.get("MATRIX_FRAMEWORK") == "django":
    django_site()
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    if os.environ.get("MATRIX_ASYNC"):

        async def django_visit(request: HttpRequest) -> HttpResponse:
            return HttpResponse(await visit_async(request.GET["n"]))

        from django.core.asgi import get_asgi_application as get_application
    else:

        def django_visit(request: HttpRequest) -> HttpResponse:
            return HttpResponse(visit(request.GET["n"]))

        from django.core.wsgi import get_wsgi_application as get_application

    urlpatterns = [path("visit/", django_visit)]
    application = get_application()
elif os.environ.get("MATRIX_FRAMEWORK") == "flask":
    application = flask_site()

if "MATRIX_REDIS" in os.environ:
    tasks = celery_app()

if __name__ == "__main__":
    multiprocess(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
