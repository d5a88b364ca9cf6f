"""The user's own destination: an object with a method for each kind of call it cares for, called from its own lane."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call import Call
from ..errors import ConfigError

KINDS = ("track", "identify", "group", "page", "alias")
METHODS = (*KINDS, "send", "flush", "shutdown")


class AdapterError(Exception):
    """The adapter raised; the exception is the `__cause__`, its text the message.

    done: how many calls it had taken before. failed: how many from there on are in doubt: the one call, or, when the
    adapter takes whole batches, all of them. Calls after those were not offered to it.
    """

    def __init__(self, done: int, failed: int, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.done = done
        self.failed = failed


@dataclass(frozen=True, kw_only=True)
class CustomOptions:
    """A destination of your own.

    adapter: an object with any of `track(user_id, event_name, properties)`, `identify(user_id, traits)`,
    `group(user_id, group_id, traits)`, `page(user_id, category, name, properties)`, `alias(user_id, previous_id)`, or
    `send(calls)` for whole batches instead of those; and, if it likes, `flush()` and `shutdown()`.
    """

    adapter: Any
    disabled: bool = False

    def __post_init__(self) -> None:
        fault = _fault(self.adapter)
        if fault:
            raise ConfigError(f"adapter {fault}", key="adapter")

    def build(self, plan: Mapping[str, Any], environment: str) -> Custom:
        return Custom(self.adapter)


@dataclass(frozen=True)
class Custom:
    """An adapter behind one door. `send` raises AdapterError; flush and shutdown raise what the adapter raises."""

    adapter: Any

    def send(self, calls: Sequence[Call]) -> None:
        batch = _method(self.adapter, "send")
        if batch is not None:
            try:
                batch(list(calls))
            except (Exception, SystemExit) as exc:
                raise AdapterError(0, len(calls), exc) from exc
            return
        for index, call in enumerate(calls):
            method = _method(self.adapter, call.kind)
            if method is None:
                continue
            try:
                method(*_arguments(call))
            except (Exception, SystemExit) as exc:
                raise AdapterError(index, 1, exc) from exc

    def flush(self) -> None:
        method = _method(self.adapter, "flush")
        if method is not None:
            method()

    def shutdown(self) -> None:
        method = _method(self.adapter, "shutdown")
        if method is not None:
            method()


def _fault(adapter: Any) -> str:
    """What keeps this from being an adapter; empty when nothing does."""
    if inspect.isclass(adapter):
        return f"must be an object, got the class {adapter.__name__}: write {adapter.__name__}()"
    if not any(_method(adapter, name) for name in (*KINDS, "send")):
        return f"must have send() or one of {', '.join(KINDS)}; {type(adapter).__name__} has none"
    for name in METHODS:
        if inspect.iscoroutinefunction(getattr(adapter, name, None)):
            return f"has an async {name}(), which nothing would await: make it a plain method"
    return ""


def _method(adapter: Any, name: str) -> Callable[..., object] | None:
    method = getattr(adapter, name, None)
    return method if callable(method) else None


def _arguments(call: Call) -> tuple[Any, ...]:
    """What the adapter's method of this kind takes."""
    kind = call.kind
    if kind == "track":
        return call.user_id, call.name, dict(call.properties)
    if kind == "identify":
        return call.user_id, dict(call.traits)
    if kind == "group":
        return call.user_id, call.group_id, dict(call.traits)
    if kind == "page":
        return call.user_id, call.category, call.name, dict(call.properties)
    return call.user_id, call.previous_id
