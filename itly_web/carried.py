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
from .request import CAMPAIGN, MAX_TEXT, RequestRules, RequestView, clean
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
    if not isinstance(carried, Mapping):
        return None
    scope = Scope(carried, _READER)
    scope.spare_id(_text(carried.get("spare_id")))
    return scope


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
        context = {name: fact for name in CARRIED if (fact := _fact(name, request.get(name))) is not None}
        return Reading(_text(request.get("refusal")), context, _text(request.get("anonymous_id")))


def _user_id(carried: Mapping[str, Any]) -> str | None:
    return _text(carried.get("user_id"))


_READER = _Reader(lambda request: RequestView({}, ""), _user_id, RequestRules(), loaded_user_id=_user_id)


def _text(value: object) -> str | None:
    """Whole or not at all: half an id is somebody else's."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def _fact(name: str, value: object) -> Any:
    if name != "campaign":
        return clean(_text(value), MAX_TEXT)
    if not isinstance(value, Mapping):
        return None
    found = {part: text for part in CAMPAIGN.values() if (text := clean(_text(value.get(part)), MAX_TEXT))}
    return found or None
