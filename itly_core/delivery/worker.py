"""`itly worker`: a process that does nothing but ship, so that web processes need not.

It asks for the shipping role with a lock of its own; a web process that ships gives way at its next look. Once the worker
ends, one of them takes over again.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import FrameType

from ..log import Log
from ..options import DeliveryOptions
from . import process
from .lane import Lane
from .shipper import SHIPPER_LOCK, WORKER_LOCK, Role, Senders, Shipper
from .state import State

TICK_S = 0.1  # how often the worker looks whether there is something to do beside the lanes' work
HANDOVER_TICK_S = 0.02  # how often it tries to get the role
LOOKS = 10  # tries for the worker's lock: another process that only looks whether it is taken holds it for an instant
PATIENCE_S = 60.0  # `once` waits for a vendor that fails or wants a call later, but not longer than this
GRACE_S = 2.0  # for what follows a request's own timeout when the worker ends


class End(Enum):
    """Why a worker ended."""

    TOLD = "told"  # by a signal
    EMPTY = "empty"  # everything that was there is settled
    STUCK = "stuck"  # what is left cannot be sent now
    TIME = "time"  # the time it was given is up
    TAKEN = "taken"  # another worker is at work
    GONE = "gone"  # the spool was deleted


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a worker is. Bytes and calls count once for each destination."""

    is_shipping: bool
    settled_bytes: int = 0
    pending_bytes: int = 0
    settled_calls: int = 0


@dataclass(slots=True)
class Account:
    """What a worker did for one destination, and what it left."""

    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    parked: int = 0
    pending_bytes: int = 0
    state: str = "ok"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """end: why it ended. holder: the process of the other worker, where there is one; 0 if it does not say."""

    end: End
    holder: int = 0
    accounts: Mapping[str, Account] = field(default_factory=dict)


Watch = Callable[[Progress], None]


class Worker:
    """Ships one spool. `run` may be called once."""

    def __init__(self, directory: Path, senders: Senders, options: DeliveryOptions, log: Log) -> None:
        self._directory = directory
        self._senders = senders
        self._options = options
        self._log = log
        self._worker_role = Role(directory / WORKER_LOCK)
        self._role = Role(directory / SHIPPER_LOCK)
        self._orders: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, a signal handler may touch it
        self._shipper: Shipper | None = None
        self._until_s = float("inf")
        self.destinations = tuple(senders())
        process.watch(self)

    def end(self) -> None:
        """Have it end: after the requests in hand; told twice, at once. May be called by a signal handler."""
        self._orders.put(None)

    def run(
        self,
        *,
        once: bool = False,
        patience_s: float = PATIENCE_S,
        timeout_s: float | None = None,
        watch: Watch = lambda progress: None,
    ) -> Report:
        """Ship until told to end. SIGTERM and SIGINT tell it, where this is the main thread.

        once: only until everything that was in the spool at the beginning is settled, or cannot be now; a vendor that
        fails gets `patience_s`. timeout_s: end by then. watch: is told several times a second how far it is.

        Raises:
            NewerState: the spool was written by a later version.
            OSError, sqlite3.Error: the spool cannot be used.
        """
        if timeout_s is not None:
            self._until_s = time.monotonic() + timeout_s
        with ExitStack() as undo:
            undo.enter_context(_told_by_signals(self.end))
            if not self._take_worker_role():
                return Report(end=End.TAKEN, holder=self._worker_role.holder() or 0)
            undo.callback(self._worker_role.give_up)
            end = self._wait_for_role(watch)
            if end is not None:
                return Report(end=end)
            undo.callback(self._role.give_up)
            return self._ship(patience_s if once else None, watch)

    # Living: an adapter may fork

    def before_fork(self) -> None:
        if self._shipper is not None:
            self._shipper.state.lock_for_fork()

    def after_fork_in_parent(self) -> None:
        if self._shipper is not None:
            self._shipper.state.unlock_after_fork()

    def after_fork(self) -> None:
        """The child ships nothing, and must not keep the locks after the worker's death."""
        self._worker_role.give_up()
        self._role.give_up()
        if self._shipper is not None:
            self._shipper.state.abandon()
            self._shipper = None

    def at_exit(self) -> None:
        """Everything is over: `run` has returned, or was left by an exception."""

    def _take_worker_role(self) -> bool:
        for _ in range(LOOKS):
            if self._worker_role.take():
                return True
            time.sleep(HANDOVER_TICK_S)
        return False

    def _wait_for_role(self, watch: Watch) -> End | None:
        """Wait until the process that ships has given way; why it was not waited any longer."""
        began_s, is_said = time.monotonic(), False
        while not self._role.take():
            watch(Progress(is_shipping=False))
            if self._is_told(HANDOVER_TICK_S):
                return End.TOLD
            if time.monotonic() >= self._until_s:
                return End.TIME
            if not is_said and time.monotonic() - began_s > 1:
                is_said = True
                self._log.info(f"process {self._role.holder() or '?'} ships; waiting until it has finished its request")
        return None

    def _ship(self, patience_s: float | None, watch: Watch) -> Report:
        self._shipper = shipper = Shipper(
            self._directory, self._senders(), self._options, self._log, on_settled=lambda: None
        )
        before = _totals(shipper.state)
        wanted = {file.name: file.size for file in shipper.files.now(0)}
        shipper.lanes.start()
        try:
            end = None
            while end is None:
                try:
                    shipper.tend()
                    watch(_progress(shipper, before))
                    end = None if patience_s is None else _outcome(shipper, wanted, patience_s)
                except Exception as exc:  # noqa: BLE001  # the boundary: a full disk, say, passes
                    self._log.exception("worker: housekeeping stumbled and goes on", exc)
                end = end or self._reason_to_end()
            self._stop(shipper)
            return Report(end=end, accounts=_accounts(shipper, before))
        finally:
            shipper.state.close()

    def _reason_to_end(self) -> End | None:
        if self._is_told(min(TICK_S, max(0.0, self._until_s - time.monotonic()))):
            return End.TOLD
        if self._role.is_void() or self._worker_role.is_void():
            return End.GONE
        return End.TIME if time.monotonic() >= self._until_s else None

    def _is_told(self, timeout_s: float) -> bool:
        try:
            self._orders.get(timeout=timeout_s)
        except queue.Empty:
            return False
        return True

    def _stop(self, shipper: Shipper) -> None:
        """Let every lane finish its request: one that is cut off is one that is sent twice."""
        self._log.info("worker: ending after the requests in hand; told again, it ends at once")
        until_s = time.monotonic() + self._options.timeout + GRACE_S
        did_end = False
        try:
            did_end = shipper.stop(0.0)
            while not did_end and time.monotonic() < until_s and not self._is_told(0.0):
                did_end = shipper.stop(TICK_S)
        except Exception as exc:  # noqa: BLE001  # the lanes have ended, or never will: what is left stays in the spool
            self._log.exception("worker: ending stumbled; nothing is lost", exc)
        if not did_end:
            self._log.warn("worker: a request is cut off; its calls are sent again, with the same ids")


def _outcome(shipper: Shipper, wanted: Mapping[str, int], patience_s: float) -> End | None:
    """What `once` has come to: everything wanted is settled, or what is left will not be without somebody's help.

    wanted: {file: bytes}.
    """
    outlooks = {_outlook(shipper, lane, wanted, patience_s) for lane in shipper.lanes.lanes}
    if None in outlooks:
        return None
    return End.STUCK if End.STUCK in outlooks else End.EMPTY


def _outlook(shipper: Shipper, lane: Lane, wanted: Mapping[str, int], patience_s: float) -> End | None:
    """The same for one destination; it is hurried on the way."""
    source = shipper.sources[lane.name]
    source.hurry()
    # A file may have become shorter: its writer takes back what a full disk took only a part of.
    sizes = {file.name: min(file.size, wanted.get(file.name, 0)) for file in shipper.files.now(0)}
    is_through = all(source.cursor(file) >= size for file, size in sizes.items()) and not source.in_flight()
    due_s = shipper.state.next_due(lane.name)
    if is_through and due_s is None:
        return End.EMPTY
    is_waiting_long = is_through and due_s is not None and due_s > time.time() + patience_s
    since_s = lane.unwell_since_s
    is_failing_long = since_s is not None and time.monotonic() - since_s > patience_s
    return End.STUCK if lane.state == "held" or is_failing_long or is_waiting_long else None


def _totals(state: State) -> Counter[tuple[str, str]]:
    """(destination, place) of every call settled so far."""
    totals: Counter[tuple[str, str]] = Counter()
    for destination, place, _, count in state.tallies():
        totals[destination, place] += count
    return totals


def _progress(shipper: Shipper, before: Counter[tuple[str, str]]) -> Progress:
    return Progress(
        is_shipping=True,
        settled_bytes=sum(source.settled_bytes for source in shipper.sources.values()),
        pending_bytes=sum(shipper.pending_bytes(name) for name in shipper.sources),
        settled_calls=(_totals(shipper.state) - before).total(),
    )


def _accounts(shipper: Shipper, before: Counter[tuple[str, str]]) -> dict[str, Account]:
    since = _totals(shipper.state) - before
    parked = shipper.state.parked_counts()
    return {
        lane.name: Account(
            delivered=since[lane.name, "delivered"],
            dead=since[lane.name, "dead"],
            dropped=since[lane.name, "dropped"],
            parked=parked.get(lane.name, 0),
            pending_bytes=shipper.pending_bytes(lane.name),
            state=lane.state,
            reason=lane.reason,
        )
        for lane in shipper.lanes.lanes
    }


@contextmanager
def _told_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `end`; nothing else in the library touches a signal."""

    def handle(number: int, frame: FrameType | None) -> None:
        end()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
