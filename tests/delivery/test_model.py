"""accepted = delivered + dead + dropped + parked + queued + in flight, whatever the vendor does and when one asks."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from itly_core.delivery.retry import Patience
from itly_core.delivery.state import State
from itly_core.log import Log
from itly_core.options import DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import SOON_S, Running, Start, amplitude, arrived, eventually, segment

HASTY = Patience(base_s=0.001, cap_s=0.01, hold_base_s=0.002, hold_cap_s=0.02)
FAULTS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 503},
    {"status": 400},
    {"status": 401},
    {"status": 404},
    {"status": 413},
    {"status": 302},
    {"status": 200, "body": "<html>", "path": "/nowhere"},
    {"status": 429, "headers": {"Retry-After": "0"}, "path": "/v1/batch"},
    {"status": 429, "body": {"error": "Too many", "throttled_events": [0, 2]}, "path": "/2/httpapi"},
    {"status": 400, "body": {"error": "bad", "silenced_events": [1]}, "path": "/2/httpapi"},
    {"reset": True},
    {"swallow": True},
    {"above_bytes": 1500},
    {"match": {"user_id": "poison"}},
    {"match": {"userId": "poison"}},
    {"match": {"user_id": "poison"}, "named": False},
    {"delay_s": 0.02},
]


class Vendors(RuleBasedStateMachine):
    """Two destinations whose vendor is told to misbehave in any order, between calls, flushes and restarts."""

    mode = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.sink = LocalSink()
        self.running = self.begin()
        self.accepted: set[str] = set()
        self.may_repeat = False
        self.is_down = False
        self.ended: list[Running] = []

    def begin(self) -> Running:
        both = DestinationsOptions(amplitude=amplitude(self.sink), segment=segment(self.sink))
        spool = self.directory / "spool"
        return Running(both, self.mode, spool, HASTY, flush_interval=0.005, batch_size=8, timeout=SOON_S)

    @rule(count=st.integers(min_value=1, max_value=12), user_id=st.sampled_from(["user-1", "user-2", "poison"]))
    def accept(self, count: int, user_id: str) -> None:
        self.accepted.update(self.running.accept(count, user_id=user_id))

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(min_value=1, max_value=4))
    def misbehave(self, fault: dict[str, Any], times: int) -> None:
        self.may_repeat |= "swallow" in fault
        self.sink.script(times=times, **fault)

    @rule()
    def go_down(self) -> None:
        self.is_down = self.may_repeat = True  # a request may be cut in the middle
        self.sink.go_down()

    @precondition(lambda self: self.is_down)
    @rule()
    def go_up(self) -> None:
        self.is_down = False
        self.sink.go_up()

    @rule(timeout_s=st.sampled_from([0.0, 0.03, 0.1]))
    def flush(self, timeout_s: float) -> None:
        is_all = self.running.flush(timeout_s)
        if is_all:
            for name in ("amplitude", "segment"):
                found = self.running.balance(name)
                assert found["delivered"] + found["dead"] + found["dropped"] == found["accepted"]

    @rule()
    def restart(self) -> None:
        self.running.close(0.05)
        self.ended.append(self.running)
        self.running = self.begin()

    @invariant()
    def the_balance_holds(self) -> None:
        for running in (*self.ended, self.running):
            for name in ("amplitude", "segment"):
                assert running.balance(name)["accepted"] == len(running.accepted)

    def teardown(self) -> None:
        try:
            self.sink.heal()
            for running in self.ended:
                running.close()  # its lanes have ended
            if self.mode == "spool":
                self.accept(1, "user-1")  # whoever comes next takes up what was left
                eventually(self.running.is_alone)
            self.settle()
            for name in ("amplitude", "segment"):
                self.judge(name)
        finally:
            self.running.close(1.0)
            self.sink.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def settle(self) -> None:
        """Until nothing is under way but what waits for its time."""
        while True:
            if self.running.flush(0.5):
                return
            found = [self.running.balance(name) for name in ("amplitude", "segment")]
            if not any(each["queued"] + each["in_flight"] for each in found):
                return

    def judge(self, name: str) -> None:
        """Every call is where the counters say, and nowhere else."""
        found = arrived(self.sink, name)
        everything = [*self.ended, self.running]
        assert set(found) <= self.accepted
        if not self.may_repeat:
            assert set(found.values()) <= {1}
        if self.mode == "memory":
            balances = [running.balance(name) for running in everything]
            dead = {self.id_of(line) for running in everything for line, _ in running.delivery.dead_letters(name)}
            missing = sum(each["dropped"] + each["parked"] for each in balances)
            assert sum(each["delivered"] for each in balances) <= len(found)
        else:
            state = State(self.directory / "spool", Log())
            dead = {self.id_of(letter.line) for letter in state.dead_letters(name)}
            missing = state.parked_counts().get(name, 0)
            tallies = {place: n for who, place, _, n in state.tallies() if who == name}
            state.close()
            assert "dropped" not in tallies
        assert len(self.accepted - set(found) - dead) <= missing  # those whose answer was lost may have arrived

    @staticmethod
    def id_of(line: bytes) -> str:
        from itly_core.call import decode_call

        return decode_call(line).message_id


class SpooledVendors(Vendors):
    mode = "spool"


MACHINES = {"memory": Vendors, "spool": SpooledVendors}


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(8, 12), pytest.param(1000, 40, marks=[pytest.mark.torture, pytest.mark.timeout(7200)])],
)
def test_the_balance_holds_at_every_step(mode: str, examples: int, steps: int) -> None:
    """T3, T19: and in the end every call arrived, or is where the counters say."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        MACHINES[mode],
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_balance_holds_at_every_moment(start: Start, sink: LocalSink, mode: str) -> None:
    """T19: asked as fast as it goes, while threads call, the vendor refuses, parks, throttles and takes."""
    for fault in (
        {"status": 500},
        {"status": 429, "body": {"error": "Too many", "throttled_events": [0]}},
        {"match": {"user_id": "poison"}},
        {"status": 413},
        {"status": 401},
    ):
        sink.script(times=3, **fault)
    running = start(mode, batch_size=25, flush_interval=0.005, patience=HASTY)
    ends = threading.Event()
    looks = [0]

    def look() -> None:
        while not ends.is_set():
            running.balance()
            looks[0] += 1

    def call() -> None:
        for n in range(20):
            running.accept(5, user_id="poison" if n == 10 else "user-1")

    threads = [threading.Thread(target=call) for _ in range(3)]
    watcher = threading.Thread(target=look)
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    sink.wait_for(270, SOON_S)
    ends.set()
    watcher.join()

    assert looks[0] > 10
    assert running.balance()["accepted"] == 300
