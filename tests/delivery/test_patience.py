"""How long a lane waits, and that waiting loses nothing."""

from __future__ import annotations

import time
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.delivery.retry import BatchSize, Patience, halves, is_mass_rejection
from itly_core.options import DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import QUICK, SOON_S, Start, amplitude, arrived, eventually, segment, sizes

attempts = st.integers(min_value=1, max_value=10_000)
PATIENT = Patience(
    base_s=600.0, cap_s=600.0, hold_base_s=600.0, uniform=lambda low, high: high
)  # never tries by itself


# The arithmetic


@given(attempts)
def test_a_backoff_is_anything_from_nothing_to_twice_the_last_and_a_minute_at_most(attempt: int) -> None:
    ceiling_s = min(60.0, 2.0 ** min(attempt - 1, 10))
    assert Patience(uniform=lambda low, high: low).backoff_s(attempt) == 0.0
    assert Patience(uniform=lambda low, high: high).backoff_s(attempt) == ceiling_s
    assert 0.0 <= Patience().backoff_s(attempt) <= ceiling_s


@given(attempts, st.none() | st.floats(min_value=0, max_value=1e9))
def test_a_throttled_lane_waits_as_asked_up_to_five_minutes_and_half_the_backoff_at_least(
    attempt: int, after_s: float | None
) -> None:
    asked_s = min(after_s or 0.0, 300.0)
    half_s = min(60.0, 2.0 ** min(attempt - 1, 10)) / 2
    assert Patience(uniform=lambda low, high: low).throttled_s(attempt, after_s) == max(asked_s, half_s)
    assert Patience(uniform=lambda low, high: high).throttled_s(attempt, after_s) == max(asked_s, 2 * half_s)


def test_a_held_lane_tries_after_30_seconds_and_at_last_every_ten_minutes() -> None:
    assert [Patience().hold_s(attempt) for attempt in range(1, 8)] == [30, 60, 120, 240, 480, 600, 600]


def test_jitter_spreads_retries_over_the_whole_range() -> None:
    waits = [Patience().backoff_s(5) for _ in range(400)]
    assert min(waits) < 4.0
    assert max(waits) > 12.0
    assert 6.0 < sum(waits) / 400 < 10.0


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Patience().backoff_s(0)


@given(st.integers(min_value=1, max_value=2000), st.lists(st.booleans(), max_size=60))
def test_a_batch_is_halved_when_throttled_and_grows_back_by_tenths(largest: int, throttles: list[bool]) -> None:
    size = BatchSize(largest)
    for is_throttled in throttles:
        before = size.now
        (size.throttled if is_throttled else size.taken)()
        expected = max(1, before // 2) if is_throttled else min(largest, before + max(1, largest // 10))
        assert size.now == expected
    for _ in range(11 + largest % 10):
        size.taken()
    assert size.now == largest


@given(st.lists(st.integers(min_value=1, max_value=10_000), min_size=2, max_size=60))
def test_halves_are_neither_empty_nor_further_apart_than_the_call_on_the_border(weights: list[int]) -> None:
    middle = halves(weights)
    assert 0 < middle < len(weights)
    apart = abs(sum(weights[:middle]) - sum(weights[middle:]))
    assert apart <= max(weights) + 1 or middle in (1, len(weights) - 1)


def test_much_of_a_batch_refused_is_a_wrong_configuration_and_little_is_not() -> None:
    assert is_mass_rejection(calls=60, refused=31, taken=0, requests=40)
    assert not is_mass_rejection(calls=60, refused=30, taken=30, requests=1000)
    assert is_mass_rejection(calls=1000, refused=30, taken=0, requests=64)
    assert not is_mass_rejection(calls=1000, refused=30, taken=0, requests=63)
    assert not is_mass_rejection(calls=1000, refused=30, taken=30, requests=1000)
    assert not is_mass_rejection(calls=3, refused=3, taken=0, requests=5)


# Held


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_lane_whose_credentials_or_address_are_refused_keeps_everything(
    start: Start, sink: LocalSink, mode: str, status: int
) -> None:
    """T10: tries again ever more rarely, loses nothing and delivers all once it is mended."""
    sink.script(status=status)
    running = start(mode, DestinationsOptions(segment=segment(sink)))
    running.accept(20)
    assert not running.flush(0.0)
    failures = running.wait_for_failures(4, "segment")

    waits = [later[0] - earlier[0] for earlier, later in pairwise(failures)]
    assert all(wait_s >= QUICK.hold_s(n) for n, wait_s in enumerate(waits, 1))
    assert {reason.split(":")[0] for _, reason in failures} == {f"HTTP {status}"}
    balance = running.balance("segment")
    assert (balance["accepted"], balance["dead"], balance["dropped"], balance["delivered"]) == (20, 0, 0, 0)
    assert len([line for line in running.logger.lines if "held" in line]) == 1  # said once

    sink.heal()
    assert running.flush()
    assert arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)
    assert any("delivering again" in line for line in running.logger.lines)


def test_nothing_hurries_a_held_lane_but_a_new_process(start: Start, sink: LocalSink) -> None:
    """T10: a key is mended by a deploy."""
    sink.script(status=401, times=1)
    first = start("spool", DestinationsOptions(segment=segment(sink)), patience=PATIENT)
    first.accept(20)
    assert not first.flush(0.0)
    first.wait_for_failures(1, "segment")
    assert not first.flush(0.2)
    assert len(sink.requests) == 1
    assert not first.close(SOON_S)

    second = start("spool", DestinationsOptions(segment=segment(sink)), patience=PATIENT)
    second.accept(1)
    assert second.flush()
    assert arrived(sink, "segment") == dict.fromkeys(first.accepted + second.accepted, 1)


@pytest.mark.torture
@pytest.mark.timeout(1500)
def test_ten_minutes_of_a_refused_key_cost_nothing(start: Start, sink: LocalSink, mode: str) -> None:
    """T10, at its true pace."""
    sink.script(status=401)
    running = start(mode, DestinationsOptions(segment=segment(sink)), patience=Patience(), flush_interval=0.1)
    ends_s = time.monotonic() + 600.0
    while time.monotonic() < ends_s:
        running.accept(10)
        time.sleep(1.0)
    assert 4 <= len(sink.requests) <= 6  # after 0, 30, 90, 210, 450 seconds; the next is after 930
    assert running.balance("segment")["dead"] == 0
    sink.heal()
    eventually(lambda: running.flush(600.0))
    assert arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)


# Throttled


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("is_date", [False, True], ids=["seconds", "date"])
def test_a_vendor_that_says_when_is_not_asked_earlier(
    start: Start, sink: LocalSink, mode: str, status: int, is_date: bool
) -> None:
    """T8: not even by somebody who waits for a flush."""
    asked = formatdate(time.time() + 2, usegmt=True) if is_date else "1"  # of a date the second is the smallest part
    sink.script(status=status, headers={"Retry-After": asked}, times=1)
    running = start(mode, DestinationsOptions(segment=segment(sink)))
    running.accept(20)
    answered_s = time.monotonic()

    assert running.flush()
    assert time.monotonic() - answered_s >= 0.9
    assert [request.status for request in sink.requests] == [status, 200]
    assert arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)


def test_a_throttling_vendor_gets_smaller_batches_and_then_larger_ones_again(
    start: Start, sink: LocalSink, mode: str
) -> None:
    """T8"""
    sink.script(status=429, headers={"Retry-After": "0"}, times=2)
    running = start(mode, DestinationsOptions(segment=segment(sink)), batch_size=40)
    running.accept(200)

    assert running.flush()
    assert sizes(sink, "segment")[:2] == [(429, 40), (429, 40)]  # the batch in hand stays as it is
    assert sizes(sink, "segment")[2:5] == [(200, 40), (200, 14), (200, 18)]
    assert arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)


def test_a_throttled_user_does_not_keep_the_others_waiting(start: Start, sink: LocalSink, mode: str) -> None:
    """T8: Amplitude throttles by user."""
    running = start(mode)
    running.accept(5, user_id="busy")
    ids = running.accept(20)
    body = {"code": 429, "error": "Too many requests", "throttled_events": list(range(5))}
    sink.script(status=429, body=body, times=1)

    assert not running.flush(0.5)
    sink.wait_for(20, SOON_S)
    eventually(lambda: running.balance()["parked"] == 5)
    assert running.balance()["delivered"] == 20
    ids += running.accept(20)
    assert not running.flush(0.5)
    sink.wait_for(40, SOON_S)
    assert arrived(sink) == dict.fromkeys(ids, 1)


@pytest.mark.torture
def test_a_throttled_user_gets_its_turn(start: Start, sink: LocalSink, mode: str) -> None:
    """T8: after 30 seconds."""
    running = start(mode)
    running.accept(25, user_id="busy")
    body = {"code": 429, "error": "Too many requests", "throttled_events": list(range(25))}
    sink.script(status=429, body=body, times=1)
    began_s = time.monotonic()

    assert running.flush(60.0)
    assert time.monotonic() - began_s >= 30.0
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


# Down


def test_an_outage_loses_and_duplicates_nothing(start: Start, sink: LocalSink, mode: str) -> None:
    """T7: whatever was accepted before, in and after it."""
    running = start(mode, batch_size=50)
    running.accept(100)
    assert running.flush()
    sink.go_down()
    for _ in range(10):
        running.accept(50)
        assert not running.flush(0.0)
    running.wait_for_failures(8)
    assert len([line for line in running.logger.lines if "kept and tried again" in line]) == 1  # said once
    sink.go_up()
    running.accept(100)

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    assert running.balance()["delivered"] == 700


@pytest.mark.torture
@pytest.mark.timeout(1200)
def test_a_long_outage_loses_nothing_and_drains_fast(start: Start, sink: LocalSink, mode: str) -> None:
    """T7: ten minutes at a thousand calls a second, beside a vendor that is up all the time."""
    both = DestinationsOptions(amplitude=amplitude(sink), segment=segment(sink))
    running = start(mode, both, patience=Patience(), flush_interval=0.5, max_bytes=1 << 30)
    sink.script(path="/2/httpapi", status=503)
    ends_s, wanted_s = time.monotonic() + 600.0, time.monotonic()
    while time.monotonic() < ends_s:
        running.accept(100)
        wanted_s += 0.1
        time.sleep(max(0.0, wanted_s - time.monotonic()))
    eventually(lambda: running.balance("segment")["queued"] < 2000)  # it never fell behind
    sink.heal()
    began_s = time.monotonic()
    eventually(lambda: running.flush(600.0))
    took_s = time.monotonic() - began_s

    count = len(running.accepted)
    print(f"accepted {count}, drained in {took_s:.1f} s")
    assert arrived(sink) == arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)
    assert count / took_s > 5000


def test_whatever_a_vendor_throws_at_it_nothing_is_lost(start: Start, sink: LocalSink, mode: str) -> None:
    for fault in (
        {"status": 500},
        {"reset": True},
        {"status": 503},
        {"status": 401},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 413},
        {"status": 301},
    ):
        sink.script(times=2, **fault)
    running = start(mode, DestinationsOptions(segment=segment(sink)), batch_size=10)
    running.accept(100)

    assert running.flush()
    assert arrived(sink, "segment") == dict.fromkeys(running.accepted, 1)


def test_calls_too_old_are_dropped_and_counted(start: Start, sink: LocalSink, mode: str) -> None:
    sink.go_down()
    running = start(mode, max_age=0.3)
    running.accept(20)
    assert not running.flush(0.0)
    eventually(lambda: running.balance()["dropped"] == 20)
    assert running.balance()["dropped_by_reason"] == {"expired": 20}

    sink.go_up()
    old = set(running.accepted)

    def is_one_young_enough() -> bool:
        running.accept()
        return running.flush()

    eventually(is_one_young_enough)
    assert not old & set(arrived(sink))


def test_no_call_expires_by_a_number_of_attempts(start: Start, sink: LocalSink) -> None:
    """T7: a hundred are nothing."""
    sink.script(status=500, times=100)
    running = start(patience=Patience(base_s=0.0, cap_s=0.0))
    running.accept(10)

    assert running.flush()
    assert len(sink.requests) == 101
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
