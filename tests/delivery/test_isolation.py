"""Lanes know nothing of each other: what one vendor does changes nothing for another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from itly_core.delivery.retry import Patience
from itly_core.options import CustomOptions, DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import SOON_S, Start, amplitude, arrived, eventually, segment


def both(sink: LocalSink) -> DestinationsOptions:
    return DestinationsOptions(amplitude=amplitude(sink), segment=segment(sink))


FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"delay_s": 600.0},
    "failing": {"status": 500},
    "resetting": {"reset": True},
    "throttling": {"status": 429, "headers": {"Retry-After": "300"}},
    "refusing the key": {"status": 401},
    "refusing everything": {"status": 400},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_vendor_in_trouble_keeps_no_other_waiting(
    start: Start, sink: LocalSink, mode: str, fault: dict[str, Any]
) -> None:
    """T7, T8: the other one gets every batch, in time."""
    sink.script(path="/v1/batch", **fault)
    running = start(mode, both(sink), flush_interval=0.02, timeout=600.0)
    slowest_s = 0.0
    for n in range(1, 11):
        running.accept(20)
        began_s = time.monotonic()
        sink.wait_for(20 * n, SOON_S, "amplitude")
        slowest_s = max(slowest_s, time.monotonic() - began_s)

    print(f"slowest batch {slowest_s:.3f} s")
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    eventually(lambda: running.balance()["delivered"] == 200)
    found = running.balance("segment")
    assert (found["accepted"], found["delivered"], found["dead"], found["dropped"]) == (200, 0, 0, 0)


class Adapter:
    """Takes what comes, but for what `refuses` says."""

    def __init__(self) -> None:
        self.taken: Counter[int] = Counter()
        self.tries: Counter[int] = Counter()

    def track(self, user_id: str, event_name: str, properties: dict[str, Any]) -> None:
        n = properties["n"]
        self.tries[n] += 1
        self.refuse(n)
        self.taken[n] += 1

    def refuse(self, n: int) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), RecursionError()], ids=repr)
def test_an_adapter_that_raises_once_loses_nothing_and_gets_nothing_twice(
    start: Start, sink: LocalSink, mode: str, error: BaseException
) -> None:
    class Stumbling(Adapter):
        def refuse(self, n: int) -> None:
            if n % 5 == 0 and self.tries[n] == 1:
                raise error

    adapter = Stumbling()
    destinations = DestinationsOptions(amplitude=amplitude(sink), custom=CustomOptions(adapter=adapter))
    running = start(mode, destinations)
    running.accept(50)

    assert running.flush()
    assert adapter.taken == Counter(range(50))
    assert running.balance("custom")["delivered"] == 50
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_an_adapter_that_always_raises_on_one_call_keeps_that_one_only(
    start: Start, sink: LocalSink, mode: str
) -> None:
    class Picky(Adapter):
        def refuse(self, n: int) -> None:
            if n == 7:
                raise ValueError("not this one")

    adapter = Picky()
    destinations = DestinationsOptions(amplitude=amplitude(sink), custom=CustomOptions(adapter=adapter))
    running = start(mode, destinations)
    running.accept(50)
    assert not running.flush(1.0)

    sink.wait_for(50, SOON_S, "amplitude")
    assert adapter.taken == Counter(set(range(50)) - {7})
    found = running.balance("custom")
    assert (found["delivered"], found["dead"], found["dropped"]) == (49, 0, 0)
    assert "ValueError: not this one" in "".join(running.logger.lines)
    eventually(lambda: adapter.tries[7] > 3)  # and goes on trying


def test_an_adapter_of_batches_that_raises_loses_nothing(start: Start, mode: str) -> None:
    class Batches:
        def __init__(self) -> None:
            self.taken: set[int] = set()
            self.is_mended = False

        def send(self, calls: list[Any]) -> None:
            numbers = [call.properties["n"] for call in calls]
            if 7 in numbers and not self.is_mended:
                raise ValueError("seven")
            self.taken.update(numbers)

    adapter = Batches()
    running = start(mode, DestinationsOptions(custom=CustomOptions(adapter=adapter)))
    running.accept(50)
    assert not running.flush(1.0)
    assert adapter.taken == set(range(50)) - {7}

    adapter.is_mended = True
    eventually(lambda: running.flush(1.0))
    assert adapter.taken == set(range(50))
    assert running.balance("custom")["delivered"] == 50


def test_an_adapter_that_never_returns_blocks_no_call_and_no_other_lane(
    start: Start, sink: LocalSink, mode: str
) -> None:
    is_over = threading.Event()

    class Stuck(Adapter):
        def refuse(self, n: int) -> None:
            is_over.wait(120.0)

    destinations = DestinationsOptions(amplitude=amplitude(sink), custom=CustomOptions(adapter=Stuck()))
    running = start(mode, destinations, flush_interval=0.02)
    try:
        for n in range(1, 6):
            running.accept(20)
            sink.wait_for(20 * n, SOON_S, "amplitude")
        found = running.balance("custom")
        assert found["in_flight"] + found["queued"] == 100
        assert not running.flush(0.1)
    finally:
        is_over.set()


def test_what_an_adapter_tracks_itself_is_refused_instead_of_breeding(start: Start, mode: str) -> None:
    class Echo(Adapter):
        def refuse(self, n: int) -> None:
            running.accept(1)

    running = start(mode, DestinationsOptions(custom=CustomOptions(adapter=Echo())))
    running.accept(10)

    assert running.flush()
    assert running.balance("custom")["dropped_by_reason"] == {"recursion": 10}
    assert running.balance("custom")["delivered"] == 10


def test_waiting_for_one_vendor_uses_no_processor_time(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(status=401)
    running = start(mode, both(sink), patience=Patience())
    running.accept(100)
    assert not running.flush(0.0)
    running.wait_for_failures(1, "segment")
    began_s, used_s = time.monotonic(), time.process_time()
    time.sleep(1.0)  # nothing happens, which nothing tells

    assert (time.process_time() - used_s) / (time.monotonic() - began_s) < 0.3
