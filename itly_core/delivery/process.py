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

_own_threads: set[int] = set()  # idents of lane threads: what they call back into must not become new calls


def in_own_thread() -> bool:
    """Whether the caller is one of our own threads."""
    return threading.get_ident() in _own_threads


class Living(Protocol):
    """Something that has to be told when the process forks or ends."""

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


def _after_fork() -> None:
    _own_threads.clear()
    for delivery in list(_living):
        delivery.after_fork()


def _at_exit() -> None:
    for delivery in list(_living):
        delivery.at_exit()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)


def _also_at_end_of_multiprocessing_child() -> None:
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

    @property
    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Start a thread per lane. Where the interpreter allows none any more, `stop` does the work."""
        _also_at_end_of_multiprocessing_child()
        for lane in self.lanes:
            thread = threading.Thread(target=_run, args=(lane,), name=f"itly-{lane.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending
                return
            self._threads.append(thread)

    def stop(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, and end; whether every lane ended."""
        if self.is_stopped:
            return not self.is_running
        self.is_stopped = True
        deadline_s = time.monotonic() + timeout_s
        for lane in self.lanes:
            lane.stop(deadline_s)
        for lane in self.lanes[len(self._threads) :]:  # those that could not be given a thread
            lane.finish()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self.is_running

    def drain(self, timeout_s: float) -> None:
        """After `stop`: deliver in the calling thread what came since."""
        deadline_s = time.monotonic() + timeout_s
        for lane in self.lanes:
            lane.stop(deadline_s)
            lane.drain()


def _run(lane: Lane) -> None:
    ident = threading.get_ident()
    _own_threads.add(ident)
    try:
        lane.run()
    finally:
        _own_threads.discard(ident)
