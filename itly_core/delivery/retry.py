"""How long to wait, and how large a batch to try: the arithmetic of patience. Pure.

An outage must not use up a number of attempts: transient failures are tried again until the calls are too old. What is
counted is only how long to wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ..destinations.base import RETRY_AFTER_CAP_S

MASS_MIN = 4  # in a smaller batch it may well be so many spoiled calls
MASS_REQUESTS = 64  # about one batch; enough to find a dozen spoiled calls in a thousand


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lane waits before it tries again, in seconds.

    base_s, cap_s: of a failure that may be over soon. hold_base_s, hold_cap_s: of one that somebody has to mend.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    hold_base_s: float = 30.0
    hold_cap_s: float = 600.0
    uniform: Callable[[float, float], float] = random.uniform

    def backoff_s(self, attempt: int) -> float:
        """Before retry number `attempt` (1 = the first): full jitter over [0, min(cap, base * 2**(attempt - 1))].

        Raises:
            ValueError: `attempt` is below 1.
        """
        return self.uniform(0.0, _ceiling_s(attempt, self.base_s, self.cap_s))

    def throttled_s(self, attempt: int, after_s: float | None) -> float:
        """Before a retry that the vendor asked to be late: never before `after_s`, and at least half the backoff, since
        full jitter can come down to nothing, which a throttling vendor answers with more throttling."""
        half = _ceiling_s(attempt, self.base_s, self.cap_s) / 2
        own = half + self.uniform(0.0, half)
        return max(own, min(after_s or 0.0, RETRY_AFTER_CAP_S))

    def hold_s(self, attempt: int) -> float:
        """Before a lane whose credentials or address were refused tries one batch again: 30, 60, … 600."""
        return _ceiling_s(attempt, self.hold_base_s, self.hold_cap_s)


PATIENCE = Patience()


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


def is_mass_rejection(calls: int, refused: int, taken: int, requests: int) -> bool:
    """Whether so much of a batch is refused that a wrong configuration is to blame, not so many spoiled calls.

    Either most of it is, or most of what that many requests could find out about: a wrong configuration must not cost a
    request for every call.

    calls: in the batch. refused, taken: of those, as far as is known by now. requests: that it took to know.
    """
    if calls < MASS_MIN:
        return False
    return refused > calls / 2 or (requests >= MASS_REQUESTS and refused > taken)


def halves(sizes: list[int]) -> int:
    """Where to cut a request in two of about the same number of bytes: the first half is what stands before that index.

    sizes: of its items, two at least. Neither half is empty.
    """
    total, before = sum(sizes), 0
    for index, size in enumerate(sizes[:-1]):
        if index and 2 * before + size > total:
            return index
        before += size
    return len(sizes) - 1
