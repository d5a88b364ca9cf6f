"""What the shipper knows about a spool: cursors, parked calls, dead letters, counts. One SQLite file beside the calls.

Losing it costs duplicates, never events: the files are the truth, and the cursors start at 0 again. Every change that
belongs together is one transaction: a cursor never passes a call that is neither delivered nor kept here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..log import Log

STATE_FILE = "state.db"
LONGEST_WAIT_S = 2 * 86_400.0  # a vendor's daily quota is the longest that a call is parked for
VERSION = 1

_SCHEMA = """
CREATE TABLE cursor (file TEXT, destination TEXT, offset INTEGER NOT NULL, PRIMARY KEY (file, destination)) WITHOUT ROWID;
CREATE TABLE parked (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, writer TEXT NOT NULL, not_before REAL NOT NULL,
    attempts INTEGER NOT NULL, renewed REAL NOT NULL, line BLOB NOT NULL
);
CREATE INDEX parked_due ON parked (destination, not_before);
CREATE TABLE dead (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, writer TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    attempts INTEGER NOT NULL, since REAL NOT NULL, line BLOB NOT NULL
);
CREATE TABLE destination (name TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
    writer TEXT, destination TEXT, place TEXT, reason TEXT, count INTEGER NOT NULL,
    PRIMARY KEY (writer, destination, place, reason)
) WITHOUT ROWID;
"""


_abandoned: list[sqlite3.Connection] = []


class NewerState(Exception):
    """The state was written by a later version of itly."""


UNREADABLE = (NewerState, OSError, sqlite3.Error)  # what looking at a spool may raise


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A call that waits by itself. renewed: when it was taken up anew, in seconds since the epoch; 0: never."""

    id: int
    writer: str
    attempts: int
    renewed: float
    line: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A call that a destination finally refused. since: seconds since the epoch when it was."""

    id: int
    destination: str
    reason: str
    detail: str
    attempts: int
    since: float
    line: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is counted, at one moment.

    destinations: names. cursors: {destination: {file: offset}}. parked: {destination: calls}; oldest_parked: the line
    parked first. tallies: (destination, place, reason, count) over all writers.
    """

    destinations: tuple[str, ...] = ()
    cursors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    parked: Mapping[str, int] = field(default_factory=dict)
    oldest_parked: Mapping[str, bytes] = field(default_factory=dict)
    tallies: Sequence[tuple[str, str, str, int]] = ()


@dataclass(slots=True)
class Settlement:
    """Everything one batch changes for one destination, written at once."""

    destination: str
    cursors: dict[str, int]
    parks: list[tuple[str, float, int, float, bytes]]  # writer, not before, attempts, renewed, line
    deads: list[tuple[str, str, str, int, bytes]]  # writer, reason, detail, attempts, line
    freed: list[int]  # parked rows that are settled, or replaced by one in `parks`
    tallies: dict[tuple[str, str, str], int]  # (writer, place, reason): how many


class State:
    """The state of one spool. Threads may share it; only the elected shipper and the dlq commands write."""

    def __init__(self, directory: Path, log: Log, *, is_reader: bool = False, is_lenient: bool = False) -> None:
        self._path = directory / STATE_FILE
        self._log = log
        self._is_reader = is_reader  # never creates, mends or changes anything
        self._is_lenient = is_lenient  # damage reads as nothing; who ships will mend it
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._seen_version = -1  # of the data, as this connection last saw it

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write: all of it or nothing."""
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException as exc:
                if isinstance(exc, sqlite3.DatabaseError):
                    self.close()  # whatever it is, the next use starts from the file as it then is
                    self._set_aside_if_corrupt(exc)
                else:
                    connection.execute("ROLLBACK")
                raise

    def read(self, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows; none, for a reader, where there is no state yet."""
        with self._lock:
            try:
                return self._open().execute(query, arguments).fetchall()
            except sqlite3.OperationalError:
                if not self._is_reader:
                    raise
                return []
            except sqlite3.DatabaseError as exc:
                self.close()
                self._set_aside_if_corrupt(exc)
                if not self._is_lenient:
                    raise
                return []

    def close(self) -> None:
        """Close the connection; the next use opens it again. Held over a fork it would corrupt the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self._seen_version = -1

    def abandon(self) -> None:
        """In a child that inherited an open connection: never use nor close it, which would touch the parent's locks."""
        if self._connection is not None:
            _abandoned.append(self._connection)

    def lock_for_fork(self) -> None:
        """No connection may be open, nor be opened, while the process forks."""
        self._lock.acquire()
        self.close()

    def unlock_after_fork(self) -> None:
        self._lock.release()

    def register(self, names: Iterable[str]) -> None:
        """Take up destinations. A new one gets all that is still in the spool: calls are stored before anybody ships, so
        some of it may have been accepted for this one already, and nobody can tell which."""
        try:
            self._register(names)
        except sqlite3.DatabaseError as exc:
            if not _is_damage(exc):
                raise
            self._register(names)  # the damaged file is out of the way by now

    def _register(self, names: Iterable[str]) -> None:
        with self.transaction() as db:
            now_s = time.time()
            db.executemany("INSERT OR IGNORE INTO destination VALUES (?, ?)", [(name, now_s) for name in names])
            # Nobody waits that long: they were parked while the clock was wrong.
            db.execute("UPDATE parked SET not_before = ? WHERE not_before > ?", (now_s, now_s + LONGEST_WAIT_S))

    def was_changed_elsewhere(self) -> bool:
        """Whether another process changed anything since this was last asked, or may have."""
        with self._lock:
            before = self._seen_version
            ((self._seen_version,),) = self.read("PRAGMA data_version")
            return self._seen_version != before

    def cursors(self, destination: str) -> dict[str, int]:
        """{file: offset} up to which this destination is done."""
        return dict(self.read("SELECT file, offset FROM cursor WHERE destination = ?", (destination,)))

    def next_due(self, destination: str) -> float | None:
        """When the first parked call may be tried, in seconds since the epoch."""
        rows = self.read("SELECT min(not_before) FROM parked WHERE destination = ?", (destination,))
        return float(rows[0][0]) if rows and rows[0][0] is not None else None

    def due(self, destination: str, now_s: float, limit: int) -> list[ParkedRow]:
        rows = self.read(
            "SELECT id, writer, attempts, renewed, line FROM parked WHERE destination = ? AND not_before <= ? ORDER BY id LIMIT ?",
            (destination, now_s, limit),
        )
        return [ParkedRow(*row) for row in rows]

    def settle(self, change: Settlement) -> None:
        name = change.destination
        now_s = time.time()
        with self.transaction() as db:
            db.executemany(
                "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET offset = max(offset, excluded.offset)",
                [(file, name, offset) for file, offset in change.cursors.items()],
            )
            # By destination, too: where the state had to be made anew meanwhile, the id may be another's.
            db.executemany("DELETE FROM parked WHERE id = ? AND destination = ?", [(row, name) for row in change.freed])
            db.executemany(
                "INSERT INTO parked (destination, writer, not_before, attempts, renewed, line) VALUES (?, ?, ?, ?, ?, ?)",
                [(name, *row) for row in change.parks],
            )
            db.executemany(
                "INSERT INTO dead (destination, writer, reason, detail, attempts, line, since) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(name, *row, now_s) for row in change.deads],
            )
            db.executemany(
                "INSERT INTO tally VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                [(writer, name, place, reason, n) for (writer, place, reason), n in change.tallies.items()],
            )

    def forget_files(self, files: Iterable[str]) -> None:
        """They are deleted."""
        with self.transaction() as db:
            db.executemany("DELETE FROM cursor WHERE file = ?", [(file,) for file in files])

    def fold(self, is_gone: Callable[[str], bool]) -> None:
        """Add the tallies of writers that are gone to those of nobody, so that they do not pile up."""
        with self.transaction() as db:
            writers = [name for (name,) in db.execute("SELECT DISTINCT writer FROM tally WHERE writer != ''")]
            for name in filter(is_gone, writers):
                db.execute(
                    "INSERT INTO tally SELECT '', destination, place, reason, count FROM tally WHERE writer = ? "
                    "ON CONFLICT DO UPDATE SET count = count + excluded.count",
                    (name,),
                )
                db.execute("DELETE FROM tally WHERE writer = ?", (name,))

    def tallies(self, writer: str | None = None) -> list[tuple[str, str, str, int]]:
        """(destination, place, reason, count) of one writer's calls, or of all."""
        where, arguments = ("", ()) if writer is None else ("WHERE writer = ?", (writer,))
        query = f"SELECT destination, place, reason, sum(count) FROM tally {where} GROUP BY destination, place, reason"  # noqa: S608
        return self.read(query, arguments)

    def parked_counts(self, writer: str | None = None) -> dict[str, int]:
        """{destination: parked calls} of one writer, or of all."""
        where, arguments = ("", ()) if writer is None else ("WHERE writer = ?", (writer,))
        query = f"SELECT destination, count(*) FROM parked {where} GROUP BY destination"  # noqa: S608
        return dict(self.read(query, arguments))

    def picture(self) -> Picture:
        """Everything that is counted, at one moment; an empty one where there is no state yet.

        Raises:
            NewerState, sqlite3.Error: it cannot be read.
        """
        with self._lock:
            if not self._path.exists():
                return Picture()
            db = self._open()
            db.execute("BEGIN")
            try:
                ((version,),) = db.execute("PRAGMA user_version").fetchall()
                if version == 0:  # somebody is just making it
                    return Picture()
                _refuse_newer(self._path, version)
                cursors: dict[str, dict[str, int]] = {}
                for name, file, offset in db.execute("SELECT destination, file, offset FROM cursor"):
                    cursors.setdefault(name, {})[file] = offset
                oldest = "SELECT destination, line, min(id) FROM parked GROUP BY destination"
                return Picture(
                    tuple(name for (name,) in db.execute("SELECT name FROM destination")),
                    cursors,
                    self.parked_counts(),
                    {name: line for name, line, _ in db.execute(oldest)},
                    self.tallies(),
                )
            finally:
                db.execute("ROLLBACK")

    def dead_letters(self, destination: str | None = None, ids: Sequence[int] | None = None) -> list[DeadLetter]:
        """Dead letters, oldest first.

        Raises:
            NewerState: the state was written by a later version.
        """
        for (version,) in self.read("PRAGMA user_version"):
            _refuse_newer(self._path, version)
        conditions, arguments = ["1"], list[Any]()
        if destination is not None:
            conditions.append("destination = ?")
            arguments.append(destination)
        if ids is not None:
            conditions.append(f"id IN ({','.join('?' * len(ids))})")
            arguments += ids
        query = "SELECT id, destination, reason, detail, attempts, since, line FROM dead WHERE "
        return [DeadLetter(*row) for row in self.read(query + " AND ".join(conditions) + " ORDER BY id", arguments)]

    def replay(self, ids: Sequence[int]) -> int:
        """Have dead letters tried again, under the ids they had; how many. Their age counts from now."""
        moved = 0
        now_s = time.time()
        with self.transaction() as db:
            for row in ids:
                db.execute(
                    "INSERT INTO parked (destination, writer, not_before, attempts, renewed, line) "
                    "SELECT destination, writer, 0, 0, ?, line FROM dead WHERE id = ?",
                    (now_s, row),
                )
                # What is tried again is no longer dead: the balance of its writer must say so.
                db.execute(
                    "UPDATE tally SET count = count - 1 WHERE place = 'dead' AND (writer, destination, reason) = "
                    "(SELECT writer, destination, reason FROM dead WHERE id = ?)",
                    (row,),
                )
                moved += db.execute("DELETE FROM dead WHERE id = ?", (row,)).rowcount
        return moved

    def purge(self, ids: Sequence[int]) -> int:
        """Delete dead letters for good; how many. They stay counted."""
        with self.transaction() as db:
            return sum(db.execute("DELETE FROM dead WHERE id = ?", (row,)).rowcount for row in ids)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.DatabaseError as exc:
                is_garbage = not isinstance(exc, sqlite3.OperationalError) or "no such" in str(exc)
                if self._is_reader or not is_garbage:
                    raise
                self._set_aside(exc)
                self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path.is_symlink():  # SQLite would follow it, and write to a file that is none of ours
            raise sqlite3.OperationalError(f"{self._path} is a symbolic link")
        if self._is_reader:
            return sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", timeout=5.0, uri=True, check_same_thread=False
            )
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would make it readable by all
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            _refuse_newer(self._path, version)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if version == 0:
                _create(connection)
            connection.execute("SELECT count(*) FROM cursor").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside_if_corrupt(self, exc: sqlite3.DatabaseError) -> None:
        if _is_damage(exc) and not self._is_reader:
            self._set_aside(exc)

    def _set_aside(self, exc: Exception) -> None:
        """The file is no state: keep it for whoever wants to look, and start anew."""
        aside = self._path.with_name(f"{STATE_FILE}.corrupt-{int(time.time())}")
        self._log.error(
            f"{self._path} cannot be used ({exc}); it is kept as {aside.name}. Delivery starts from the beginning of the "
            "files: some calls are sent twice, with the same ids"
        )
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(STATE_FILE + suffix).unlink(missing_ok=True)


def _is_damage(exc: sqlite3.DatabaseError) -> bool:
    """Whether no later try would mend it: such errors have no class of their own."""
    return type(exc) is sqlite3.DatabaseError


def _refuse_newer(path: Path, version: int) -> None:
    if version > VERSION:
        raise NewerState(f"{path} is of format {version}; this itly knows {VERSION}: install a newer one")


def _create(connection: sqlite3.Connection) -> None:
    """Several processes may open a new file at once: the first one makes the tables."""
    connection.execute("BEGIN IMMEDIATE")
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version == 0:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
