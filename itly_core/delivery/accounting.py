"""The balance of one destination: what became of every call that was accepted for it.

accepted = delivered + dead + dropped + parked + queued + in_flight, at every moment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Balance:
    """The counters of what came in and what is finished. What is under way is counted where it is, so that the equation
    is a check and no definition. Guarded by its owner's lock."""

    accepted: int = 0
    delivered: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    refused: int = 0  # of the dropped: those that were never taken

    def drop(self, reason: str, count: int = 1) -> None:
        """Calls that came in and are gone at once."""
        self.accepted += count
        self.refused += count
        self.dropped[reason] += count

    @property
    def lost(self) -> int:
        """Calls that were taken and are finally not delivered, but for those the vendor has no form for."""
        return self.dead.total() + self.dropped.total() - self.refused - self.dropped["unsupported"]

    def snapshot(self, *, parked: int, queued: int, in_flight: int) -> dict[str, Any]:
        """All counters; `dead` and `dropped` are split by reason beside their totals."""
        found: dict[str, Any] = {
            "accepted": self.accepted,
            "delivered": self.delivered,
            "dead": self.dead.total(),
            "dropped": self.dropped.total(),
            "parked": parked,
            "queued": queued,
            "in_flight": in_flight,
        }
        if +self.dead:
            found["dead_by_reason"] = dict(+self.dead)
        if +self.dropped:
            found["dropped_by_reason"] = dict(+self.dropped)
        return found
