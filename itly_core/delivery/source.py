"""What a lane asks of the place its calls come from. The two embedded ones are memory.py and spool.py.

The lane takes entries, decides about each, and settles them; where they are kept and where the cursor lives is the
source's own business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Entry(NamedTuple):
    """One accepted call on its way.

    line: as accepted. attempts: how often this call was refused by itself. token: the source's own, to find it again.
    renewed_s: when somebody had it tried anew, in seconds since the epoch: its age counts from there.
    """

    line: bytes
    attempts: int = 0
    token: Any = None
    renewed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination took it."""


@dataclass(frozen=True, slots=True)
class Dead:
    """The destination finally refused it: kept with the reason, replayable."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """It will not be delivered, and is not kept."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """To be tried again by itself, no earlier than in `after_s`."""

    after_s: float
    is_failure: bool = True  # False: it was only left over


DELIVERED = Delivered()  # it says nothing of the call, so one will do

Verdict = Delivered | Dead | Dropped | Parked


class Source(Protocol):
    """The calls of one destination, in the order they were accepted."""

    @property
    def is_durable(self) -> bool:
        """Whether what is not settled outlives the process, so that an ending lane need not wait for anything."""
        ...

    def due_s(self, batch_size: int) -> float | None:
        """Seconds until there is a batch worth sending; 0 is now, None is never unless something is accepted."""
        ...

    def take(self, max_calls: int, max_bytes: int) -> list[Entry]:
        """The next entries, parked ones that are due first. They are in flight until settled."""
        ...

    def settle(self, settled: Sequence[tuple[Entry, Verdict]]) -> None:
        """Take note of what became of everything taken since the last time: all at once, or not at all."""
        ...

    def release(self) -> None:
        """The lane ends: whatever is still waiting is no longer its business."""
        ...
