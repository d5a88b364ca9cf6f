"""Celery: a task knows the request that started it, and a worker that ends delivers first.

    # celery.py of the project
    import itly_web.celery
    itly_web.celery.connect()

Django or not: what a task calls is the same generated package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import signals  # type: ignore[import-untyped]

from . import carried
from .scope import Scope, bind, unbind

SHUTDOWN_S = 2.0  # what a pool's child has before Celery ends it
_BOUND = "_itly_scope"  # on the task's request: (scope, what was bound before)


def connect() -> None:
    """Listen to Celery. Call it where the app is made: in the process that starts tasks, and in the worker."""
    for signal, receiver in (
        (signals.before_task_publish, _publish),
        (signals.task_prerun, _begin),
        (signals.task_postrun, _end),
        (signals.worker_process_shutdown, _flush),
    ):
        signal.connect(receiver, dispatch_uid=f"itly.{receiver.__name__}", weak=False)


def _publish(headers: Any = None, **_: Any) -> None:
    found = carried.carry()
    if found is not None and isinstance(headers, dict):
        # Nested: what stands at the top does not survive a retry.
        headers["headers"] = {**_nested(headers.get("headers")), carried.KEY: found}


def _begin(task: Any = None, **_: Any) -> None:
    scope = carried.scope_of(_nested(getattr(task.request, "headers", None)).get(carried.KEY))
    if scope is not None:
        setattr(task.request, _BOUND, (scope, bind(scope)))


def _end(task: Any = None, **_: Any) -> None:
    bound: tuple[Scope, Scope | None] | None = getattr(task.request, _BOUND, None)
    if bound is not None:
        unbind(*bound)
        bound[0].close()


def _flush(**_: Any) -> None:
    """A child of the prefork pool leaves by `os._exit`: nothing that is registered for an exit runs."""
    carried.flush_all(SHUTDOWN_S)


def _nested(headers: object) -> Mapping[str, Any]:
    """The headers inside a message's, which may be anything."""
    return headers if isinstance(headers, Mapping) else {}
