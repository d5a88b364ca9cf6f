"""A delivery in this process, the vendor it delivers to, and what it was given."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from itly_core import signals
from itly_core.call import Call, MessageIds, encode_call
from itly_core.delivery import MemoryDelivery, start_delivery
from itly_core.delivery.retry import Patience
from itly_core.delivery.sender import Sender
from itly_core.log import Log
from itly_core.options import (
    AmplitudeOptions,
    DeliveryOptions,
    DestinationsOptions,
    Options,
    SegmentOptions,
)
from sample_projects.local_sink import LocalSink

QUICK = Patience(base_s=0.02, cap_s=0.1, hold_base_s=0.05, hold_cap_s=0.2)
SOON_S = 60.0  # more than anything takes on a busy machine
ID = {"amplitude": "insert_id", "segment": "messageId"}


class Lines:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        pass

    def info(self, message: str) -> None:
        self.lines.append(message)

    warn = error = info


class Running:
    """A delivery. Nothing is sent before `flush`, unless the linger of `flush_interval` is given."""

    def __init__(
        self,
        destinations: DestinationsOptions | Callable[[], Mapping[str, Sender]],
        mode: str,
        spool: Path,
        patience: Patience = QUICK,
        **delivery: Any,
    ) -> None:
        self.logger = Lines()
        self.spool = spool
        log = Log(self.logger)
        chosen = DeliveryOptions(mode=mode, spool_dir=spool, **{"flush_interval": 600.0, **delivery})  # type: ignore[arg-type]
        if callable(destinations):
            self.delivery: Any = MemoryDelivery(destinations, chosen, log, patience)
        else:
            options = Options(destinations=destinations, delivery=chosen)
            self.delivery = start_delivery({"name": "Shop"}, options, log, patience)
        self.accepted: list[str] = []
        self.failures: list[tuple[float, str, str]] = []  # when (monotonic), destination, reason
        self._ids = MessageIds()
        self._changed = threading.Condition()
        signals.batch_failed.connect(self._note)

    def accept(self, count: int = 1, *, user_id: str = "user-1", **properties: Any) -> list[str]:
        """That many calls; their ids."""
        made = []
        for n in range(count):
            call = Call(
                kind="track",
                name="Seen",
                message_id=self._ids.make(time.time_ns() // 1_000_000).decode(),
                timestamp=datetime.now(timezone.utc),
                user_id=user_id,
                properties={"n": n, **properties},
            )
            self.delivery.accept(encode_call(call))
            made.append(call.message_id)
        self.accepted += made
        return made

    def flush(self, timeout_s: float = SOON_S) -> bool:
        return bool(self.delivery.flush(timeout_s))

    def is_alone(self) -> bool:
        """Whether what others left in the spool is shipped: only the file that this one writes is there."""
        return len(list(self.spool.glob("*.ndjson"))) == 1

    def balance(self, name: str = "amplitude") -> dict[str, Any]:
        """The counters of a destination, which must add up."""
        found = self.delivery.stats()[name]
        places = ("delivered", "dead", "dropped", "parked", "queued", "in_flight")
        assert found["accepted"] == sum(found[place] for place in places), found
        assert min(found[place] for place in places) >= 0, found
        assert sum(found.get("dead_by_reason", {}).values()) == found["dead"]
        assert sum(found.get("dropped_by_reason", {}).values()) == found["dropped"]
        return dict(found)

    def wait_for_failures(self, count: int, name: str = "amplitude") -> list[tuple[float, str]]:
        """When, and why, batches were not taken, as soon as that many were."""

        def found() -> list[tuple[float, str]]:
            return [(at_s, reason) for at_s, destination, reason in self.failures if destination == name]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, SOON_S), (self.failures, self.logger.lines)
            return found()

    def close(self, timeout_s: float = SOON_S) -> bool:
        signals.batch_failed.disconnect(self._note)
        return bool(self.delivery.shutdown(timeout_s))

    def _note(self, sender: Any, *, destination: str, reason: str) -> None:
        with self._changed:
            self.failures.append((time.monotonic(), destination, reason))
            self._changed.notify_all()


Start = Callable[..., Running]


def amplitude(sink: LocalSink) -> AmplitudeOptions:
    return AmplitudeOptions(api_key="AK", endpoint=sink.amplitude_url)


def segment(sink: LocalSink) -> SegmentOptions:
    return SegmentOptions(write_key="WK", endpoint=sink.segment_url)


def arrived(sink: LocalSink, where: str = "amplitude") -> Counter[str]:
    """How often each id was taken."""
    return Counter(event[ID[where]] for event in sink.events(where))


def sizes(sink: LocalSink, where: str = "amplitude") -> list[tuple[int, int]]:
    """(status, number of calls) of each request."""
    return [
        (request.status, len(request.events) + len(request.refused))
        for request in sink.requests
        if request.vendor == where
    ]


def eventually(is_so: Callable[[], Any]) -> None:
    """For what nobody tells."""
    until_s = time.monotonic() + SOON_S
    while not is_so():
        assert time.monotonic() < until_s, "never"
        time.sleep(0.005)


@pytest.fixture(params=["memory", "spool"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, sink: LocalSink) -> Iterator[Start]:
    """Starts a delivery to Amplitude at the sink, unless other destinations are given. Each is closed at the end."""
    running: list[Running] = []

    def make(mode: str = "memory", destinations: Any = None, **more: Any) -> Running:
        chosen = DestinationsOptions(amplitude=amplitude(sink)) if destinations is None else destinations
        running.append(Running(chosen, mode, tmp_path / "spool", **more))
        return running[-1]

    yield make
    sink.go_down()  # nobody waits for answers any more
    for each in running:
        each.close(0.5)
