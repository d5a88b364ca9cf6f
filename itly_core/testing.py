"""For tests of code that makes calls: a delivery that keeps them instead of sending.

with recording(itly) as recorder:
    checkout(...)
assert recorder.names == ["Order Completed"]
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from .call import Call, decode_call
from .options import Options
from .package import Package

__all__ = ["Recorder", "recording"]


class Recorder:
    """Takes the place of delivery. calls: every accepted call, in order. refused: how often a call was not, by reason."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refused: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str | None]:
        """The names of the tracked events, in order."""
        return [call.name for call in self.calls if call.kind == "track"]

    def tracked(self, name: str) -> list[Call]:
        """The track calls of that event."""
        return [call for call in self.calls if call.kind == "track" and call.name == name]

    def clear(self) -> None:
        with self._lock:
            self.calls.clear()
            self.refused.clear()

    def accept(self, line: bytes) -> None:
        call = decode_call(line)
        with self._lock:
            self.calls.append(call)

    def refuse(self, reason: str) -> None:
        with self._lock:
            self.refused[reason] = self.refused.get(reason, 0) + 1

    def after_fork(self) -> None:
        """The child goes on with a copy of what was recorded."""

    def wake(self) -> None:
        """Nothing is sent."""

    def flush(self, timeout_s: float) -> bool:
        return True

    def shutdown(self, timeout_s: float) -> bool:
        return True

    def stats(self) -> dict[str, dict[str, Any]]:
        return {}


@contextmanager
def recording(package: ModuleType, options: Options | None = None) -> Iterator[Recorder]:
    """Record the calls of a generated package instead of sending them, whatever is loaded; undone at the end.

    options: as for `load`; destinations in them are not used. The default is development: a call that breaks the plan
    raises InvalidEvent.
    """
    engine: Package = package._package
    recorder = Recorder()
    with engine.replaced(engine.start(options or Options(), delivery=recorder)):
        yield recorder
