"""The source of batches that lives in memory: a queue per destination, bounded in bytes.

Best effort: it is gone with the process. What is lost that way is what `shutdown` could not deliver in time, and counted.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..log import Log
from ..options import DeliveryOptions
from . import process
from .accounting import Balance
from .lane import Lane
from .retry import PATIENCE, Patience
from .sender import Sender
from .source import Dead, Delivered, Entry, Parked, Verdict

WAKE_S = 0.05  # how long calls wait for company after a request has ended; at once would be a POST per request
MAX_BYTES = 16 << 20  # of calls waiting, per destination
DEAD_KEPT = 1000  # dead letters kept for inspection; the rest is only counted


def _nobody() -> None:
    """Nobody waits for calls yet."""


class MemoryQueue:
    """Calls waiting for one destination. `put` is called by any thread, the rest by the lane.

    The numbers that order entries are handed out under the lock, so the oldest call not yet settled can be told.
    """

    def __init__(self, max_bytes: int, linger_s: float) -> None:
        self._balance = Balance()
        self._max_bytes = max_bytes
        self._linger_s = linger_s
        self.poke: Callable[[], None] = _nobody  # the lane's, which cannot be made before its source
        self._lock = threading.RLock()  # a signal handler may call while it is held
        self._fresh: deque[bytes] = deque()
        self._parked: list[tuple[float, int, Entry]] = []  # a heap by due time
        self._in_flight: list[Entry] = []
        self._bytes = 0
        self._first_s = 0.0  # when the oldest fresh call came
        self._taken = 0  # number of the next fresh call
        self._is_urgent = False
        self._is_soon = False
        self._batch_size = 1
        self.is_durable = False
        self.dead: deque[tuple[bytes, Dead]] = deque(maxlen=DEAD_KEPT)

    def put(self, line: bytes) -> bool:
        """Accept a call; whether there was room."""
        size = len(line)
        with self._lock:
            if self._bytes + size > self._max_bytes:
                self._balance.drop("queue_full")
                return False
            self._bytes += size
            self._fresh.append(line)
            self._balance.accepted += 1
            waiting = len(self._fresh)
            if waiting == 1:
                self._first_s = time.monotonic()
        if waiting == 1 or waiting == self._batch_size:
            self.poke()
        return True

    def hurry(self) -> None:
        """What is queued now is due at once."""
        self._is_urgent = True
        self.poke()

    def soon(self) -> None:
        """What is queued now need not wait for more. Once per batch that costs its caller a notice to the lane."""
        if self._fresh and not self._is_soon:
            self._is_soon = True
            self.poke()

    def mark(self) -> int:
        """A number above those of all calls accepted so far."""
        with self._lock:
            return self._taken + len(self._fresh)

    def is_settled(self, mark: int) -> bool:
        """Whether every call below that number is settled."""
        with self._lock:
            oldest = self._taken if self._fresh else mark
            under_way = (entry.token for entry in (*self._in_flight, *(entry for _, _, entry in self._parked)))
            return bool(min(itertools.chain((oldest,), under_way)) >= mark)

    def due_s(self, batch_size: int) -> float | None:
        with self._lock:
            self._batch_size = batch_size
            now = time.monotonic()
            waits = []
            if self._fresh:
                linger_s = min(self._linger_s, WAKE_S) if self._is_soon else self._linger_s
                is_full = len(self._fresh) >= batch_size
                waits.append(0.0 if self._is_urgent or is_full else self._first_s + linger_s - now)
            else:
                self._is_urgent = False
            if self._parked:
                waits.append(self._parked[0][0] - now)
            return max(0.0, min(waits)) if waits else None

    def take(self, max_calls: int, max_bytes: int) -> list[Entry]:
        taken: list[Entry] = []
        size = 0
        with self._lock:
            now = time.monotonic()
            while self._parked and self._parked[0][0] <= now and len(taken) < max_calls and size < max_bytes:
                entry = heapq.heappop(self._parked)[2]
                taken.append(entry)
                size += len(entry.line)
            while self._fresh and len(taken) < max_calls and size < max_bytes:
                line = self._fresh.popleft()
                taken.append(Entry(line, token=self._taken))
                self._taken += 1
                size += len(line)
            if self._fresh:
                self._first_s = now
            self._is_soon = False
            self._in_flight = taken
        return taken

    def settle(self, settled: Sequence[tuple[Entry, Verdict]]) -> None:
        with self._lock:
            now = time.monotonic()
            self._in_flight = []
            for entry, verdict in settled:
                if isinstance(verdict, Parked):
                    kept = Entry(entry.line, entry.attempts + verdict.is_failure, entry.token)
                    heapq.heappush(self._parked, (now + verdict.after_s, entry.token, kept))
                    continue
                self._bytes -= len(entry.line)
                if isinstance(verdict, Delivered):
                    self._balance.delivered += 1
                elif isinstance(verdict, Dead):
                    self.dead.append((entry.line, verdict))
                    self._balance.dead[verdict.reason] += 1
                else:
                    self._balance.dropped[verdict.reason] += 1

    def release(self) -> None:
        """Nobody will come for what is left: drop it, and count."""
        with self._lock:
            self._balance.dropped["shutdown"] += len(self._fresh) + len(self._parked)
            self._bytes -= sum(map(len, self._fresh)) + sum(len(entry.line) for _, _, entry in self._parked)
            self._taken += len(self._fresh)
            self._fresh.clear()
            self._parked.clear()

    def refuse(self, reason: str) -> None:
        """Count a call that came and could not be taken."""
        with self._lock:
            self._balance.drop(reason)

    def lost(self) -> int:
        with self._lock:
            return self._balance.lost

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            return self._balance.snapshot(
                parked=len(self._parked), queued=len(self._fresh), in_flight=len(self._in_flight)
            )


class MemoryDelivery:
    """Delivery from memory: what `Client` hands its lines to. Opens nothing before the first call of this process."""

    def __init__(
        self,
        senders: Callable[[], Mapping[str, Sender]],
        options: DeliveryOptions,
        log: Log,
        patience: Patience = PATIENCE,
    ) -> None:
        self._senders = senders
        self._options = options
        self._log = log
        self._patience = patience
        self._build()
        process.watch(self)

    def accept(self, line: bytes) -> None:
        if threading.get_ident() in process.own_threads:
            return self.refuse("recursion")
        for put in self._puts:
            if not put(line):
                self._log.error_once("the queue in memory is full: calls are dropped until there is room")
        if not self._is_started:
            self._start()
        elif self._lanes.is_stopped:  # an exit handler that ran after ours
            self._lanes.drain(self._options.shutdown_timeout)

    def refuse(self, reason: str) -> None:
        for queue in self._queues.values():
            queue.refuse(reason)

    def wake(self) -> None:
        for queue in self._queues.values():
            queue.soon()

    def flush(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        marks = {name: queue.mark() for name, queue in self._queues.items()}
        lost = self._lost()
        for queue, lane in zip(self._queues.values(), self._lanes.lanes, strict=True):
            queue.hurry()
            lane.hurry()
        with self._settled:
            is_settled = self._settled.wait_for(
                lambda: all(self._queues[name].is_settled(mark) for name, mark in marks.items()),
                max(0.0, deadline_s - time.monotonic()),
            )
        return is_settled and self._lanes.flush_senders(deadline_s) and self._lost() == lost

    def shutdown(self, timeout_s: float) -> bool:
        lost = self._lost()
        return self._lanes.stop(timeout_s) and self._lost() == lost

    def stats(self) -> dict[str, dict[str, Any]]:
        return {name: queue.snapshot() for name, queue in self._queues.items()}

    def dead_letters(self, destination: str) -> list[tuple[bytes, Dead]]:
        """The latest calls this destination finally refused, with the reason."""
        return list(self._queues[destination].dead)

    def before_fork(self) -> None:
        """The child starts with new queues: nothing needs to be in a certain state."""

    def after_fork_in_parent(self) -> None:
        """See `before_fork`."""

    def after_fork(self) -> None:
        if self._pid != os.getpid():
            self._lanes.abandon()
            self._build()

    def at_exit(self) -> None:
        if self._is_started:
            self.shutdown(self._options.shutdown_timeout)

    def _build(self) -> None:
        """Everything anew: locks that other threads may have held at a fork, queues whose calls are the parent's."""
        self._pid = os.getpid()
        self._is_started = False
        self._start_lock = threading.RLock()
        self._settled = threading.Condition()
        self._queues: dict[str, MemoryQueue] = {}
        lanes = []
        options = self._options
        for name, sender in self._senders().items():
            queue = MemoryQueue(options.max_bytes or MAX_BYTES, options.flush_interval)
            lane = Lane(
                name,
                queue,
                sender,
                self._log,
                self._notify_settled,
                max_age_s=options.max_age,
                batch_size=options.batch_size,
                patience=self._patience,
            )
            queue.poke = lane.poke
            self._queues[name] = queue
            lanes.append(lane)
        self._puts = [queue.put for queue in self._queues.values()]
        self._lanes = process.Lanes(lanes)

    def _start(self) -> None:
        with self._start_lock:
            if not self._is_started:
                self._is_started = True
                self._lanes.start()

    def _notify_settled(self) -> None:
        with self._settled:
            self._settled.notify_all()

    def _lost(self) -> int:
        """Calls that were finally not delivered, those that a vendor has no form for aside."""
        return sum(queue.lost() for queue in self._queues.values())
