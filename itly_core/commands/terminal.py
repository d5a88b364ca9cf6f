"""What the delivery commands show: tables, messages, a progress bar. What is worth showing is decided elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..delivery.state import DeadLetter
from ..delivery.survey import Survey
from ..delivery.worker import Progress, Report
from ..options import ItlyLogger
from ..settings import PythonLogger
from .common import printable

COUNTERS = ("accepted", "delivered", "dead", "dropped", "parked", "queued", "in_flight")


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines of aligned columns. left: so many of the first are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def size_text(count: int) -> str:
    """Bytes for people: 999 B, 1.0 kB, 12.3 MB."""
    size, units = float(count), ["kB", "MB", "GB", "TB"]
    if count < 1000:
        return f"{count} B"
    while (size := size / 1000) >= 999.95 and len(units) > 1:
        units.pop(0)
    return f"{size:.1f} {units[0]}"


def age_text(seconds: float | None) -> str:
    """5 s, 3 min, 2 h, 4 d; a dash for nothing."""
    if seconds is None:
        return "-"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def report_lines(report: Report) -> list[str]:
    """The table at a worker's end."""
    head = ("destination", "delivered", "dead", "dropped", "parked", "left")
    rows = [
        (name, *(f"{count:,}" for count in (done.delivered, done.dead, done.dropped, done.parked)), left)
        for name, done in report.accounts.items()
        for left in [size_text(done.pending_bytes)]
    ]
    return columns(head, rows) if rows else []


def survey_lines(directory: str, found: Survey) -> list[str]:
    """What `itly stats` says."""
    if not found.exists:
        return [f"There is no spool at {directory}: nothing was accepted there yet."]
    who = "nobody ships" if found.shipper is None else f"process {found.shipper or '?'} ships"
    lines = [
        f"spool {directory}: {size_text(found.bytes)} in {_count(found.files, 'file')}, {found.orphans} of dead processes,"
        f" {_count(found.quarantined, 'line')} in quarantine, {size_text(found.free_bytes)} free;"
        f" {who}{' (a worker)' if found.is_worker else ''}",
    ]
    if not found.destinations:
        return [*lines, "no destination is known to it yet"]
    head = ("destination", *(name.replace("_", " ") for name in COUNTERS), "oldest", "state")
    rows = [
        (name, *(f"{row[key]:,}" for key in COUNTERS), age_text(row["oldest_age"]), str(row["state"] or "-"))
        for name, row in found.destinations.items()
    ]
    lines += ["", *columns(head, rows)]
    for name, row in found.destinations.items():
        if row["reason"]:
            lines.append(f"{name}: {row['state']}: {row['reason']}")
        for place in ("dead", "dropped"):
            reasons = row.get(f"{place}_by_reason", {})
            if reasons:
                lines.append(
                    f"{name}: {place}: " + ", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items()))
                )
    return lines


def letter_row(letter: DeadLetter, call: Mapping[str, Any]) -> dict[str, Any]:
    """A dead letter without anything a user may have put into it. call: the line's JSON."""
    return {
        "id": letter.id,
        "destination": letter.destination,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "since": iso(letter.since),
        "kind": call.get("kind"),
        "name": call.get("name"),
        "message_id": call.get("message_id"),
    }


def letter_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What `itly dlq list` says."""
    if not rows:
        return ["no dead letters"]
    keys = ("id", "destination", "reason", "since", "kind", "name", "message_id")
    cells = [[str(row[key] if row[key] is not None else "-") for key in keys] for row in rows]
    return columns([key.replace("_", " ") for key in keys], cells, left=len(keys))


def iso(seconds: float) -> str:
    """A moment, in UTC and to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class Screen(Protocol):
    """Where a worker shows what it does."""

    def say(self, line: str) -> None: ...

    def update(self, progress: Progress) -> None: ...


class _Lines:
    """Plain lines, for a log."""

    def say(self, line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        print(f"{stamp} {printable(line, sys.stderr)}", file=sys.stderr, flush=True)

    def update(self, progress: Progress) -> None:
        pass


class _Bar:
    """A progress bar with the lines above it, for a person."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, calls="")

    def say(self, line: str) -> None:
        self._bar.console.print(printable(line, self._bar.console.file), markup=False, highlight=False)

    def update(self, progress: Progress) -> None:
        total = progress.settled_bytes + progress.pending_bytes
        doing = "waiting for the role" if not progress.is_shipping else "shipping" if progress.pending_bytes else "idle"
        self._bar.update(
            self._task,
            description=doing,
            completed=progress.settled_bytes,
            total=total or None,
            calls=f"{progress.settled_calls:,} calls",
        )


@contextmanager
def screen() -> Iterator[Screen]:
    """A bar where a person watches standard error, else plain lines."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    with RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[calls]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what an adapter prints into a file or pipe belongs there
        redirect_stderr=False,
    ) as bar:
        yield _Bar(bar)


class ScreenLogger:
    """The library's logger on a screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def debug(self, message: str) -> None:
        pass

    def info(self, message: str) -> None:
        self._screen.say(message)

    def warn(self, message: str) -> None:
        self._screen.say(f"warning: {message}")

    def error(self, message: str) -> None:
        self._screen.say(f"error: {message}")


def worker_logger(given: ItlyLogger | None, screen: Screen) -> ItlyLogger:
    """Where a worker's messages go: to the project's logger; where it has none, or logging is not set up, to the screen."""
    is_mute = isinstance(given, PythonLogger) and not logging.getLogger("itly").hasHandlers()
    return ScreenLogger(screen) if given is None or is_mute else given
