"""What a vendor refuses: too large, poisoned, or everything."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from itly_core.delivery.state import State
from itly_core.log import Log
from itly_core.options import DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import SOON_S, Start, arrived, eventually, segment, sizes


def test_a_request_too_large_is_split_until_each_part_fits(start: Start, sink: LocalSink, mode: str) -> None:
    """T9: calls of very different sizes."""
    sink.script(above_bytes=20_000)
    running = start(mode)
    for n in range(100):
        running.accept(text="x" * (15_000 if n == 40 else 300))

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    assert running.balance()["delivered"] == 100
    assert all(len(request.body) <= 20_000 for request in sink.requests if request.events)
    assert [request.status for request in sink.requests].count(413) <= 7


def test_a_limit_that_was_found_is_kept_to(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(above_bytes=20_000)
    running = start(mode)
    running.accept(100, text="x" * 600)
    assert running.flush()
    found_after = len(sink.requests)
    running.accept(100, text="x" * 600)
    assert running.flush()

    assert {request.status for request in sink.requests[found_after:]} == {200}
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_a_call_too_large_by_itself_is_the_only_one_lost(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(above_bytes=20_000)
    running = start(mode)
    running.accept(30)
    (large,) = running.accept(text="x" * 30_000)
    running.accept(30)

    assert not running.flush()  # not everything was delivered
    assert arrived(sink) == dict.fromkeys(set(running.accepted) - {large}, 1)
    balance = running.balance()
    assert (balance["delivered"], balance["dead_by_reason"]) == (60, {"too_large": 1})

    sink.heal()
    before = len(sink.requests)
    running.accept(300)
    assert running.flush()  # what was refused before is no news
    assert max(size for _, size in sizes(sink)[before:]) > 100  # one large call says nothing about the others


def test_a_call_over_the_vendors_known_limit_is_not_even_sent(start: Start, sink: LocalSink, mode: str) -> None:
    running = start(mode, DestinationsOptions(segment=segment(sink)))
    running.accept(5)
    running.accept(text="x" * 40_000)

    assert not running.flush()
    assert running.balance("segment")["dead_by_reason"] == {"too_large": 1}
    assert [request.status for request in sink.requests] == [200]


@pytest.mark.parametrize("position", [0, 17, 59])
def test_one_poisoned_call_is_found_by_halves(start: Start, sink: LocalSink, mode: str, position: int) -> None:
    """T9: without a word about which it is."""
    sink.script(match=lambda event: event["event_properties"]["n"] == position, named=False)
    running = start(mode, batch_size=60)
    ids = running.accept(60)

    assert not running.flush()
    assert arrived(sink) == dict.fromkeys([*ids[:position], *ids[position + 1 :]], 1)
    balance = running.balance()
    assert (balance["delivered"], balance["dead_by_reason"]) == (59, {"rejected": 1})
    assert len(sink.requests) - 1 <= 2 * math.ceil(math.log2(60)) + 1 <= 14


@pytest.mark.parametrize(
    "poisoned", [range(10), range(490, 500), range(0, 1000, 100)], ids=["first", "middle", "apart"]
)
def test_ten_poisoned_calls_cost_few_requests(start: Start, sink: LocalSink, mode: str, poisoned: range) -> None:
    """T9: at most 2 * log2(n) + 1 requests each, and nothing is held for them."""
    sink.script(match=lambda event: event["event_properties"]["n"] in poisoned, named=False)
    running = start(mode)
    running.accept(1000)

    assert not running.flush()
    balance = running.balance()
    assert (balance["delivered"], balance["dead_by_reason"]) == (990, {"rejected": 10})
    assert len(sink.requests) - 1 <= 10 * (2 * math.log2(1000) + 1)
    assert not running.failures


def test_forty_poisoned_calls_in_a_row_are_no_wrong_configuration(start: Start, sink: LocalSink, mode: str) -> None:
    """T9: the rest of the batch is tried before that is believed."""
    sink.script(match=lambda event: event["event_properties"]["n"] < 40, named=False)
    running = start(mode)
    running.accept(1000)

    assert not running.flush()
    balance = running.balance()
    assert (balance["delivered"], balance["dead_by_reason"]) == (960, {"rejected": 40})
    assert not running.failures


def test_calls_that_the_vendor_names_are_dropped_and_no_other(start: Start, sink: LocalSink, mode: str) -> None:
    """T9: with indexes."""
    sink.script(match=lambda event: event["event_properties"]["n"] % 7 == 3)
    running = start(mode)
    ids = running.accept(100)

    assert not running.flush()
    assert arrived(sink) == dict.fromkeys([message_id for n, message_id in enumerate(ids) if n % 7 != 3], 1)
    balance = running.balance()
    assert (balance["delivered"], balance["dead_by_reason"]) == (86, {"rejected": 14})
    assert sizes(sink) == [(400, 100), (200, 86)]


def test_a_batch_refused_as_a_whole_is_a_wrong_configuration(start: Start, sink: LocalSink, mode: str) -> None:
    """T9, T10: it is held, not searched to the last call, and delivered once the vendor takes it."""
    sink.script(status=400)
    running = start(mode)
    running.accept(1000)
    assert not running.flush(0.0)
    ((_, reason),) = running.wait_for_failures(1)[:1]

    assert "most of a batch" in reason
    assert len(sink.requests) <= 70
    assert running.balance()["dead"] == 0
    sink.heal()
    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    assert running.balance()["delivered"] == 1000


def test_most_of_a_batch_refused_is_held_and_what_is_left_of_it_dropped_once_it_is_little(
    start: Start, sink: LocalSink, mode: str
) -> None:
    refused = set(random.Random(1).sample(range(60), 40))
    really = set(sorted(refused)[:3])
    sink.script(match=lambda event: event["event_properties"]["n"] in refused, named=False)
    running = start(mode, batch_size=60)
    ids = running.accept(60)
    assert not running.flush(0.0)
    running.wait_for_failures(1)
    assert running.balance()["dead"] == 0

    refused &= really
    assert not running.flush()
    assert arrived(sink) == dict.fromkeys([message_id for n, message_id in enumerate(ids) if n not in really], 1)
    assert running.balance()["dead_by_reason"] == {"rejected": 3}


def test_a_search_that_is_broken_off_condemns_nobody(start: Start, sink: LocalSink, mode: str) -> None:
    """T10: a deploy in the middle of it."""
    sink.script(status=400, delay_s=0.02)
    running = start(mode)
    running.accept(1000)
    assert not running.flush(0.0)
    sink.wait_for_requests(25, SOON_S)
    running.close(0.0)

    eventually(lambda: running.balance()["in_flight"] == 0)
    assert running.balance()["dead"] == 0
    assert len(sink.requests) < 60


def test_a_few_calls_refused_are_not_taken_for_a_wrong_configuration(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(status=400)
    running = start(mode)
    running.accept(3)

    assert not running.flush()
    assert running.balance()["dead_by_reason"] == {"rejected": 3}


def test_a_dead_letter_replayed_keeps_its_id(start: Start, sink: LocalSink, tmp_path: Path) -> None:
    """T9: replay works."""
    sink.script(match=lambda event: event["event_properties"]["n"] == 3)
    running = start("spool")
    ids = running.accept(5)
    assert not running.flush()
    state = State(tmp_path / "spool", Log())
    (letter,) = state.dead_letters("amplitude")

    sink.heal()
    assert state.replay([letter.id]) == 1
    state.close()
    sink.wait_for(5)
    assert arrived(sink) == dict.fromkeys(ids, 1)
    assert running.flush()
    assert running.balance()["delivered"] == 5
