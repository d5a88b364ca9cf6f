"""How long to wait, and how large a batch to try: the arithmetic of patience. Pure.

An outage must not use up a number of attempts: transient failures are tried again until the calls are too old. What is
counted is only how long to wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..destinations.base import RETRY_AFTER_CAP_S

BASE_S = 1.0
CAP_S = 60.0
HOLD_BASE_S = 30.0  # a wrong key is seldom mended within seconds
HOLD_CAP_S = 600.0
BREAKER_FAILURES = 5  # failures in a row after which a destination counts as down

Uniform = Callable[[float, float], float]


def backoff_s(
    attempt: int, *, base_s: float = BASE_S, cap_s: float = CAP_S, uniform: Uniform = random.uniform
) -> float:
    """Seconds before retry number `attempt` (1 = the first): full jitter over [0, min(cap, base * 2**(attempt - 1))].

    Raises:
        ValueError: `attempt` is below 1.
    """
    return uniform(0.0, _ceiling_s(attempt, base_s, cap_s))


def throttled_s(attempt: int, after_s: float | None, *, uniform: Uniform = random.uniform) -> float:
    """Seconds before a retry that the vendor asked to be late: never before `after_s`, and at least half the backoff,
    since full jitter can come down to nothing, which a throttling vendor answers with more throttling."""
    half = _ceiling_s(attempt, BASE_S, CAP_S) / 2
    own = half + uniform(0.0, half)
    return max(own, min(after_s or 0.0, RETRY_AFTER_CAP_S))


def hold_s(attempt: int) -> float:
    """Seconds before a lane whose credentials or address were refused tries one batch again: 30, 60, … 600."""
    return _ceiling_s(attempt, HOLD_BASE_S, HOLD_CAP_S)


def _ceiling_s(attempt: int, base_s: float, cap_s: float) -> float:
    if attempt < 1:
        raise ValueError(f"attempt counts from 1, got {attempt}")
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 32))


class BatchSize:
    """How many calls to try in one request: halved when the vendor throttles, growing back a tenth at a time."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.now = largest

    def throttled(self) -> None:
        self.now = max(1, self.now // 2)

    def taken(self) -> None:
        self.now = min(self._largest, self.now + max(1, self._largest // 10))
