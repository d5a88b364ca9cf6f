"""What happens to deliveries when the process starts threads, forks and ends. The only place that knows.

No signal handler is installed: servers turn SIGTERM into a normal exit, and what does not exit normally is what the spool
is for.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakSet

from .lane import Lane

own_threads: set[int] = set()  # idents of lane threads: a call made in one, by a log handler say, would breed calls


class Living(Protocol):
    """Something that has to be told when the process forks or ends."""

    def before_fork(self) -> None:
        """Nothing that a child must not inherit half-done may be open until `after_fork_in_parent`."""
        ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork(self) -> None:
        """In the child: forget what is the parent's. Locks may be held by threads that are not here."""
        ...

    def at_exit(self) -> None:
        """The interpreter is about to end. No thread can be started any more."""
        ...


_living: WeakSet[Living] = WeakSet()
_finalized_pid = 0


def watch(delivery: Living) -> None:
    """Tell this delivery from now on."""
    _living.add(delivery)


def _before_fork() -> None:
    for delivery in list(_living):
        delivery.before_fork()


def _after_fork_in_parent() -> None:
    for delivery in list(_living):
        delivery.after_fork_in_parent()


def _after_fork() -> None:
    own_threads.clear()
    for delivery in list(_living):
        delivery.after_fork()


def _at_exit() -> None:
    for delivery in list(_living):
        delivery.at_exit()


def flush_all(timeout_s: float) -> bool:
    """Deliver what this process has accepted, in all; for one that ends without running what is registered for it.
    Whether all of it was in time. Never raises."""
    until_s = time.monotonic() + timeout_s
    is_all = True
    for delivery in list(_living):
        flush = getattr(delivery, "flush", None)  # a worker has nothing of its own
        if flush is None:
            continue
        try:
            is_all &= flush(max(0.0, until_s - time.monotonic()))
        except Exception:  # noqa: BLE001  # the process ends: the others come first
            is_all = False
    return is_all


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
atexit.register(_at_exit)


def also_at_end_of_multiprocessing_child() -> None:
    """A forked child of multiprocessing ends without running atexit, but runs the finalizers of its own module."""
    global _finalized_pid
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _finalized_pid != os.getpid():
        _finalized_pid = os.getpid()
        util.Finalize(None, _at_exit, exitpriority=0)


class Lanes:
    """Some lanes and their threads. Started once; after a fork a new one is made."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.is_stopped = False
        self._threads: list[threading.Thread] = []
        self._late_s = 0.0  # spent in `drain`

    @property
    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Start a thread per lane. Where the interpreter allows none any more, `stop` does the work."""
        also_at_end_of_multiprocessing_child()
        for lane in self.lanes:
            thread = threading.Thread(target=_run, args=(lane,), name=f"itly-{lane.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending
                return
            self._threads.append(thread)

    def flush_senders(self, deadline_s: float) -> bool:
        """Have every sender flush what it keeps back, in its own thread where there is one; whether all did in time."""
        flushed = []
        for lane in self.lanes:
            if self.is_running:
                done = threading.Event()
                lane.flush_sender(done.set)
                flushed.append(done)
            else:
                lane.flush_now()
        return all(done.wait(max(0.0, deadline_s - time.monotonic())) for done in flushed)

    def stop(self, timeout_s: float, *, is_final: bool = True) -> bool:
        """Deliver what can be delivered in time, and end; whether every lane ended. is_final: as for `Sender.close`."""
        deadline_s = time.monotonic() + timeout_s
        if not self.is_stopped:  # a second caller only waits
            self.is_stopped = True
            for lane in self.lanes:
                lane.stop(deadline_s, is_final=is_final)
            for lane in self.lanes[len(self._threads) :]:  # those that could not be given a thread
                lane.finish()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self.is_running

    def abandon(self) -> None:
        """See `Lane.abandon`."""
        for lane in self.lanes:
            lane.abandon()

    def drain(self, timeout_s: float) -> None:
        """After `stop`: deliver in the calling thread what came since. All calls of this together take no longer than
        that: exit handlers that make a call each must not wait for a dead vendor each."""
        started_s = time.monotonic()
        for lane in self.lanes:
            lane.stop(started_s + timeout_s - self._late_s)
            lane.drain()
        self._late_s += time.monotonic() - started_s


def _run(lane: Lane) -> None:
    ident = threading.get_ident()
    own_threads.add(ident)
    try:
        lane.run()
    finally:
        own_threads.discard(ident)
