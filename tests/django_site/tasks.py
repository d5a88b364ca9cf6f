"""What the site does beside requests: tasks of Celery, jobs of RQ. SITE_REDIS: the socket of their Redis server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import django
from django.apps import apps

if not apps.ready:  # RQ knows nothing of Django
    django.setup()

import site_events as itly
from celery import Celery, chain, group
from redis import Redis
from rq import Queue, Retry

import itly_web.celery

app = Celery("site")
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
itly_web.celery.connect()


def use_redis(socket: str) -> None:
    app.conf.broker_url = f"redis+socket://{socket}"


if "SITE_REDIS" in os.environ:
    use_redis(os.environ["SITE_REDIS"])


def queue(name: str = "default") -> Queue:
    return Queue(
        name,
        connection=Redis(unix_socket_path=app.conf.broker_url.partition("://")[2]),
        job_class="itly_web.rq.ItlyJob",
    )


@app.task
def work(where: str) -> None:
    itly.seen(where=where)


@app.task
def work_of(user_id: str, where: str) -> None:
    itly.seen(user_id, where=where)


@app.task(bind=True)
def tell_headers(self: Any) -> None:
    itly.seen("user-1", where=f"x-team is {self.request.get('x-team')}")


@app.task(bind=True, max_retries=1)
def twice(self: Any, where: str) -> None:
    itly.seen(where=f"{where} {self.request.retries}")
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task
def fail(where: str) -> None:
    itly.seen(where=where)
    raise RuntimeError("on purpose")


@app.task
def start_another(where: str) -> None:
    work.delay(where)


def job(where: str, user_id: str | None = None) -> None:
    itly.seen(user_id, where=where)


def failing_job(where: str) -> None:
    from rq import get_current_job

    current = get_current_job()
    left = current.retries_left if current is not None else None
    itly.seen(where=f"{where} {left}")
    raise RuntimeError("on purpose")


STARTERS: dict[str, Callable[[str], Any]] = {
    "delay": lambda where: work.delay(where),
    "own queue": lambda where: work.apply_async((where,), queue=where.partition("/")[0]),
    "later": lambda where: work.apply_async((where,), countdown=0.1),
    "group": lambda where: group(work.si(f"{where} {n}") for n in range(2)).delay(),
    "chain": lambda where: chain(work.si(f"{where} 0"), work.si(f"{where} 1")).delay(),
    "retry": lambda where: twice.delay(where),
    "failing": lambda where: fail.delay(where),
    "task of a task": lambda where: start_another.delay(where),
    "job": lambda where: queue().enqueue(job, where),
    "failing job": lambda where: queue().enqueue(failing_job, where, retry=Retry(max=1)),
}
