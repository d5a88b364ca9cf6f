"""Every exception the library raises.

    ItlyError
    +- ConfigError(ValueError)     a wrong option or setting; .key
    +- PlanError(ValueError)       a plan that cannot be used; .path, .location
    +- InvalidEvent(ValueError)    a call the plan forbids, in development; .event, .violations
    +- NotLoaded(RuntimeError)     a call before load()
    +- AlreadyLoaded(RuntimeError) a second load()
    +- Closed(RuntimeError)        a call after shutdown(), in development
    +- PullError                   a source that did not answer as it should; .url, .status

Configuration and plan errors are raised once, at start. Delivery never raises: it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a call breaks the plan.

    path: where, as `address.city` or `tags[0]`; empty for the properties as a whole.
    message: what is wrong, in words; may quote the offending value.
    rule: the JSON Schema keyword that failed, or `unknown_event`, `unserialisable`, `not_finite`, `user_id`, `options`,
    `unchecked`.
    """

    path: str
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path or '(properties)'}: {self.message}"


class ItlyError(Exception):
    """Base of everything the library raises."""


class ConfigError(ItlyError, ValueError):
    """An option or setting is wrong. `key` is its name as the user spelled it."""

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class PlanError(ItlyError, ValueError):
    """A plan document cannot be used.

    path: where in the document, as `events.Process Started.properties.cpu`; location: `file:line`, where known.
    """

    def __init__(self, message: str, *, path: str = "", location: str = "") -> None:
        super().__init__(": ".join(part for part in (location, path, message) if part))
        self.message = message
        self.path = path
        self.location = location


class InvalidEvent(ItlyError, ValueError):
    """A call breaks the plan. Its text names the event and every violation."""

    def __init__(self, event: str, violations: Sequence[Violation]) -> None:
        self.event = event
        self.violations = tuple(violations)
        lines = "".join(f"\n  - {violation}" for violation in self.violations)
        super().__init__(f"{event!r} breaks the tracking plan:{lines}")


class NotLoaded(ItlyError, RuntimeError):
    """Nothing is loaded yet: call itly.load(itly.Options(...)) once at start, before the first event."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class AlreadyLoaded(ItlyError, RuntimeError):
    """itly.load() was called twice: load once per process; call itly.shutdown() first to load other options."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class Closed(ItlyError, RuntimeError):
    """itly.shutdown() was called: no event is accepted after it. Call itly.load(...) to start again."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class PullError(ItlyError):
    """A plan source could not be reached or answered something else. `url` carries no credentials."""

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
