"""Delivery by way of the spool: every process writes, one of them ships.

Who ships is settled by a lock on a file, which the kernel frees at the owner's death. `itly worker` asks for the role
with a second lock, and web processes give way to it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..log import Log
from ..options import DeliveryOptions
from . import process
from .accounting import Balance
from .clock import cautious_clock
from .lane import Lane
from .retry import PATIENCE, Patience
from .sender import Sender
from .spool import (
    POLL_S,
    SpoolError,
    SpoolFiles,
    SpoolSource,
    SpoolWriter,
    is_process_alive,
    is_unlocked,
    list_files,
    open_own,
    prepare,
)
from .state import State
from .wholeness import no_fork

MAX_BYTES = 1 << 30  # of calls kept in a spool
TICK_S = 0.25  # how often a process looks after its file, and whether somebody has to take over
WAKE_FILE = "wake"  # touched to have the shipper of another process hurry
SHIPPER_LOCK = "shipper.lock"
WORKER_LOCK = "worker.lock"
LANES_FILE = "lanes.json"  # how the lanes are doing, for `itly stats`

Senders = Callable[[], Mapping[str, Sender]]


class Role:
    """A role that one process of all has: a file, its lock, and in it who has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    @property
    def is_mine(self) -> bool:
        return self._fd >= 0

    def take(self) -> bool:
        """Take the role, if it is free."""
        with no_fork:
            if self._fd >= 0:
                return True
            fd = open_own(self._path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                return False
            self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError:  # a full disk: nobody is told who has it
            pass
        return True

    def is_void(self) -> bool:
        """Whether the file was deleted: another process will take the role, too."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

    def is_taken(self) -> bool:
        """Whether another process has it."""
        # By a shared lock, so that processes that only look do not take each other for the owner.
        return self._fd < 0 and not is_unlocked(self._path)

    def holder(self) -> int | None:
        """The process that has it; 0 where that is not to be found out; None when nobody has."""
        if self.is_mine:
            return os.getpid()
        if not self.is_taken():
            return None
        try:
            return int(self._path.read_bytes())
        except (OSError, ValueError):
            return 0

    def give_up(self) -> None:
        """Free the role. After a fork, in the child: close the copy, which would keep the lock after the owner's death."""
        with no_fork:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


class Shipper:
    """The lanes of one spool, in the process that has the role."""

    def __init__(
        self,
        directory: Path,
        senders: Mapping[str, Sender],
        options: DeliveryOptions,
        log: Log,
        on_settled: Callable[[], None],
        patience: Patience = PATIENCE,
    ) -> None:
        self.state = State(directory, log)
        self.files = SpoolFiles(directory, log)
        self._directory = directory
        self._woken_ns = 0
        self._told = ""  # what LANES_FILE says
        self.state.register(senders)
        self.sources: dict[str, SpoolSource] = {}
        lanes = []
        clock = cautious_clock()
        for name, sender in senders.items():
            source = SpoolSource(name, self.files, self.state, options.flush_interval)
            self.sources[name] = source
            lanes.append(
                Lane(
                    name,
                    source,
                    sender,
                    log,
                    on_settled,
                    max_age_s=options.max_age,
                    batch_size=options.batch_size,
                    patience=patience,
                    clock=clock,
                )
            )
        self.lanes = process.Lanes(lanes)

    def hurry(self) -> None:
        """Have what is in the spool sent at once; a lane that waits out a failure tries again."""
        for source, lane in zip(self.sources.values(), self.lanes.lanes, strict=True):
            source.hurry()
            lane.hurry()

    def pending_bytes(self, destination: str) -> int:
        """What the destination is not through with, parked calls left out."""
        source = self.sources[destination]
        return sum(max(0, file.size - source.cursor(file.name)) for file in self.files.now())

    def tend(self) -> None:
        """What has to be done a few times a second, beside the lanes' own work."""
        self.clean()
        if self.state.was_changed_elsewhere():  # dead letters are to be tried again
            for source in self.sources.values():
                source.look_for_parked()
        woken_ns = _changed_ns(self._directory / WAKE_FILE)
        if woken_ns != self._woken_ns:
            self._woken_ns = woken_ns
            self.hurry()
        self._tell()

    def _tell(self) -> None:
        """Write down how the lanes are doing, when it has changed."""
        lanes = {
            lane.name: {"state": lane.state, "reason": lane.reason, "in_flight": self.sources[lane.name].in_flight()}
            for lane in self.lanes.lanes
        }
        told = json.dumps({"pid": os.getpid(), "lanes": lanes})
        if told == self._told:
            return
        draft = self._directory / f".{LANES_FILE}"
        fd = open_own(draft, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(fd, "w") as file:
            file.write(told)
        os.replace(draft, self._directory / LANES_FILE)
        self._told = told

    def clean(self) -> None:
        """Delete the files that every destination is done with and nobody writes to any more."""
        deleted = []
        for file in self.files.now(0):
            is_done = all(source.cursor(file.name) >= file.size for source in self.sources.values())
            if is_done and self.files.is_complete(file.name):
                size = self.files.size(file.name)  # final, now that its lock is free
                if all(source.cursor(file.name) >= size for source in self.sources.values()):
                    self.files.delete(file.name)
                    for source in self.sources.values():
                        source.forget(file.name)
                    deleted.append(file.name)
        if deleted:
            self.state.forget_files(deleted)
            with_files = {file.writer for file in self.files.now(0)}
            # An idle process has no file, and still wants to know its balance; so does one that has just shut down.
            self.state.fold(lambda writer: writer not in with_files and not is_process_alive(writer))

    def stop(self, timeout_s: float, *, is_final: bool = True) -> bool:
        """Deliver what can be delivered in time, and end; whether every lane ended. May be called again.

        is_final: adapters are shut down as well.
        """
        did_end = self.lanes.stop(timeout_s, is_final=is_final)
        if did_end:
            self.clean()
            self.state.close()
        return did_end


class SpoolDelivery:
    """Delivery by way of the spool: what `Client` hands its lines to. Opens nothing before the first call of a process."""

    _pid: int
    _writer: SpoolWriter
    _shipper: Shipper | None
    _keeper: threading.Thread | None
    _locked: State | None  # while the process forks

    def __init__(
        self,
        directory: Path,
        project: str,
        senders: Senders,
        options: DeliveryOptions,
        log: Log,
        patience: Patience = PATIENCE,
    ) -> None:
        self.directory = directory
        self._project = project
        self._patience = patience
        self._senders = senders
        self._options = options
        self._log = log
        self._names = list(senders())
        self._build()
        process.watch(self)

    def accept(self, line: bytes) -> None:
        if threading.get_ident() in process.own_threads:
            return self.refuse("recursion")
        reason = self._writer.append(line)
        if reason is not None:
            self._log.error_once(f"spool: a call is not stored ({reason}) and counted as dropped")
        if not self._is_started:
            self._start()

    def refuse(self, reason: str) -> None:
        self._writer.refuse(reason)

    def wake(self) -> None:
        """Nothing to do: the call is safe since it returned, and who ships looks several times a second."""

    def flush(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        marks = self._writer.marks()
        lost = self._lost()
        if marks:
            self._wake_others()
            self._look_after.set()
        while not self._is_settled(marks):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            if self._shipper is not None:
                self._shipper.hurry()
            with self._settled:
                self._settled.wait(min(left_s, POLL_S / 4))
        shipper = self._shipper
        did_flush = shipper is None or shipper.lanes.flush_senders(deadline_s)
        return did_flush and self._lost() == lost

    def _wake_others(self) -> None:
        """For a shipper in another process."""
        fd = open_own(self.directory / WAKE_FILE, os.O_WRONLY)
        try:
            os.utime(fd)
        finally:
            os.close(fd)

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time. What cannot stays in the spool, for the next process."""
        deadline_s = time.monotonic() + timeout_s
        marks, lost = self._writer.marks(), self._lost()
        self._ends.set()
        self._look_after.set()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(timeout_s)
        self._writer.close()
        if marks and self._shipper is None:
            try:
                self._stand_for_election(with_threads=False)
            except Exception as exc:  # noqa: BLE001  # the boundary: the process ends, and its calls are safe
                self._log.exception("spool: nothing is shipped at the end of this process; the next one does", exc)
        if self._shipper is not None:
            for source in self._shipper.sources.values():
                source.keep_to(marks)
        if self._shipper is not None and self._shipper.stop(max(0.0, deadline_s - time.monotonic())):
            self._shipper = None
            self._role.give_up()
        return self._is_settled(marks) and self._lost() == lost

    def stats(self) -> dict[str, dict[str, Any]]:
        """This process's own calls, whoever shipped them."""
        shipper = self._shipper
        with self._reading() as state:
            tallies = state.tallies(self._writer.name)
            parked = state.parked_counts(self._writer.name)
        accepted, refused = self._writer.counts()
        found = {}
        for name in self._names:
            balance = Balance(accepted=accepted)
            for destination, place, reason, count in tallies:
                if destination == name and place == "delivered":
                    balance.delivered += count
                elif destination == name:
                    (balance.dead if place == "dead" else balance.dropped)[reason] += count
            under_way = (
                accepted - balance.delivered - balance.dead.total() - balance.dropped.total() - parked.get(name, 0)
            )
            in_flight = min(under_way, shipper.sources[name].in_flight(self._writer.name)) if shipper else 0
            for reason, count in refused.items():
                balance.drop(reason, count)
            found[name] = balance.snapshot(
                parked=parked.get(name, 0), queued=under_way - in_flight, in_flight=in_flight
            )
        return found

    def before_fork(self) -> None:
        if self._shipper is not None:
            self._locked = self._shipper.state
            self._locked.lock_for_fork()

    def after_fork_in_parent(self) -> None:
        state, self._locked = self._locked, None  # who ships may have changed meanwhile
        if state is not None:
            state.unlock_after_fork()

    def after_fork(self) -> None:
        if self._pid != os.getpid():
            self._writer.abandon()
            self._role.give_up()
            if self._shipper is not None:
                self._shipper.lanes.abandon()
                self._shipper.state.abandon()
            self._build()

    def at_exit(self) -> None:
        if self._is_started:
            self.shutdown(self._options.shutdown_timeout)

    def _build(self) -> None:
        """Everything of this process anew."""
        self._pid = os.getpid()
        self._is_started = False
        self._start_lock = threading.RLock()
        self._settled = threading.Condition()
        self._ends = threading.Event()
        self._keeper = None
        self._locked = None
        self._shipper = None
        self._role = Role(self.directory / SHIPPER_LOCK)
        self._worker_role = Role(self.directory / WORKER_LOCK)
        max_bytes = self._options.max_bytes or MAX_BYTES
        self._writer = SpoolWriter(self.directory, self._options.sync, max_bytes, self._log)
        self._look_after = self._writer.needs_sync

    def _start(self) -> None:
        with self._start_lock:
            if self._is_started:
                return
            self._is_started = True
            process.also_at_end_of_multiprocessing_child()
            keeper = threading.Thread(target=self._keep, name="itly-spool", daemon=True)
            try:
                keeper.start()
            except RuntimeError:  # the interpreter is ending: what is written is safe, and the next process ships it
                return
            self._keeper = keeper

    def _keep(self) -> None:
        """The thread that looks after this process's file, and takes over when nobody ships."""
        ends = self._ends
        while not ends.is_set() and ends is self._ends:  # a greenlet survives a fork, and must not go on in the child
            for chore in (self._tend_writer, self._tend_role):
                try:
                    chore()
                except Exception as exc:  # noqa: BLE001  # the boundary: without this thread nothing would be shipped
                    self._log.exception("spool: housekeeping stumbled and goes on", exc)
            self._look_after.wait(TICK_S)

    def _tend_writer(self) -> None:
        if not self.directory.is_dir():
            self._log.error_once(f"spool: somebody deleted {self.directory}; it is made anew")
            try:
                prepare(self.directory, self._project)
            except SpoolError as exc:  # the writer finds that its file is gone, and refuses calls until it is mended
                self._log.error_once(f"spool: {exc}")
        appended = self._writer.appended_bytes
        self._writer.tend(sum(file.size for file in list_files(self.directory)), appended)

    def _tend_role(self) -> None:
        shipper = self._shipper
        if shipper is None:
            if not self._worker_role.is_taken():
                self._stand_for_election(with_threads=True)
            return
        if self._worker_role.is_taken() or self._role.is_void():
            if shipper.stop(0.0, is_final=False):
                self._shipper = None
                self._role.give_up()
            return
        shipper.tend()

    def _stand_for_election(self, *, with_threads: bool) -> None:
        if not self._role.take():
            return
        try:
            with no_fork:  # a connection that a child inherits unknowingly could corrupt the state
                shipper = Shipper(
                    self.directory, self._senders(), self._options, self._log, self._notify_settled, self._patience
                )
                if with_threads:
                    shipper.lanes.start()
                self._shipper = shipper
        except Exception:
            self._role.give_up()
            raise

    def _notify_settled(self) -> None:
        with self._settled:
            self._settled.notify_all()

    @contextmanager
    def _reading(self) -> Iterator[State]:
        """The state to read from: the shipper's, or a view of another process's."""
        shipper = self._shipper
        if shipper is not None:
            yield shipper.state
            return
        with no_fork:
            view = State(self.directory, self._log, is_reader=True, is_lenient=True)
            try:
                yield view
            finally:
                view.close()

    def _is_settled(self, marks: Mapping[str, int]) -> bool:
        """Whether every destination is done with our files up to there."""
        if not marks:
            return True
        gone = [file for file in marks if not (self.directory / file).exists()]
        waiting = {file: size for file, size in marks.items() if file not in gone}
        self._writer.forget(gone)
        with self._reading() as state:
            for name in self._names:
                cursors = state.cursors(name)
                if any(cursors.get(file, 0) < size for file, size in waiting.items()):
                    return False
            return not any(state.parked_counts(self._writer.name).values())

    def _lost(self) -> int:
        """Own calls finally not delivered, but for those a vendor has no form for."""
        with self._reading() as state:
            tallies = state.tallies(self._writer.name)
        return sum(count for _, place, reason, count in tallies if place != "delivered" and reason != "unsupported")


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
