"""What follows a request into the tasks it starts, and the scope that a task has of it.

A message between processes is data: whatever it holds is checked, and nothing in it but ids, request id and campaign
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from itly_core.delivery.process import flush_all

from .reader import Reader, Reading
from .request import MAX_TEXT, RequestRules, RequestView
from .scope import CARRIED, Scope, bind_scope, here

KEY = "itly_scope"  # in the headers of a message

__all__ = ["KEY", "bound", "carry", "flush_all", "scope_of"]


def carry() -> dict[str, Any] | None:
    """What a task started here shall know; None outside any request or task. Never raises."""
    try:
        scope = here()
        return scope.carried() if scope is not None else None
    except Exception:  # noqa: BLE001  # starting the task is what matters
        return None


def scope_of(carried: object) -> Scope | None:
    """The scope a task has; None where nothing was carried."""
    return Scope(carried, _READER) if isinstance(carried, Mapping) else None


@contextmanager
def bound(carried: object) -> Iterator[None]:
    """Bind the scope of what was carried, for a block; without any, what is bound stays so."""
    scope = scope_of(carried)
    if scope is None:
        yield
        return
    try:
        with bind_scope(scope):
            yield
    finally:
        scope.close()


class _Reader(Reader):
    """Reads what was carried as if it were a request."""

    def read(self, request: Any) -> Reading:
        context = {name: request[name] for name in CARRIED if _is_fact(request.get(name))}
        return Reading(_text(request.get("refusal")), context, _text(request.get("anonymous_id")))


def _user_id(carried: Mapping[str, Any]) -> str | None:
    return _text(carried.get("user_id"))


_READER = _Reader(lambda request: RequestView({}, ""), _user_id, RequestRules(), loaded_user_id=_user_id)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def _is_fact(value: object) -> bool:
    """A short text, or an object of such."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _text(inner) is not None for name, inner in value.items())
    return _text(value) is not None
