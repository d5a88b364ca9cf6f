"""The figures that exporters show, read when somebody asks for them: a call costs nothing more for being exported."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .. import signals
from ..delivery.state import UNREADABLE
from ..delivery.survey import Survey, survey
from ..errors import NotLoaded

Stats = Callable[[], Mapping[str, Mapping[str, Any]]]
Labels = tuple[str, ...]
Reading = Mapping[str, Mapping[Labels, float]]  # {metric: {values of its labels: value}}

MAX_AGE_S = 1.0  # one round of questions, of which OpenTelemetry asks one for each metric, gets one answer
LATER = frozenset({"expired", "unsupported", "corrupt"})  # why a call is dropped that was stored; others never were
STATES = {None: 0, "ok": 0, "failing": 1, "held": 2}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """kind: a counter only grows. labels: their names."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: Labels = ("destination",)
    unit: str = "1"


METRICS = (
    Metric(name="itly.events.accepted", kind="counter", help="Calls accepted for a destination."),
    Metric(name="itly.events.delivered", kind="counter", help="Calls the destination has taken."),
    Metric(
        name="itly.events.dropped",
        kind="counter",
        help="Calls given up, and why.",
        labels=("destination", "reason"),
    ),
    Metric(
        name="itly.events.dead",
        kind="counter",
        help="Calls the destination finally refused; kept as dead letters.",
        labels=("destination", "reason"),
    ),
    Metric(
        name="itly.events.rejected",
        kind="counter",
        help="Calls of this process that broke the plan, by the rule they broke first.",
        labels=("reason",),
    ),
    Metric(
        name="itly.events.retried", kind="counter", help="Requests of this process that failed and are tried again."
    ),
    Metric(name="itly.queue.size", kind="gauge", help="Calls that wait for the destination."),
    Metric(name="itly.queue.parked", kind="gauge", help="Calls that wait by themselves, for a later try."),
    Metric(name="itly.lane.inflight", kind="gauge", help="Calls in a request just now."),
    Metric(
        name="itly.queue.oldest_age", kind="gauge", help="Age of the oldest call that waits. Alert on this.", unit="s"
    ),
    Metric(name="itly.breaker.state", kind="gauge", help="0 delivering, 1 failing and trying again, 2 held."),
    Metric(name="itly.spool.bytes", kind="gauge", help="Size of the files in the spool.", labels=(), unit="By"),
    Metric(name="itly.spool.files", kind="gauge", help="Files in the spool.", labels=()),
    Metric(name="itly.spool.orphans", kind="gauge", help="Of these, files whose writer is gone.", labels=()),
    Metric(name="itly.spool.corrupt_records", kind="gauge", help="Lines in quarantine.", labels=()),
    Metric(name="itly.spool.free_bytes", kind="gauge", help="Free on the spool's disk.", labels=(), unit="By"),
)


class Readings:
    """The figures of one process, or of a spool.

    stats: `itly.stats`. spool_dir: the figures of every process that shares the spool, in place of this one's alone;
    beside `stats`, which then only adds the calls that this process could not store.

    Raises:
        ValueError: neither is given.
    """

    def __init__(self, stats: Stats | None = None, spool_dir: str | os.PathLike[str] | None = None) -> None:
        if stats is None and spool_dir is None:
            raise ValueError("give stats=itly.stats, spool_dir=..., or both: there is nothing to export else")
        self._stats = stats
        self._directory = Path(spool_dir) if spool_dir is not None else None
        self._reading = threading.Lock()
        self._counting = threading.Lock()  # not the same: who breaks the plan must not wait for a look at the disk
        self._rejected: Counter[Labels] = Counter()
        self._retried: Counter[Labels] = Counter()
        self._last: Reading = {}
        self._last_s = -MAX_AGE_S
        signals.event_invalid.connect(self._on_invalid)
        signals.batch_failed.connect(self._on_failed)

    def read(self) -> Reading:
        """All figures, at most a second old. What cannot be read now is left out."""
        with self._reading:
            if time.monotonic() - self._last_s >= MAX_AGE_S:
                self._last, self._last_s = self._read(), time.monotonic()
            return self._last

    def _read(self) -> Reading:
        found: dict[str, dict[Labels, float]] = {metric.name: {} for metric in METRICS}
        rows = self._own()
        if self._directory is None:
            _add_balances(found, rows)
        else:
            try:
                seen = survey(self._directory, rows)
            except UNREADABLE:
                seen = None
            if seen is not None:
                _add_balances(found, seen.destinations)
                _add_spool(found, seen)
            _add_refusals(found, rows)
        with self._counting:
            found["itly.events.rejected"].update(self._rejected)
            found["itly.events.retried"].update(self._retried)
        return found

    def _own(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            return self._stats() if self._stats is not None else {}
        except NotLoaded:  # it may be by the next time
            return {}

    def _on_invalid(self, sender: object, violations: Iterable[Any] = (), **_: object) -> None:
        first = next((violation.rule for violation in violations), "")
        with self._counting:
            self._rejected[first,] += 1

    def _on_failed(self, sender: object, destination: str, **_: object) -> None:
        with self._counting:
            self._retried[destination,] += 1


def _add_balances(found: dict[str, dict[Labels, float]], rows: Mapping[str, Mapping[str, Any]]) -> None:
    for name, row in rows.items():
        for metric, key in (
            ("itly.events.accepted", "accepted"),
            ("itly.events.delivered", "delivered"),
            ("itly.queue.size", "queued"),
            ("itly.queue.parked", "parked"),
            ("itly.lane.inflight", "in_flight"),
        ):
            found[metric][name,] = row[key]
        for place in ("dropped", "dead"):
            for reason, count in row.get(f"{place}_by_reason", {}).items():
                found[f"itly.events.{place}"][name, reason] = count


def _add_spool(found: dict[str, dict[Labels, float]], seen: Survey) -> None:
    for name, row in seen.destinations.items():
        found["itly.queue.oldest_age"][name,] = row["oldest_age"] or 0.0
        found["itly.breaker.state"][name,] = STATES.get(row["state"], 1)
    found["itly.spool.bytes"][()] = seen.bytes
    found["itly.spool.files"][()] = seen.files
    found["itly.spool.orphans"][()] = seen.orphans
    found["itly.spool.corrupt_records"][()] = seen.quarantined
    found["itly.spool.free_bytes"][()] = seen.free_bytes


def _add_refusals(found: dict[str, dict[Labels, float]], rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Calls that were never stored are known only to the process that made them."""
    for name, row in rows.items():
        refused = {reason: n for reason, n in row.get("dropped_by_reason", {}).items() if reason not in LATER}
        for reason, count in refused.items():
            found["itly.events.dropped"][name, reason] = count
        accepted = found["itly.events.accepted"]
        accepted[name,] = accepted.get((name,), 0) + sum(refused.values())
