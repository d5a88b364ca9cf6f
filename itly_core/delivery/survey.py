"""The whole spool at a glance, from outside: what `itly stats` and the exporters show. Changes nothing.

Every call in the files is counted exactly once for each destination, also while processes write, ship and delete: the
files are opened first, then the state is read at one moment, then lines are counted from its cursors to the ends that the
files had when they were opened.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ..log import Log
from .accounting import Balance
from .shipper import LANES_FILE, SHIPPER_LOCK, WORKER_LOCK, Role
from .spool import QUARANTINE, RESERVE, RESERVE_BYTES, _file_system, is_unlocked, list_files
from .state import Picture, State

READ_BYTES = 1 << 20
TRIES = 5  # before the picture is taken as it is, with a file that was deleted while it was made


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One look at a spool.

    destinations: {name: balance}, with `state`, `reason` and `oldest_age` (seconds, of the oldest call it has not
    settled; None when there is none) beside the counters. orphans: files whose writer is dead. shipper: the process that
    ships; None when none does, 0 when it does not say.
    """

    exists: bool
    bytes: int = 0
    files: int = 0
    orphans: int = 0
    quarantined: int = 0
    free_bytes: int = 0
    shipper: int | None = None
    is_worker: bool = False
    destinations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def oldest_age(self) -> float | None:
        """Seconds; None when nothing waits."""
        ages = [found["oldest_age"] for found in self.destinations.values() if found["oldest_age"] is not None]
        return max(ages, default=None)


class Disk(NamedTuple):
    """kind: type of the file system, empty where the system does not tell. room: bytes that calls may still take."""

    kind: str
    room: int


def disk_of(directory: Path) -> Disk:
    """The disk a spool is on.

    Raises:
        OSError: it cannot be asked.
    """
    size = os.statvfs(directory)
    reserve = min(RESERVE * size.f_blocks * size.f_frsize, RESERVE_BYTES)
    return Disk(_file_system(directory), int(size.f_bavail * size.f_frsize - reserve))


class _File(NamedTuple):
    name: str
    fd: int
    size: int


def survey(directory: Path, names: Iterable[str] = ()) -> Survey:
    """Look at a spool. names: destinations to show even if the spool does not know them yet.

    Raises:
        OSError, sqlite3.Error: it cannot be read.
        NewerState: it was written by a later version.
    """
    if not directory.is_dir():
        return Survey(exists=False, destinations={name: _row(Balance(), {}, 0, 0, None) for name in names})
    with ExitStack() as opened:
        files, picture = _look(directory, opened)
        shipper, lanes = _lanes(directory)
        known = picture.destinations or tuple(names)  # whoever is new to a spool in use starts at its end
        return Survey(
            exists=True,
            bytes=sum(file.size for file in files),
            files=len(files),
            orphans=sum(is_unlocked(directory / file.name) for file in files),
            quarantined=len(os.listdir(directory / QUARANTINE)) if (directory / QUARANTINE).is_dir() else 0,
            free_bytes=_free_bytes(directory),
            shipper=shipper,
            is_worker=shipper is not None and Role(directory / WORKER_LOCK).is_taken(),
            destinations=_destinations(sorted({*known, *names}), set(known), files, picture, lanes),
        )


def _look(directory: Path, opened: ExitStack) -> tuple[list[_File], Picture]:
    for _ in range(TRIES):
        files = _open(directory, opened)
        state = State(directory, Log(), is_reader=True)
        try:
            picture = state.picture()
        finally:
            state.close()
        started = {file for cursors in picture.cursors.values() for file in cursors}
        # A file that was done with and deleted in between has no cursor any more: it would be counted once again.
        if all(file.name in started or os.fstat(file.fd).st_nlink for file in files):
            break
    return files, picture


def _open(directory: Path, opened: ExitStack) -> list[_File]:
    files = []
    for file in list_files(directory):
        try:
            fd = os.open(directory / file.name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # deleted since
            continue
        opened.callback(os.close, fd)
        files.append(_File(file.name, fd, os.fstat(fd).st_size))
    return files


def _destinations(
    names: Iterable[str], known: set[str], files: list[_File], picture: Picture, lanes: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    queued: Counter[str] = Counter()
    oldest_ms: dict[str, int] = {}
    for file in files:
        starts = {name: min(file.size, picture.cursors.get(name, {}).get(file.name, 0)) for name in known}
        lines_after = _lines_after(file, set(starts.values()))
        for name, start in starts.items():
            queued[name] += lines_after[start]
            if lines_after[start]:
                accepted_ms = _accepted_ms(file, start)
                oldest_ms[name] = min(accepted_ms, oldest_ms.get(name, accepted_ms))
    for name, line in picture.oldest_parked.items():
        accepted_ms = _accepted_ms_of(line)
        oldest_ms[name] = min(accepted_ms, oldest_ms.get(name, accepted_ms))
    found = {}
    for name in names:
        balance = Balance()
        for destination, place, reason, count in picture.tallies:
            if destination == name and place == "delivered":
                balance.delivered += count
            elif destination == name:
                (balance.dead if place == "dead" else balance.dropped)[reason] += count
        found[name] = _row(balance, lanes.get(name, {}), queued[name], picture.parked.get(name, 0), oldest_ms.get(name))
    return found


def _row(balance: Balance, lane: Mapping[str, Any], waiting: int, parked: int, oldest_ms: int | None) -> dict[str, Any]:
    """waiting: calls in the files that are not settled, those in a request included."""
    in_flight = min(waiting, int(lane.get("in_flight", 0)))  # as the shipper said a moment ago
    balance.accepted = balance.delivered + balance.dead.total() + balance.dropped.total() + parked + waiting
    return {
        **balance.snapshot(parked=parked, queued=waiting - in_flight, in_flight=in_flight),
        "state": lane.get("state"),
        "reason": lane.get("reason", ""),
        "oldest_age": None if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000),
    }


def _lines_after(file: _File, starts: set[int]) -> dict[int, int]:
    """{offset: complete lines from there to the end}. The file is read once, from the first offset on."""
    bounds = [*sorted(starts), file.size]
    found: dict[int, int] = {}
    after = 0
    for start, end in reversed(list(pairwise(bounds))):
        after += _newlines(file.fd, start, end)
        found[start] = after
    return found


def _newlines(fd: int, start: int, end: int) -> int:
    count = 0
    while start < end and (data := os.pread(fd, min(READ_BYTES, end - start), start)):
        count += data.count(b"\n")
        start += len(data)
    return count


def _accepted_ms(file: _File, start: int) -> int:
    """When the call at that place was accepted."""
    data = b""
    while b"\n" not in data and (more := os.pread(file.fd, 4096 + len(data), start + len(data))):
        data += more
    return _accepted_ms_of(data.partition(b"\n")[0])


def _accepted_ms_of(line: bytes) -> int:
    """Now, where a line does not tell."""
    try:
        record = orjson.loads(line)
        return int(record.get("accepted_ms") or record["timestamp_ms"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return time.time_ns() // 1_000_000


def _lanes(directory: Path) -> tuple[int | None, Mapping[str, Any]]:
    """Who ships, and what it says of its lanes."""
    pid = Role(directory / SHIPPER_LOCK).holder()
    if pid is None:
        return None, {}
    try:
        told = json.loads((directory / LANES_FILE).read_bytes())
        return pid, told["lanes"] if told["pid"] == pid else {}
    except (OSError, ValueError, KeyError, TypeError):
        return pid, {}


def _free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize
