"""The two ways a lane hands calls over: by HTTP to a vendor, or to an adapter in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..call import Call, decode_call
from ..destinations.base import Destination, Limits
from ..destinations.custom import AdapterError
from ..wire import Ok, Outcome, Retry, RetrySome, Split
from .retry import PATIENCE, Patience
from .source import Entry, Verdict
from .transport import HttpTransport


@dataclass(slots=True)
class Item:
    """One call of the batch in hand: from when its age counts, what it becomes on the wire, and what became of it.

    The call itself is not kept: a thousand of them are many objects for the collector to walk.
    """

    entry: Entry
    born_ms: float
    pieces: Sequence[bytes]
    verdict: Verdict | None = None


class Sender(Protocol):
    """What a lane sends through. Used by one thread at a time."""

    limits: Limits
    deduplicates: bool
    keeps_back: bool  # whether `flush` does anything

    def pieces(self, call: Call) -> Sequence[bytes]: ...

    def send(self, items: Sequence[Item]) -> Outcome:
        """One request's worth. Indexes in the outcome count the items' pieces."""
        ...

    def flush(self) -> None: ...

    def close(self, *, is_final: bool) -> None:
        """Let go of connections. is_final: nothing will be sent in this process any more, by another sender either."""
        ...

    def forget(self) -> None:
        """After a fork: connections are the parent's."""
        ...


class HttpSender:
    """A vendor's HTTP interface."""

    keeps_back = False

    def __init__(self, destination: Destination, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self.limits = destination.limits
        self.deduplicates = destination.deduplicates
        self.pieces = destination.pieces
        self._destination = destination
        self._transport = HttpTransport(timeout_s)
        self._clock = clock

    def send(self, items: Sequence[Item]) -> Outcome:
        pieces = [piece for item in items for piece in item.pieces]
        answer = self._transport.send(self._destination.request(pieces, round(self._clock() * 1000)))
        return answer if isinstance(answer, Retry) else self._destination.classify(answer, pieces)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self, *, is_final: bool) -> None:
        self._transport.close()

    def forget(self) -> None:
        self._transport.forget()


class AdapterSender:
    """An object with `send(calls)`, `flush()` and `shutdown()` in this process: the console, a user's adapter.

    A call it raises on is tried again by itself, ever more slowly; the others go on.
    """

    limits = Limits(max_pieces=1000, max_bytes=8 << 20, max_piece_bytes=1 << 40)
    deduplicates = True  # what a raising adapter did is unknown: at least once means trying again
    keeps_back = True

    def __init__(self, adapter: Any, on_error: Callable[[str], None], patience: Patience = PATIENCE) -> None:
        self._adapter = adapter
        self._on_error = on_error
        self._patience = patience

    def pieces(self, call: Call) -> Sequence[bytes]:
        return (b"",)  # one a call, so that indexes count calls

    def send(self, items: Sequence[Item]) -> Outcome:
        try:
            self._adapter.send([decode_call(item.entry.line) for item in items])
            return Ok()
        except AdapterError as exc:
            done, failed, text = exc.done, exc.failed, str(exc)
        except Exception as exc:  # noqa: BLE001  # an adapter of ours: the console's stream may be closed
            done, failed, text = 0, len(items), f"{type(exc).__name__}: {exc}"
        self._on_error(text)
        if failed > 1:
            return Split()
        waits = dict.fromkeys(range(done + 1, len(items)), 0.0)
        waits[done] = self._patience.backoff_s(items[done].entry.attempts + 1)
        return RetrySome(waits, reason=text)

    def flush(self) -> None:
        self._guarded(self._adapter.flush)

    def close(self, *, is_final: bool) -> None:
        self._guarded(self._adapter.shutdown if is_final else self._adapter.flush)

    def forget(self) -> None:
        """The adapter is the user's: what it holds over a fork is its own business."""

    def _guarded(self, method: Callable[[], object]) -> None:
        try:
            method()
        except Exception as exc:  # noqa: BLE001  # the adapter is the user's code
            self._on_error(f"{type(exc).__name__}: {exc}")
