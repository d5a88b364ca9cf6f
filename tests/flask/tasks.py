"""What the Flask site does beside requests, as Flask's documentation has Celery set up: each task in an app context."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from celery import Celery, Task
from flask import Flask
from redis import Redis
from rq import Queue

import itly_web.celery


class InApp(Task):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with site().app_context():
            return self.run(*args, **kwargs)


app = Celery("site", task_cls=InApp)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
itly_web.celery.connect()


@cache
def site() -> Flask:
    """The site, in a worker."""
    from tests.flask.site_app import create_app

    return create_app()


def use_redis(socket: str) -> None:
    app.conf.broker_url = f"redis+socket://{socket}"


if "SITE_REDIS" in os.environ:
    use_redis(os.environ["SITE_REDIS"])


def queue() -> Queue:
    socket = app.conf.broker_url.partition("://")[2]
    return Queue("flask", connection=Redis(unix_socket_path=socket), job_class="itly_web.rq.ItlyJob")


@app.task
def work(where: str, user_id: str | None = None) -> None:
    import itly

    itly.seen(user_id, where=where)


@app.task
def start_another(where: str) -> None:
    work.apply_async((where,), queue="flask")


def job(where: str, user_id: str | None = None) -> None:
    import itly

    with site().app_context():
        itly.seen(user_id, where=where)


STARTERS: dict[str, Callable[..., Any]] = {
    "task": lambda *given: work.apply_async(given, queue="flask"),
    "task of a task": lambda *given: start_another.apply_async(given, queue="flask"),
    "job": lambda *given: queue().enqueue(job, *given),
}
