"""One destination's delivery: takes batches, sends them, acts on the outcome. Lanes know nothing of each other.

A lane is a thread, but all it does is in `work`, which any thread may call, one at a time: at exit, when no thread can
be started any more, the exiting thread does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .. import signals
from ..call import Call, decode_call
from ..log import Log
from ..wire import Bisect, Hold, Ok, OkPartial, Reject, Retry, RetrySome, Split
from . import retry
from .sender import Item, Sender
from .source import DELIVERED, Dead, Delivered, Dropped, Entry, Parked, Source, Verdict
from .wholeness import Wakeup

Settled = list[tuple[Entry, Verdict]]

SHORTEST_PAUSE_S = 0.05  # with less time left than that, a lane that ends does not try again


class Lane:
    """Delivers the calls of one source through one sender.

    max_age_s: older calls are dropped. batch_size: most calls a request; None: the vendor's own limit. patience: how
    long it waits after a failure.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        sender: Sender,
        log: Log,
        on_settled: Callable[[], None],
        *,
        max_age_s: float,
        batch_size: int | None = None,
        clock: Callable[[], float] = time.time,
        patience: retry.Patience = retry.PATIENCE,
    ) -> None:
        self.name = name
        self.state = "ok"  # or "failing", "held": said once per change
        self.reason = ""  # why it is not "ok"
        self.unwell_since_s: float | None = None  # monotonic: since when it is not "ok"
        self._source = source
        self._sender = sender
        self._log = log
        self._on_settled = on_settled
        self._max_age_s = max_age_s
        self._clock = clock
        self._patience = patience
        self._batch = retry.BatchSize(min(sender.limits.max_pieces, batch_size or sender.limits.max_pieces))
        self._max_bytes = sender.limits.max_bytes  # a request; less where something on the way takes less
        self._failures = 0  # in a row
        self._busy = threading.Lock()
        self._unsettled: Settled | None = None  # what became of a batch, while that could not be noted
        self._wakeup = Wakeup()
        self._stops_at_s: float | None = None  # monotonic
        self._is_final = True
        self._is_hurried = False
        self._gave_up = False  # there is no time left to try again
        self._is_abandoned = False
        self._requests: deque[Callable[[], None]] = deque()

    def poke(self) -> None:
        """Have the lane look whether something is due. Never blocks."""
        self._wakeup.set()

    def hurry(self) -> None:
        """End a pause that is our own patience; a time the vendor asked for is kept."""
        self._is_hurried = True
        self._wakeup.set()

    def flush_now(self) -> None:
        """Have the sender flush in the calling thread: for lanes that have no thread of their own."""
        self._sender.flush()

    def flush_sender(self, done: Callable[[], None]) -> None:
        """Have the sender flush in the lane's own thread, and be told."""
        if not self._sender.keeps_back:
            return done()

        def flush() -> None:
            self._sender.flush()
            done()

        self._requests.append(flush)
        self._wakeup.set()

    def stop(self, deadline_s: float, *, is_final: bool = True) -> None:
        """Deliver what can be delivered until then (monotonic), and end. is_final: as for `Sender.close`."""
        self._is_final = is_final
        self._gave_up = False
        self._stops_at_s = deadline_s
        self._wakeup.set()

    def abandon(self) -> None:
        """In the child of a fork: what it has is the parent's. Threads do not survive a fork, but greenlets do."""
        self._is_abandoned = True

    def run(self) -> None:
        """The thread: work while something is due, wait while nothing is."""
        while self._stops_at_s is None and not self._is_abandoned:
            if not self._work_guarded():
                self._wakeup.wait(self._source.due_s(self._batch.now))
        if not self._is_abandoned:
            self.finish()

    def finish(self) -> None:
        """Work until nothing is left to try or the time given to `stop` is up; then let go of the sender."""
        self.drain()
        self._source.release()
        self._sender.close(is_final=self._is_final)

    def drain(self) -> None:
        """Work until nothing is left to try or time is up."""
        while not self._is_late() and self._work_guarded():
            pass

    def _work_guarded(self) -> bool:
        while self._requests:
            self._requests.popleft()()
        try:
            return self.work()
        except Exception as exc:  # noqa: BLE001  # the boundary: a lane that dies would keep its calls for ever
            self._log.exception(f"{self.name}: delivery stumbled and goes on", exc)
            return self._failed(Retry("an error inside itly"))

    def work(self) -> bool:
        """Send one batch, if one is due. Whether something was done."""
        with self._busy:
            if self._unsettled is not None:
                self._settle(self._unsettled)
                return True
            due_s = self._source.due_s(self._batch.now)
            if due_s is None or (due_s > 0 and self._stops_at_s is None):
                return False
            self._is_hurried = False
            entries = self._source.take(self._batch.now, self._max_bytes)
            items, settled = self._read(entries)
            try:
                for group in self._groups(items):
                    self._deliver(group)
            finally:
                if not self._is_abandoned:
                    # What has no verdict was not finally refused by anyone: it waits, whatever happened.
                    settled += [(item.entry, item.verdict or Parked(0.0, is_failure=False)) for item in items]
                    self._settle(settled)
            return bool(entries)

    def _settle(self, settled: Settled) -> None:
        """Have it noted what became of a batch. Where that fails, on a full disk say, it is tried before anything else: the
        vendor has the batch, and would get it again."""
        self._unsettled = settled
        self._source.settle(settled)
        self._unsettled = None
        self._on_settled()
        self._tell(settled)

    def _read(self, entries: Sequence[Entry]) -> tuple[list[Item], Settled]:
        """The batch as items to send, and the entries about which there is nothing to ask the vendor."""
        items: list[Item] = []
        settled: Settled = []
        pieces_of, largest, oldest_ms = self._sender.pieces, self._sender.limits.max_piece_bytes, self._oldest_ms()
        for entry in entries:
            try:
                call = decode_call(entry.line)
                pieces, born_ms = pieces_of(call), _born_ms(entry, call)
            except Exception as exc:  # noqa: BLE001  # a line or value nobody foresaw must not stop the lane
                settled.append((entry, Dead("unreadable", f"{type(exc).__name__}: {exc}")))
                continue
            if not pieces:
                settled.append((entry, Dropped("unsupported")))
            elif born_ms < oldest_ms:
                settled.append((entry, Dropped("expired")))
            elif (size := max(map(len, pieces))) > largest:
                settled.append((entry, Dead("too_large", f"{size} bytes; the vendor takes {largest}")))
            else:
                items.append(Item(entry, born_ms, pieces))
        return items, settled

    def _groups(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """The items cut into requests that keep to the vendor's limits, exactly."""
        max_pieces, max_bytes = self._sender.limits.max_pieces, self._max_bytes
        group: list[Item] = []
        count = size = 0
        for item in items:
            weight = _weight(item)
            if group and (count + len(item.pieces) > max_pieces or size + weight > max_bytes):
                yield group
                group, count, size = [], 0, 0
            group.append(item)
            count += len(item.pieces)
            size += weight
        if group:
            yield group

    def _deliver(self, group: list[Item]) -> None:
        """Send a request's worth of items until each has a verdict, or the lane is told to end."""
        todo = [group]
        suspects: list[tuple[Item, str]] = []
        taken = requests = 0  # since there are suspects to compare them with
        too_large: list[int] = []  # sizes of requests that were
        while todo and not self._is_late():
            # The earlier half first, so that order is kept; but while only refused calls were found, the largest part,
            # which soonest tells whether anything is taken.
            index = max(range(len(todo)), key=lambda n: len(todo[n])) if len(suspects) > taken else -1
            part = todo.pop(index)
            if self._failures:
                part = self._without_expired(part)
            if not part:
                continue
            outcome = self._sender.send(part)
            requests += 1
            match outcome:
                case Ok():
                    self._decide(part, {}, {})
                    self._recovered()
                    taken += len(part)
                    if outcome.silently_rejected:
                        self._log.error_once(f"{self.name}: took a batch but kept fewer calls than it was sent")
                case OkPartial():
                    self._decide(part, {}, outcome.rejected)
                    self._recovered()
                case RetrySome():
                    again = self._decide(part, outcome.retry, outcome.rejected)
                    if len(again) == len(part):  # nothing came of it: without a pause this would go round for ever
                        todo.append(again)
                        if not self._failed(Retry(outcome.reason)):
                            break
                    elif again:
                        todo.append(again)
                case Reject() if len(part) > 1:
                    self._decide(part, {}, dict.fromkeys(range(_count(part)), outcome.reason))
                case Split() if len(part) > 1:
                    sizes = [_weight(item) for item in part]
                    too_large.append(sum(sizes))
                    middle = retry.halves(sizes)
                    todo += [part[middle:], part[:middle]]
                case Split():
                    part[0].verdict = Dead("too_large", "HTTP 413")
                case Bisect() if len(part) > 1:
                    middle = len(part) // 2
                    todo += [part[middle:], part[:middle]]
                case Bisect() | Reject():  # alone, and refused
                    suspects.append((part[0], outcome.reason))
                case Retry() if outcome.ambiguous and not self._sender.deduplicates:
                    for item in part:
                        item.verdict = Dead("ambiguous", outcome.reason)
                case Retry():
                    todo.append(part)
                    if not self._failed(outcome):
                        break
                case Hold():
                    todo.append(part)
                    if not self._held(outcome):
                        break
            if isinstance(outcome, Bisect | Reject) and retry.is_mass_rejection(
                len(group), len(suspects), taken, requests
            ):
                todo.append([item for item, _ in suspects])
                suspects, taken, requests = [], 0, 0
                if not self._held(Hold(f"{outcome.reason}, for most of a batch")):
                    break
        if not todo or len(suspects) <= taken:  # else the search was broken off, and everything may be refused
            for item, reason in suspects:
                item.verdict = Dead("rejected", reason)
        if too_large and not any(isinstance(item.verdict, Dead) for item in group):
            # No single call was to blame: whatever refuses requests of that size will refuse the next one, too.
            self._max_bytes = min(self._max_bytes, max(1, min(too_large) // 2))

    def _decide(self, part: Sequence[Item], waits: Mapping[int, float], rejected: Mapping[int, str]) -> list[Item]:
        """Give the items their verdicts, from the fate of their pieces. Those to be sent again at once come back."""
        if not waits and not rejected:
            for item in part:
                item.verdict = DELIVERED
            return []
        again: list[Item] = []
        start = 0
        for item in part:
            own = range(start, start + len(item.pieces))
            start = own.stop
            reasons = [rejected[index] for index in own if index in rejected]
            pauses = [waits[index] for index in own if index in waits]
            if reasons:
                item.verdict = Dead("rejected", reasons[0])
            elif not pauses:
                item.verdict = DELIVERED
            elif max(pauses) > 0:
                item.verdict = Parked(max(pauses))
            else:
                again.append(item)
        return again

    def _recovered(self) -> None:
        self._batch.taken()
        if self.state != "ok":
            self._log.info(f"{self.name}: delivering again")
        self.state, self.reason, self.unwell_since_s, self._failures = "ok", "", None, 0

    def _is_unwell(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        if self.unwell_since_s is None:
            self.unwell_since_s = time.monotonic()

    def _failed(self, outcome: Retry) -> bool:
        """Wait as long as it takes; False: there is no time left to wait."""
        self._failures += 1
        if self.state != "failing":
            self._log.warn(f"{self.name}: {outcome.reason}; calls are kept and tried again")
        self._is_unwell("failing", outcome.reason)
        self._signal(signals.batch_failed, reason=outcome.reason)
        if outcome.throttled:
            self._batch.throttled()
            return self._pause(self._patience.throttled_s(self._failures, outcome.after_s), is_ours=False)
        return self._pause(self._patience.backoff_s(self._failures), is_ours=True)

    def _held(self, outcome: Hold) -> bool:
        self._failures += 1
        if self.state != "held":
            self._log.error(f"{self.name}: held: {outcome.reason}. Check its key and endpoint; every call is kept")
        self._is_unwell("held", outcome.reason)
        self._signal(signals.batch_failed, reason=outcome.reason)
        return self._pause(self._patience.hold_s(self._failures), is_ours=False)

    def _pause(self, seconds: float, *, is_ours: bool) -> bool:
        """Wait; False: the lane ends before that. is_ours: `hurry` ends the wait, and a lane that ends cuts it short."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if self._is_abandoned:
                return False
            if self._stops_at_s is not None and (self._source.is_durable or until_s > self._stops_at_s):
                rest_s = self._stops_at_s - time.monotonic()
                if self._source.is_durable or not is_ours or rest_s < SHORTEST_PAUSE_S:
                    self._gave_up = True
                    return False
                until_s = time.monotonic() + rest_s / 2
                continue
            if is_ours and self._is_hurried:
                self._is_hurried = False
                return True
            self._wakeup.wait(left_s)
        return True

    def _is_late(self) -> bool:
        if self._stops_at_s is None:
            return self._is_abandoned
        return self._gave_up or time.monotonic() >= self._stops_at_s

    def _oldest_ms(self) -> float:
        """Calls accepted before that are too old to be sent."""
        return (self._clock() - self._max_age_s) * 1000

    def _without_expired(self, part: Sequence[Item]) -> list[Item]:
        oldest_ms = self._oldest_ms()
        for item in part:
            if item.born_ms < oldest_ms:
                item.verdict = Dropped("expired")
        return [item for item in part if item.verdict is None]

    def _tell(self, settled: Settled) -> None:
        """Say what became of the batch, to the log and to whoever listens."""
        lost = [(entry, verdict) for entry, verdict in settled if isinstance(verdict, Dead | Dropped)]
        for _, verdict in lost:
            if verdict != Dropped("unsupported"):
                detail = f" ({verdict.detail})" if isinstance(verdict, Dead) and verdict.detail else ""
                self._log.error_once(f"{self.name}: a call is not delivered: {verdict.reason}{detail}")
        if signals.batch_delivered.receivers:
            calls = [decode_call(entry.line) for entry, verdict in settled if isinstance(verdict, Delivered)]
            if calls:
                self._signal(signals.batch_delivered, calls=calls)
        if signals.call_dropped.receivers:
            for entry, verdict in lost:
                if isinstance(verdict, Dead) and verdict.reason == "unreadable":
                    continue
                call = decode_call(entry.line)
                self._signal(signals.call_dropped, call=call, reason=verdict.reason, dead=isinstance(verdict, Dead))

    def _signal(self, signal: Any, **what: Any) -> None:
        if signal.receivers:
            signals.send_guarded(signal, self, self._log, destination=self.name, **what)


def _born_ms(entry: Entry, call: Call) -> float:
    """From when its age counts."""
    return max(call.accepted_ms or call.timestamp_ms, entry.renewed_s * 1000)


def _weight(item: Item) -> int:
    """Bytes in a request: its pieces, and a comma each."""
    return sum(map(len, item.pieces)) + len(item.pieces)


def _count(part: Sequence[Item]) -> int:
    return sum(len(item.pieces) for item in part)
