"""The spool: a directory of append-only files that holds accepted calls until every destination has them.

One process writes a file, one `write(2)` per call, and holds its `flock` for life: a free lock means the writer is dead,
and whoever ships may finish the file. Lines are JSON and end in a newline, which is also where reading takes up again
after damage. Format: docs/spool-format.md.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ..call import sealed
from ..log import Log
from .source import Dead, Delivered, Entry, Parked, Verdict
from .state import Settlement, State
from .wholeness import Wakeup, no_fork

FORMAT = 1
MARK_FILE = "spool.json"
SUFFIX = ".ndjson"
QUARANTINE = "quarantine"
FILE_BYTES = 8 << 20  # a file of this size is closed, so that it can be deleted some day
FILE_AGE_S = 60.0  # so is one of this age
UNSYNCED_BYTES = 4 << 20  # more than this is forced to disk without waiting for the interval
READ_BYTES = 1 << 20  # read from a file at once, at the least
POLL_S = 0.1  # how often a lane looks for what other processes wrote
RESERVE = 0.05  # part of the disk that is left free,
RESERVE_BYTES = 128 << 20  # or this much, whichever is less
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3", "lustre")


class SpoolError(Exception):
    """The directory cannot serve as a spool; the text says why and what to do."""


def prepare(directory: Path, project: str) -> None:
    """Make the directory a spool, or see that it is ours.

    Raises:
        SpoolError: it cannot be written, is on a network, is another project's, or of a later format.
    """
    try:
        _refuse_network(directory, _nearest(directory))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = directory / MARK_FILE
        if not mark.exists():
            _write_mark(mark, {"format": FORMAT, "project": project})
        _refuse_strangers(directory, project)
        (directory / QUARANTINE).mkdir(mode=0o700, exist_ok=True)
    except (OSError, ValueError) as exc:
        raise _unwritable(directory, exc) from exc


def examine(directory: Path, project: str) -> None:
    """See whether `prepare` would succeed, and write nothing.

    Raises:
        SpoolError: it would not.
    """
    try:
        nearest = _nearest(directory)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))
        _refuse_network(directory, nearest)
        if (directory / MARK_FILE).exists():
            _refuse_strangers(directory, project)
    except (OSError, ValueError) as exc:
        raise _unwritable(directory, exc) from exc


def _unwritable(directory: Path, exc: Exception) -> SpoolError:
    return SpoolError(
        f"{directory} cannot be written as a spool: {exc}; set spool_dir to a directory this user may write"
    )


def _nearest(directory: Path) -> Path:
    """The directory, or the first of its parents that exists."""
    return next(place for place in (directory, *directory.parents) if place.exists())


def _refuse_network(directory: Path, nearest: Path) -> None:
    """nearest: of its parents, or itself, the one that exists."""
    kind = _file_system(nearest)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        raise SpoolError(
            f"{directory} is on a network file system ({kind}), whose locks cannot be relied on; set spool_dir to a local disk"
        )


def _refuse_strangers(directory: Path, project: str) -> None:
    """Neither a later version's spool nor another project's."""
    found = json.loads((directory / MARK_FILE).read_bytes())
    if not isinstance(found, dict) or found.get("format") not in range(FORMAT + 1):
        raise SpoolError(
            f"{directory} was written by a later version of itly: install that version, or set another spool_dir"
        )
    if found.get("project", project) != project:
        raise SpoolError(
            f"{directory} belongs to the plan {found['project']!r}, and this is {project!r}: give each project its own spool_dir"
        )


def _write_mark(mark: Path, content: dict[str, object]) -> None:
    """Several processes may do this at once: the first one's stands."""
    draft = mark.with_name(f".{MARK_FILE}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(content).encode())
    finally:
        os.close(fd)
    try:
        os.link(draft, mark)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def open_own(path: Path, flags: int) -> int:
    """Open a file beside the calls, made if it is not there. Never through a symbolic link: where others may write to the
    directory too, it could lead to a file that is none of ours."""
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _file_system(directory: Path) -> str:
    """The type of the file system a directory is on; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    here, best, kind = str(directory.resolve()), "", ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields.split()[4])  # a space is \040
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind


class SpoolWriter:
    """The one file of this process that calls are appended to. Threads share it. Made anew after a fork."""

    def __init__(self, directory: Path, sync: Literal["interval", "always", "os"], max_bytes: int, log: Log) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._directory = directory
        self._sync_mode = sync
        self._max_bytes = max_bytes
        self._log = log
        self._lock = threading.RLock()  # a signal handler may call while it is held
        self._fd = -1
        self._file = ""
        self._size = 0
        self._opened_s = 0.0
        self._serial = 0
        self._room = max_bytes
        self.appended_bytes = 0
        self._unsynced: list[bytes] = []  # what a failed fsync, or a deleted file, would leave in doubt
        self._unsynced_bytes = 0
        self._closing: list[int] = []  # full files, to be synced and closed by `tend`
        self._next: tuple[int, str] | None = None  # opened ahead, so that rotation costs no call anything
        self._written: dict[str, int] = {}
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self.needs_sync = Wakeup()

    def append(self, line: bytes) -> str | None:
        """Hand a line to the operating system; None when it is there, else why it is not."""
        line = sealed(line)
        size = len(line)
        with self._lock:
            reason = None
            if size > self._room:
                reason = "spool_full"
            else:
                try:
                    if self._fd < 0 or self._size >= FILE_BYTES:
                        self._rotate()
                    if os.write(self._fd, line) != size:
                        os.ftruncate(self._fd, self._size)  # a full disk took a part of it
                        reason = "spool_full"
                    elif self._sync_mode == "always":
                        os.fdatasync(self._fd)
                except OSError as exc:
                    reason = self._failed(exc)
            if reason is not None:
                self.refused[reason] += 1
                return reason
            self._size += size
            self._room -= size
            self.appended_bytes += size
            self.accepted += 1
            self._unsynced.append(line)
            self._unsynced_bytes += size
            if self._unsynced_bytes > UNSYNCED_BYTES:
                self.needs_sync.set()
        return None

    def refuse(self, reason: str) -> None:
        with self._lock:
            self.refused[reason] += 1

    def counts(self) -> tuple[int, Counter[str]]:
        """Calls accepted and calls refused, by reason."""
        with self._lock:
            return self.accepted, Counter(self.refused)

    def marks(self) -> dict[str, int]:
        """{file: bytes} of everything this process wrote and has not been told is gone."""
        with self._lock:
            if self._file:
                self._written[self._file] = self._size
            return dict(self._written)

    def forget(self, gone: Sequence[str]) -> None:
        """These files were shipped and deleted."""
        with self._lock:
            for name in gone:
                self._written.pop(name, None)

    def tend(self, taken_bytes: int, appended_bytes: int | None = None) -> None:
        """The housekeeping: sync, close full files, open the next one ahead, see how much room there is.

        taken_bytes: size of all files of the spool. appended_bytes: this writer's own when they were looked at; None: now.
        """
        with self._lock:
            if self._fd >= 0 and self._size and time.monotonic() - self._opened_s > FILE_AGE_S:
                self._retire()
        self._let_go(self._sync())
        with self._lock:
            since = 0 if appended_bytes is None else self.appended_bytes - appended_bytes
            wants_next = self._fd >= 0 and self._next is None and self._size > FILE_BYTES // 2
            self._room = min(self._max_bytes - taken_bytes - since, self._disk_room())
        if wants_next:
            with no_fork:
                self._next = self._next or self._open()

    def close(self) -> None:
        """Nothing more is written by this process, until it writes again. Its files are complete."""
        with self._lock:
            if self._fd >= 0:
                self._retire()
        self._let_go(self._sync())
        with no_fork:
            unused, self._next = self._next, None
            if unused is not None:
                os.close(unused[0])
                (self._directory / unused[1]).unlink(missing_ok=True)

    def _let_go(self, done: Sequence[int]) -> None:
        """Close those of the full files that need no sync any more; with the descriptor goes the lock."""
        with self._lock, no_fork:
            for fd in [fd for fd in self._closing if fd in done]:
                self._closing.remove(fd)
                os.close(fd)

    def abandon(self) -> None:
        """After a fork: the files are the parent's, and a copy of the descriptor would keep their locks after its death."""
        for fd in (self._fd, *self._closing, *([self._next[0]] if self._next else ())):
            if fd >= 0:
                os.close(fd)

    def _rotate(self) -> None:
        if self._fd >= 0:
            self._retire()
            self.needs_sync.set()
        with no_fork:
            self._fd, self._file = self._next or self._open()
            self._next = None
        # Looked at here too: between two looks of `tend` a burst could take the space that the state needs to move on.
        self._room = min(self._room, self._disk_room())
        self._size, self._opened_s = 0, time.monotonic()

    def _retire(self) -> None:
        """The current file is complete. It stays open, and locked, until it is synced."""
        self._written[self._file] = self._size
        with no_fork:
            self._closing.append(self._fd)
            self._fd, self._file, self._size = -1, "", 0

    def _open(self) -> tuple[int, str]:
        """A new file, locked before anyone can see it: a visible file without a lock would pass for a dead writer's."""
        self._serial += 1
        name = f"{time.time_ns() // 1_000_000:013d}-{self.name}-{self._serial}{SUFFIX}"
        draft = self._directory / f".{name}"
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(draft, self._directory / name)
            if self._sync_mode != "os":
                _sync_directory(self._directory)
        except OSError:
            os.close(fd)
            draft.unlink(missing_ok=True)
            raise
        return fd, name

    def _sync(self) -> Sequence[int]:
        """Force to disk what is not there yet. One that fails is never tried again on the same file: the kernel may have
        dropped the data and would report success. Everything in doubt is written again, to a new file; so it is when
        somebody deleted the file, which no write would notice. The descriptors of the files that were looked after."""
        with self._lock:
            fds, window = [*self._closing, *([self._fd] if self._fd >= 0 else [])], self._unsynced
            self._unsynced, self._unsynced_bytes = [], 0
        try:
            if any(os.fstat(fd).st_nlink == 0 for fd in fds):
                raise FileNotFoundError(errno.ENOENT, "somebody deleted a file of", str(self._directory))
            if window and self._sync_mode == "interval":
                for fd in fds:
                    os.fdatasync(fd)
        except OSError as exc:
            self._log.error(f"spool: {exc}; the last {len(window)} calls are written again, to a new file")
            if not self._write_again(b"".join(window)):
                self._log.error("spool: they could not be written again, and may be lost")
        return fds

    def _write_again(self, lines: bytes) -> bool:
        with self._lock:
            try:
                with no_fork:
                    if self._next is not None:  # it may be gone as well
                        os.close(self._next[0])
                        self._next = None
                self._rotate()
                written = os.write(self._fd, lines)
                os.fdatasync(self._fd)
            except OSError as exc:
                self._failed(exc)
                return False
            if written != len(lines):
                os.ftruncate(self._fd, 0)
                return False
            self._size += written
            self.accepted += lines.count(b"\n")  # they are there twice now, and will be delivered twice
            return True

    def _failed(self, exc: OSError) -> str:
        """What a failed write means for the call; the next one tries a new file."""
        if self._fd >= 0 and exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            self._retire()
        return (
            "spool_full"
            if exc.errno in (errno.ENOSPC, errno.EDQUOT)
            else f"spool_{errno.errorcode.get(exc.errno or 0, 'error')}"
        )

    def _disk_room(self) -> int:
        try:
            disk = os.statvfs(self._directory)
        except OSError:  # the write will tell what is wrong
            return self._max_bytes
        reserve = min(RESERVE * disk.f_blocks * disk.f_frsize, RESERVE_BYTES)
        return int(disk.f_bavail * disk.f_frsize - reserve)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One file as it was when it was looked at. writer: who wrote it."""

    name: str
    size: int

    @property
    def writer(self) -> str:
        return self.name.split("-", 1)[1].rsplit("-", 1)[0] if self.name.count("-") >= 3 else ""


def list_files(directory: Path) -> list[SpoolFile]:
    """The files of a spool, oldest first; none where the directory is gone."""
    found = []
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in entries:
        if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
            try:
                found.append(SpoolFile(entry.name, entry.stat().st_size))
            except FileNotFoundError:  # deleted since
                continue
    return sorted(found, key=lambda file: file.name)


class SpoolFiles:
    """The files as the lanes of one shipper see them: looked at once for all of them, a few times a second."""

    def __init__(self, directory: Path, log: Log) -> None:
        self.directory = directory
        self._log = log
        self._lock = threading.Lock()
        self._seen: list[SpoolFile] = []
        self._seen_s = 0.0
        self._complete: set[str] = set()

    def now(self, max_age_s: float = POLL_S / 2) -> list[SpoolFile]:
        with self._lock:
            if time.monotonic() - self._seen_s >= max_age_s:
                self._seen = self._look()
                self._seen_s = time.monotonic()
            return self._seen

    def _look(self) -> list[SpoolFile]:
        try:
            return [file for file in list_files(self.directory) if self._is_readable(file.name)]
        except OSError as exc:
            self._log.error_once(f"spool: {self.directory} cannot be looked at ({exc}); the calls in it wait")
            return []

    def _is_readable(self, name: str) -> bool:
        if os.access(self.directory / name, os.R_OK):
            return True
        if (self.directory / name).exists():
            self._log.error_once(
                f"spool: {name} cannot be read by this user and waits; run every process of a spool as the same user"
            )
        return False

    def is_complete(self, name: str) -> bool:
        """Whether nobody will write to it any more."""
        with self._lock:
            if name not in self._complete and is_unlocked(self.directory / name):
                self._complete.add(name)
            return name in self._complete

    def is_torn(self, name: str, size: int) -> bool:
        """Whether the file ends there for ever."""
        return self.is_complete(name) and self.size(name) == size

    def size(self, name: str) -> int:
        """Bytes in the file as it is now; 0 when it is gone."""
        try:
            return (self.directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def delete(self, name: str) -> None:
        with self._lock:
            (self.directory / name).unlink(missing_ok=True)
            self._complete.discard(name)
            self._seen = [file for file in self._seen if file.name != name]

    def quarantine(self, name: str, offset: int, line: bytes) -> None:
        """Keep a copy of a line that cannot be read, once, whichever lane met it first."""
        self._log.error(f"spool: a line of {name} cannot be read; a copy is in {QUARANTINE}/")
        try:
            fd = os.open(
                self.directory / QUARANTINE / f"{name}-{offset}",
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o600,
            )
        except OSError:  # there already, or no room: it is counted all the same
            return
        with os.fdopen(fd, "wb") as file:
            file.write(line)


def is_process_alive(writer: str) -> bool:
    """Whether the process of a writer's name runs, as far as this one can see: containers do not see each other's."""
    try:
        os.kill(int(writer.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as another user
    return True


def is_unlocked(path: Path) -> bool:
    """Whether no process has the file for itself; so when there is none."""
    with no_fork:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError:
            return False
        finally:
            os.close(fd)


class Place(NamedTuple):
    """Where an entry came from: the bytes up to `end` of a file, or a parked row."""

    writer: str
    file: str = ""
    start: int = 0
    end: int = 0
    row: int = 0


class SpoolSource:
    """The calls of a spool for one destination. Its lane takes and settles; the shipper may look, and tell it things."""

    is_durable = True

    def __init__(self, destination: str, files: SpoolFiles, state: State, linger_s: float) -> None:
        self._destination = destination
        self._files = files
        self._state = state
        self._linger_s = linger_s
        self._cursors = state.cursors(destination)
        self._is_urgent = False
        self._only: Collection[str] | None = None
        self._first_s: float | None = None  # when the oldest call not yet taken was first seen
        self._next_due = state.next_due(destination)
        self._in_flight: Counter[str] = Counter()  # by writer
        self._filled_by = ""  # the file that had the last batch for itself
        self.settled_bytes = 0  # of files, since this source was made

    def in_flight(self, writer: str | None = None) -> int:
        """Calls taken and not settled, of one writer or of all."""
        return self._in_flight.total() if writer is None else self._in_flight[writer]

    def hurry(self) -> None:
        self._is_urgent = True

    def keep_to(self, files: Collection[str]) -> None:
        """Take from no other file that is still written to: an ending process leaves those to the next."""
        self._only = files

    def look_for_parked(self) -> None:
        """Parked calls came from elsewhere."""
        self._next_due = self._state.next_due(self._destination)

    def forget(self, file: str) -> None:
        """The file is deleted."""
        self._cursors.pop(file, None)

    def cursor(self, file: str) -> int:
        return self._cursors.get(file, 0)

    def due_s(self, batch_size: int) -> float | None:
        now = time.monotonic()
        if self._next_due is not None and self._next_due <= time.time():
            return 0.0
        pending = sum(
            max(0, file.size - self.cursor(file.name)) for file in self._files.now(0 if self._is_urgent else POLL_S / 2)
        )
        if not pending:
            self._first_s, self._is_urgent = None, False
            return POLL_S
        if self._first_s is None:
            self._first_s = now
        is_much = pending >= READ_BYTES // 4
        wait_s = 0.0 if self._is_urgent or is_much else self._first_s + self._linger_s - now
        return min(max(0.0, wait_s), POLL_S)

    def take(self, max_calls: int, max_bytes: int) -> list[Entry]:
        taken: list[Entry] = []
        if self._next_due is not None and self._next_due <= time.time():
            rows = self._state.due(self._destination, time.time(), max_calls)
            taken = [Entry(row.line, row.attempts, Place(row.writer, row=row.id), row.renewed) for row in rows]
        else:
            filled_by = ""
            for file in self._in_turn(self._files.now(0)):
                offset = self.cursor(file.name)
                if offset < file.size and self._is_ours(file.name):
                    found = self._read(file, offset, max_calls - len(taken), max_bytes)
                    taken += found
                    max_bytes -= sum(len(entry.line) for entry in found)
                if len(taken) >= max_calls or max_bytes <= 0:
                    filled_by = file.name if taken[0].token.file == file.name else ""
                    break
            self._filled_by = filled_by
        self._first_s = None
        self._in_flight = Counter(entry.token.writer for entry in taken)
        return taken

    def _in_turn(self, files: Sequence[SpoolFile]) -> Sequence[SpoolFile]:
        """Oldest first, but behind the file that had the last batch for itself: a process that writes faster than the vendor
        takes must not keep the calls of all others waiting."""
        later = [file for file in files if file.name > self._filled_by]
        return [*later, *files[: len(files) - len(later)]]

    def settle(self, settled: Sequence[tuple[Entry, Verdict]]) -> None:
        change = Settlement(self._destination, {}, [], [], [], Counter())
        now_s = time.time()
        for entry, verdict in _without_unread(settled):
            place: Place = entry.token
            if place.row:
                if _is_left_over(verdict):
                    continue
                change.freed.append(place.row)
            elif place.end > change.cursors.get(place.file, 0):
                change.cursors[place.file] = place.end
            if isinstance(verdict, Delivered):
                change.tallies[place.writer, "delivered", ""] += 1
            elif isinstance(verdict, Parked):
                attempts = entry.attempts + verdict.is_failure
                due_s = now_s + verdict.after_s
                change.parks.append((place.writer, due_s, attempts, entry.renewed_s, entry.line))
            elif isinstance(verdict, Dead) and verdict.reason != "unreadable":
                change.deads.append((place.writer, verdict.reason, verdict.detail, entry.attempts, entry.line))
                change.tallies[place.writer, "dead", verdict.reason] += 1
            else:
                if isinstance(verdict, Dead):
                    self._files.quarantine(place.file, place.start, entry.line)
                change.tallies[place.writer, "dropped", "corrupt" if isinstance(verdict, Dead) else verdict.reason] += 1
        self._state.settle(change)
        self.settled_bytes += sum(offset - self.cursor(file) for file, offset in change.cursors.items())
        self._cursors.update(change.cursors)
        self._next_due = self._state.next_due(self._destination)
        self._in_flight = Counter()

    def release(self) -> None:
        """What is left stays in the spool."""

    def _is_ours(self, file: str) -> bool:
        return self._only is None or file in self._only or self._files.is_complete(file)

    def _read(self, file: SpoolFile, offset: int, max_calls: int, max_bytes: int) -> list[Entry]:
        """Complete lines from there on."""
        try:
            fd = os.open(self._files.directory / file.name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            wanted = max(READ_BYTES, max_bytes)
            data = os.pread(fd, min(wanted, file.size - offset), offset)
            while b"\n" not in data and len(data) < file.size - offset:  # one very long line
                data += os.pread(fd, wanted, offset + len(data))
        finally:
            os.close(fd)
        writer, entries = file.writer, list[Entry]()
        start = size = 0
        while len(entries) < max_calls and size < max_bytes and (end := data.find(b"\n", start) + 1):
            line = data[start:end]
            entries.append(Entry(line, token=Place(writer, file.name, offset + start, offset + end)))
            start, size = end, size + len(line)
        if not entries and data and self._files.is_torn(file.name, offset + len(data)):
            # The writer died within a write: the torn end is nobody's call, since its write never returned.
            entries.append(Entry(data, token=Place(writer, file.name, offset, offset + len(data))))
        return entries


def _without_unread(settled: Sequence[tuple[Entry, Verdict]]) -> Sequence[tuple[Entry, Verdict]]:
    """All but what is left over at the end of what was read from the files: the cursor stays before it, and it is simply
    read again. Only what is left over in between must be parked."""
    if not any(_is_left_over(verdict) for _, verdict in settled):
        return settled
    in_order = sorted(settled, key=lambda pair: (pair[0].token.file, pair[0].token.end))
    while in_order and not in_order[-1][0].token.row and _is_left_over(in_order[-1][1]):
        in_order.pop()
    return in_order


def _is_left_over(verdict: Verdict) -> bool:
    return isinstance(verdict, Parked) and not verdict.is_failure and verdict.after_s == 0
