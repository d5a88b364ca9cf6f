"""Two small things that survive being interrupted: by a fork, and by a signal."""

from __future__ import annotations

import os
import queue
import threading

# Held while something is half-done that a child must not inherit so: a file opened and locked but not yet noted anywhere
# would stay locked as long as the child lives. A fork waits for it. Whoever holds it waits for no other thread.
no_fork = threading.RLock()
os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release)


class Wakeup:
    """Wakes the one thread that waits for it.

    Unlike an Event it may be set by a signal handler or finalizer that interrupted just that.
    """

    def __init__(self) -> None:
        # Made by who waits: gevent may replace threads and queues between the making of this and the first call.
        self._tokens: queue.SimpleQueue[None] | None = None
        self._is_early = False

    def set(self) -> None:
        """Never blocks."""
        if self._tokens is None:
            self._is_early = True
        if self._tokens is not None and self._tokens.empty():
            self._tokens.put(None)

    def wait(self, timeout_s: float | None) -> None:
        """Until it is set, which is used up by that, or the time is over."""
        if self._tokens is None:
            self._tokens = queue.SimpleQueue()
            if self._is_early:
                return
        try:
            self._tokens.get(timeout=timeout_s)
        except queue.Empty:
            pass
