"""The balance of one destination: what became of every call that was accepted for it.

accepted = delivered + dead + dropped + parked + queued + in_flight, at every moment. Every change moves calls from one
place to another under one lock, so the equation cannot be broken, only checked.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Literal

Place = Literal["queued", "in_flight", "parked", "delivered", "dead", "dropped"]
FINAL = ("delivered", "dead", "dropped")


class Balance:
    """The counters of one destination."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted = 0
        self._places: Counter[str] = Counter()
        self._reasons: dict[str, Counter[str]] = {"dead": Counter(), "dropped": Counter()}

    def accept(self, place: Place = "queued", count: int = 1, reason: str = "") -> None:
        """Calls came in."""
        with self._lock:
            self._accepted += count
            self._add(place, count, reason)

    def move(self, source: Place, target: Place, count: int, reason: str = "") -> None:
        """Calls went from one place to another."""
        if count:
            with self._lock:
                self._places[source] -= count
                self._add(target, count, reason)

    def count(self, place: Place) -> int:
        with self._lock:
            return self._places[place]

    def lost(self) -> int:
        """Calls finally not delivered, but for those the vendor has no form for."""
        with self._lock:
            return self._places["dead"] + self._places["dropped"] - self._reasons["dropped"]["unsupported"]

    def snapshot(self) -> dict[str, Any]:
        """All counters at one moment; `dead` and `dropped` are split by reason beside their totals."""
        with self._lock:
            found: dict[str, Any] = {"accepted": self._accepted}
            for place in (*FINAL, "parked", "queued", "in_flight"):
                found[place] = self._places[place]
            for place, reasons in self._reasons.items():
                if reasons:
                    found[f"{place}_by_reason"] = dict(reasons)
            return found

    def _add(self, place: str, count: int, reason: str) -> None:
        self._places[place] += count
        if place in self._reasons:
            self._reasons[place][reason or "unknown"] += count
