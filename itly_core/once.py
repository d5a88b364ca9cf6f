"""Calls that say something once: shown a variant, seen a banner. See `EventOptions.once`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import RLock

MAX_REMEMBERED = 10_000  # about 2 MB


class Once:
    """Remembers the last value of each key; of too many keys the ones not met for longest are forgotten."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._lock = RLock()  # a signal handler may make a call in the middle of one
        self._seen: OrderedDict[Hashable, int] = OrderedDict()

    def is_repeated(self, key: Hashable, value: bytes) -> bool:
        """Whether the key's last value was this one. It is from now on."""
        mark = hash(value)
        with self._lock:
            last = self._seen.get(key)
            self._seen[key] = mark
            self._seen.move_to_end(key)
            if len(self._seen) > self._limit:
                self._seen.popitem(last=False)
        return last == mark
