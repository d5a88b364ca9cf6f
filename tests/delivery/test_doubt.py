"""Nobody knows whether a request was taken: what is sent again, and what that costs."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from itly_core.delivery.sender import HttpSender, Sender
from itly_core.destinations.amplitude import Amplitude
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import Running, Start, arrived


class Forgetful(Amplitude):
    """A vendor that takes a call as often as it comes."""

    deduplicates = False


def forgetful(start: Start, sink: LocalSink, **more: object) -> Running:
    def senders() -> Mapping[str, Sender]:
        return {"amplitude": HttpSender(Forgetful(url=sink.amplitude_url, api_key="AK"), 1.0)}

    return start("memory", senders, **more)


def test_an_answer_that_was_swallowed_costs_duplicates_that_are_the_same_in_every_byte(
    start: Start, sink: LocalSink, mode: str
) -> None:
    """T11: three in ten requests are taken without an answer. Ids and times are the same in every try."""
    dice = random.Random(11)
    sink.script(swallow=True, match=lambda event: event["event_properties"]["n"] == 0 and dice.random() < 0.3)
    running = start(mode, batch_size=20)
    for _ in range(40):
        running.accept(20)  # each batch begins with an n of 0
    assert running.flush()

    found = arrived(sink)
    swallowed = [request for request in sink.requests if not request.status]
    print(
        f"accepted {len(running.accepted)}, lost {len(set(running.accepted) - set(found))}, {found.total() - 800} twice"
    )
    assert swallowed
    assert set(found) == set(running.accepted)
    assert found.total() - len(found) == sum(len(request.events) for request in swallowed)
    copies: dict[str, list[object]] = {}
    for event in sink.events("amplitude"):
        copies.setdefault(event["insert_id"], []).append(event)
    assert all(copy == several[0] for several in copies.values() for copy in several)
    assert running.balance()["delivered"] == 800  # once each


def test_a_connection_cut_before_the_request_was_taken_costs_nothing(start: Start, sink: LocalSink, mode: str) -> None:
    sink.script(reset=True, times=3)
    running = start(mode, batch_size=50)
    running.accept(100)

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_an_answer_later_than_the_timeout_is_not_waited_for(start: Start, sink: LocalSink, mode: str) -> None:
    """T11: the vendor takes the request all the same, later."""
    sink.script(delay_s=1.0, times=1)
    running = start(mode, timeout=0.3)
    running.accept(20)

    assert running.flush()
    ((_, reason), *_) = running.wait_for_failures(1)
    assert reason == "no answer within 0.3 s"
    sink.wait_for(40)
    assert arrived(sink) == dict.fromkeys(running.accepted, 2)
    assert running.balance()["delivered"] == 20


@pytest.mark.parametrize("fault", [{"swallow": True}, {"status": 500}, {"delay_s": 1.5}], ids=str)
def test_a_vendor_that_does_not_deduplicate_is_not_sent_anything_twice(
    start: Start, sink: LocalSink, fault: dict[str, object]
) -> None:
    """T11: what is in doubt becomes dead letters, for somebody to look at."""
    sink.script(times=1, **fault)
    running = forgetful(start, sink)
    running.accept(20)
    assert not running.flush()

    assert running.balance()["dead_by_reason"] == {"ambiguous": 20}
    assert {dead.reason for _, dead in running.delivery.dead_letters("amplitude")} == {"ambiguous"}
    running.accept(20)
    assert running.flush()
    assert max(arrived(sink).values()) == 1


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 401}, {"status": 413}], ids=str)
def test_a_vendor_that_does_not_deduplicate_gets_again_what_it_certainly_did_not_take(
    start: Start, sink: LocalSink, fault: dict[str, object]
) -> None:
    sink.script(times=2, **fault)
    running = forgetful(start, sink)
    running.accept(20)

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)


def test_a_vendor_that_does_not_deduplicate_and_was_down_gets_everything_once(start: Start, sink: LocalSink) -> None:
    sink.go_down()
    running = forgetful(start, sink)
    running.accept(20)
    assert not running.flush(0.0)
    running.wait_for_failures(3)
    sink.go_up()

    assert running.flush()
    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
