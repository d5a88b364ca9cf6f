"""`flush` and `shutdown`: what they wait for, and what they promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from itly_core.client import Client
from itly_core.delivery import start_delivery
from itly_core.errors import Closed
from itly_core.log import Log
from itly_core.options import (
    CustomOptions,
    DeliveryOptions,
    DestinationsOptions,
    Environment,
    Options,
    ValidationOptions,
)
from itly_core.plan import Plan
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import SOON_S, Lines, Start, amplitude, arrived, eventually, segment
from tests.delivery.test_patience import PATIENT


def test_a_flush_says_whether_everything_was_delivered(start: Start, sink: LocalSink, mode: str) -> None:
    is_there = threading.Event()
    sink.script(match=lambda event: not is_there.wait(SOON_S), status=500)  # answers once it is told to
    running = start(mode, timeout=SOON_S)
    running.accept(20)

    assert not running.flush(0.1)
    assert running.balance()["delivered"] == 0
    is_there.set()
    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    assert running.balance()["delivered"] == 20
    assert running.flush(0.0)  # nothing is left


def test_a_flush_without_a_call_opens_nothing(start: Start, sink: LocalSink, mode: str) -> None:
    before = threading.active_count()
    running = start(mode)

    assert running.flush(0.0)
    assert running.close(0.0)
    assert threading.active_count() == before
    assert not sink.requests


def test_a_flush_waits_for_every_destination(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(path="/v1/batch", status=503, times=3)
    running = start(mode, DestinationsOptions(amplitude=amplitude(sink), segment=segment(sink)))
    running.accept(20)

    assert running.flush()
    assert arrived(sink) == arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)


def test_a_flush_does_not_wait_for_what_comes_later(start: Start, sink: LocalSink, mode: str) -> None:
    running = start(mode)
    running.accept(20)
    ends = threading.Event()

    def go_on() -> None:
        while not ends.is_set():
            running.accept(5)

    others = threading.Thread(target=go_on)
    others.start()
    try:
        assert running.flush()
    finally:
        ends.set()
        others.join()
    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_a_flush_ends_a_pause_that_is_our_own(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(status=500, times=1)
    running = start(mode, patience=PATIENT)
    running.accept(20)
    assert not running.flush(0.0)
    running.wait_for_failures(1)

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_flushes_in_many_threads_all_come_true(start: Start, sink: LocalSink, mode: str) -> None:
    running = start(mode)
    said: list[bool] = []

    def work() -> None:
        running.accept(10)
        said.append(running.flush())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == [True] * 8
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_a_shutdown_delivers_what_is_there(start: Start, sink: LocalSink, mode: str) -> None:
    running = start(mode, batch_size=10)
    running.accept(200)

    assert running.close()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    assert running.balance()["delivered"] == 200
    assert running.close(0.0)  # again: nothing happens
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("itly-")] == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"reset": True}], ids=str)
def test_a_shutdown_does_not_hammer_a_vendor_in_trouble(
    start: Start, sink: LocalSink, mode: str, fault: dict[str, Any]
) -> None:
    sink.script(**fault)
    running = start(mode, batch_size=10)
    running.accept(30)
    assert not running.flush(0.0)
    running.wait_for_failures(1)
    before, began_s = len(sink.requests), time.monotonic()

    assert not running.close(1.0)
    assert time.monotonic() - began_s < 15.0
    assert len(sink.requests) - before <= 30
    if mode == "memory":
        eventually(lambda: running.balance().get("dropped_by_reason") == {"shutdown": 30})
    else:
        kept = running.balance()
        assert (kept["dropped"], kept["queued"]) == (0, 30)
        sink.heal()
        follower = start("spool")
        follower.accept()
        assert follower.flush()
        assert arrived(sink) == dict.fromkeys(running.accepted + follower.accepted, 1)


def test_a_shutdown_in_memory_uses_the_time_it_has(start: Start, sink: LocalSink) -> None:
    """A vendor that comes back within it gets everything."""
    sink.script(status=500, times=1)
    running = start("memory", patience=PATIENT)
    running.accept(20)
    assert not running.flush(0.0)
    running.wait_for_failures(1)

    assert running.close(2.0)
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_a_shutdown_does_not_wait_longer_than_told_for_a_request(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(delay_s=600.0)
    running = start(mode, timeout=600.0)
    running.accept(20)
    assert not running.flush(0.05)
    began_s = time.monotonic()

    assert not running.close(0.5)
    assert time.monotonic() - began_s < 15.0
    balance = running.balance()
    assert balance["delivered"] == balance["dead"] == 0


# What a client makes of it


class Held:
    """An adapter that keeps back what it gets until it is flushed."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.sent: list[str] = []
        self.is_shut = False

    def track(self, user_id: str, event_name: str, properties: dict[str, Any]) -> None:
        self.kept.append(event_name)

    def flush(self) -> None:
        self.sent += self.kept
        self.kept = []

    def shutdown(self) -> None:
        self.flush()
        self.is_shut = True


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.shutdown(1.0)


def make_client(clients: list[Client], adapter: Held, mode: str, spool: Path, environment: Environment) -> Client:
    options = Options(
        environment=environment,
        delivery=DeliveryOptions(mode=mode, spool_dir=spool, flush_interval=600.0),  # type: ignore[arg-type]
        destinations=DestinationsOptions(custom=CustomOptions(adapter=adapter)),
        validation=ValidationOptions(disabled=True),
        logger=Lines(),
    )
    log = Log(options.logger)
    clients.append(Client(Plan(), options, start_delivery({}, options, log), log))
    return clients[-1]


def test_an_adapter_is_flushed_with_the_rest_and_shut_down_at_the_end(
    clients: list[Client], mode: str, tmp_path: Path
) -> None:
    adapter = Held()
    client = make_client(clients, adapter, mode, tmp_path, Environment.PRODUCTION)
    client.event("One", "user-1", {})
    assert client.flush(SOON_S)
    assert (adapter.sent, adapter.is_shut) == (["One"], False)

    client.event("Two", "user-1", {})
    assert client.shutdown(SOON_S)
    assert (adapter.sent, adapter.is_shut) == (["One", "Two"], True)


def test_a_call_after_shutdown_is_counted_in_production_and_raises_in_development(
    clients: list[Client], mode: str, tmp_path: Path
) -> None:
    client = make_client(clients, Held(), mode, tmp_path / "p", Environment.PRODUCTION)
    assert client.shutdown(SOON_S)
    client.event("Late", "user-1", {})
    assert client.stats()["custom"]["dropped"] == client.stats()["custom"]["accepted"] == 1
    assert client.flush(SOON_S)
    assert client.shutdown(SOON_S)

    client = make_client(clients, Held(), mode, tmp_path / "d", Environment.DEVELOPMENT)
    assert client.shutdown(SOON_S)
    with pytest.raises(Closed):
        client.event("Late", "user-1", {})


def test_many_threads_that_call_while_it_shuts_down_lose_nothing_unseen(
    start: Start, sink: LocalSink, mode: str
) -> None:
    running = start(mode, flush_interval=0.01)
    ends = threading.Event()

    def work() -> None:
        while not ends.is_set():
            running.accept(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    sink.wait_for(50)
    running.close()
    ends.set()
    for thread in threads:
        thread.join()

    eventually(lambda: running.balance()["in_flight"] == 0)
    balance = running.balance()
    assert balance["accepted"] == len(running.accepted)
    assert balance["delivered"] == len(arrived(sink))


def test_a_process_that_ends_does_not_wait_for_what_others_go_on_writing(start: Start, sink: LocalSink) -> None:
    """T13: the one who ships ends in time on a busy site, too."""
    shipping = start("spool", flush_interval=0.01)
    shipping.accept(20)
    assert shipping.flush()
    other = start("spool", flush_interval=0.01)
    ends = threading.Event()

    def go_on() -> None:
        while not ends.is_set():
            other.accept(20)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        eventually(lambda: len(other.accepted) > 1000)
        sink.script(delay_s=0.05)  # there is always something new after a request
        shipping.accept(20)
        began_s = time.monotonic()
        assert shipping.close(SOON_S)
        assert time.monotonic() - began_s < SOON_S / 3
        assert set(shipping.accepted) <= set(arrived(sink))
    finally:
        ends.set()
        writer.join()
    sink.heal()
    assert other.flush()
    assert set(arrived(sink)) == set(shipping.accepted + other.accepted)
