"""What time it is, for a process that must not believe every jump of the system's clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def cautious_clock() -> Callable[[], float]:
    """A clock for judging how old calls are: seconds since the epoch, and never further on than the time that has passed
    since it was made. A system clock that is set forward by a week must not make waiting calls a week older."""
    began_s, began_steady_s = time.time(), time.monotonic()
    return lambda: min(time.time(), began_s + time.monotonic() - began_steady_s)
