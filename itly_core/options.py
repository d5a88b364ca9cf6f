"""Everything that can be set, and the one place that knows a default.

Frozen values, checked when made. Settings of the web frameworks map onto these fields by name; documentation tables and
system checks are derived from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol

from .call import Call
from .destinations.amplitude import AmplitudeOptions
from .destinations.base import HttpOptions
from .destinations.console import ConsoleOptions
from .destinations.custom import CustomOptions
from .destinations.segment import SegmentOptions
from .errors import ConfigError

DEFAULT_SPOOL = ".itly"  # in the working directory


class Environment(str, Enum):
    """Where this runs: picks the policy for invalid calls and the vendor keys."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ItlyLogger(Protocol):
    """Where the library says what it does. Any object with these four methods."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ValidationOptions:
    """What happens to a call that breaks the plan. None: as the environment says.

    fail_on_error: raise InvalidEvent at the call (development: yes). track_invalid: deliver it, flagged (production: yes).
    """

    disabled: bool = False
    fail_on_error: bool | None = None
    track_invalid: bool | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions:
    """How accepted calls reach the vendors.

    mode: "spool" or "memory"; None: spool where its directory can be written, else memory.
    spool_dir: where the spool is; None: `.itly` in the working directory.
    sync: when the spool is forced to disk: "interval" (every half second), "always" (each call), "os" (never).
    batch_size: most calls a request; None: the vendor's own limit.
    flush_interval, timeout, shutdown_timeout, max_age: seconds. max_bytes: of calls kept; None: 16 MiB in memory, 1 GiB
    in the spool.
    """

    mode: Literal["spool", "memory"] | None = None
    spool_dir: str | os.PathLike[str] | None = None
    sync: Literal["interval", "always", "os"] = "interval"
    batch_size: int | None = None
    flush_interval: float = 1.0
    timeout: float = 10.0
    shutdown_timeout: float = 2.0
    max_bytes: int | None = None
    max_age: float = 259200.0

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, (None, "spool", "memory"))
        _one_of("sync", self.sync, ("interval", "always", "os"))
        for name in ("flush_interval", "timeout", "max_age"):
            _positive(name, getattr(self, name))
        for name in ("flush_interval", "timeout"):
            _at_most_a_year(name, getattr(self, name))
        for name in ("batch_size", "max_bytes"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name))
        if not _is_number(self.shutdown_timeout) or not self.shutdown_timeout >= 0:
            raise ConfigError(
                f"shutdown_timeout must be >= 0 seconds, got {self.shutdown_timeout!r}", key="shutdown_timeout"
            )
        _at_most_a_year("shutdown_timeout", self.shutdown_timeout)

    @property
    def spool_path(self) -> Path:
        """Where the spool is, for a process that runs here."""
        return Path(self.spool_dir or DEFAULT_SPOOL).absolute()


@dataclass(frozen=True, kw_only=True)
class AllOptions:
    """What holds for every destination."""

    disabled: bool = False


@dataclass(frozen=True, kw_only=True)
class DestinationsOptions:
    """Where calls go. This is the table of destinations: a new one is a field here and a file in destinations/."""

    all: AllOptions = field(default_factory=AllOptions)
    amplitude: AmplitudeOptions | None = None
    segment: SegmentOptions | None = None
    console: ConsoleOptions | None = None
    custom: CustomOptions | None = None

    def enabled(self) -> dict[str, HttpOptions | ConsoleOptions | CustomOptions]:
        """The destinations that are on, by name."""
        if self.all.disabled:
            return {}
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "all"}
        return {name: options for name, options in given.items() if options is not None and not options.disabled}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `itly.load` takes.

    context: properties laid under every track call; the generated package has a `Context` class when the plan has one.
    before_send: last word on each call: return it, changed or not, or None to drop it. One that raises drops the call.
    logger: where messages go; None: standard output.
    """

    environment: Environment = Environment.DEVELOPMENT
    disabled: bool = False
    context: Any = None
    destinations: DestinationsOptions = field(default_factory=DestinationsOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    delivery: DeliveryOptions = field(default_factory=DeliveryOptions)
    before_send: Callable[[Call], Call | None] | None = None
    logger: ItlyLogger | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "environment", Environment(self.environment))
        except ValueError as exc:
            names = ", ".join(repr(item.value) for item in Environment)
            raise ConfigError(
                f"environment must be one of {names}, got {self.environment!r}", key="environment"
            ) from exc

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def fails_on_error(self) -> bool:
        """Whether an invalid call raises."""
        given = self.validation.fail_on_error
        return self.is_development if given is None else given

    @property
    def tracks_invalid(self) -> bool:
        """Whether an invalid call is delivered."""
        given = self.validation.track_invalid
        return not self.is_development if given is None else given


__all__ = [
    "AllOptions",
    "AmplitudeOptions",
    "ConsoleOptions",
    "CustomOptions",
    "DeliveryOptions",
    "DestinationsOptions",
    "Environment",
    "ItlyLogger",
    "Options",
    "SegmentOptions",
    "ValidationOptions",
]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(name: str, value: object) -> None:
    if not _is_number(value) or not value > 0:  # type: ignore[operator]  # a number, as just checked
        raise ConfigError(f"{name} must be a number above 0, got {value!r}", key=name)


def _whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number above 0, got {value!r}", key=name)


def _at_most_a_year(name: str, value: float) -> None:
    if value > _YEAR_S:  # threads and sockets cannot wait for ever
        raise ConfigError(f"{name} must be seconds, at most a year of them, got {value!r}", key=name)


_YEAR_S = 366 * 86_400


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}", key=name)
