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
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Never blocks."""
        if self._tokens.empty():
            self._tokens.put(None)

    def wait(self, timeout_s: float | None) -> None:
        """Until it is set, which is used up by that, or the time is over."""
        try:
            self._tokens.get(timeout=timeout_s)
        except queue.Empty:
            pass
