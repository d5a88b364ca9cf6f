"""What crosses the border to a vendor: a request, its response, and the closed set of outcomes.

Values only. A destination builds a Request and reads a Response; the lane acts on the Outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTPS POST. `headers` may hold credentials, so it is left out of the repr."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What the vendor answered. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Ok:
    """Every piece was taken. silently_rejected: how many the vendor says it did not keep, without saying which."""

    silently_rejected: int = 0


@dataclass(frozen=True, slots=True)
class OkPartial:
    """Taken, but for the pieces in `rejected` ({index: reason}), which are final."""

    rejected: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing was taken, or nobody knows: the same pieces again, no earlier than `after_s`."""

    reason: str
    after_s: float | None = None
    throttled: bool = False
    ambiguous: bool = False  # the vendor may have processed it


@dataclass(frozen=True, slots=True)
class RetrySome:
    """The pieces in `retry` ({index: seconds}) again, no earlier; `rejected` are final; the rest was taken."""

    retry: Mapping[int, float]
    rejected: Mapping[int, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """The request is too large: half of it, at once. A single piece that is still too large is final."""


@dataclass(frozen=True, slots=True)
class Bisect:
    """Refused without naming a culprit: halves, until the one that spoils the batch is found."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """The whole batch is refused for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Credentials or address refused: keep everything, try one batch again at growing intervals."""

    reason: str


Outcome = Ok | OkPartial | Retry | RetrySome | Split | Bisect | Reject | Hold
