"""T19. A spool as a state machine: whatever happens in whatever order, every call is somewhere, and counted there."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from itly_core.call import Call, decode_call
from itly_core.delivery.retry import Patience
from itly_core.delivery.sender import Item
from itly_core.delivery.shipper import Shipper
from itly_core.delivery.spool import SpoolWriter, prepare
from itly_core.delivery.state import STATE_FILE, State
from itly_core.delivery.survey import survey
from itly_core.destinations.base import Limits
from itly_core.log import Log
from itly_core.options import DeliveryOptions
from itly_core.wire import Bisect, Ok, OkPartial, Outcome, Reject, Retry, RetrySome, Split

from .delivering import Said, line_of

NAMES = ("one", "two")
FATES = (
    "take",
    "fail",
    "throttle",
    "reject the first",
    "retry the first",
    "split",
    "refuse one",
    "refuse all",
    "killed",
)
AT_ONCE = Patience(base_s=1e-9, cap_s=1e-9, hold_base_s=1e-9, hold_cap_s=1e-9)


class Killed(BaseException):
    """The vendor has the calls, and the process dies before it can note that."""


class Vendor:
    """A sender that does to each request what is next in line; after that, takes everything."""

    limits = Limits(max_pieces=5, max_bytes=1 << 20, max_piece_bytes=1 << 20)
    deduplicates = True

    def __init__(self) -> None:
        self.fates: list[str] = []
        self.taken: Counter[str] = Counter()

    def pieces(self, call: Call) -> Sequence[bytes]:
        return (call.message_id.encode(),)

    def send(self, items: Sequence[Item]) -> Outcome:
        names = [decode_call(item.entry.line).message_id for item in items]
        match self.fates.pop(0) if self.fates else "take":
            case "fail":
                return Retry("is down")
            case "throttle":
                return Retry("too fast", 0.0, throttled=True)
            case "reject the first":
                self.taken.update(names[1:])
                return OkPartial({0: "spoiled"})
            case "retry the first":
                self.taken.update(names[1:])
                return RetrySome({0: 1e-6}, reason="later")
            case "split":
                return Split()
            case "refuse one":
                return Bisect("something is wrong") if len(items) > 1 else Reject("it is this one")
            case "refuse all":
                return Reject("all of it is wrong")
            case "killed":
                self.taken.update(names)
                raise Killed
        self.taken.update(names)
        return Ok()

    def flush(self) -> None: ...

    def close(self, *, is_final: bool) -> None: ...

    def forget(self) -> None: ...


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="itly-model-"))
        prepare(self.directory, "Shop")
        self.vendors = {name: Vendor() for name in NAMES}
        self.writers: list[SpoolWriter] = []
        self.shipper: Shipper | None = None
        self.accepted: list[str] = []
        self.kept_in_state: dict[str, set[str]] = {name: set() for name in NAMES}  # and lost together with it
        self.may_repeat = dict.fromkeys(NAMES, False)
        self.is_counted = True  # until the counts are lost
        self.log = Log(Said())

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            shutil.rmtree(self.directory)

    # Those who accept

    @precondition(lambda self: len(self.writers) < 3)
    @rule()
    def a_process_starts(self) -> None:
        self.writers.append(SpoolWriter(self.directory, "os", 1 << 30, self.log))

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 2), count=st.integers(1, 7))
    def calls_are_accepted(self, number: int, count: int) -> None:
        writer = self.writers[number % len(self.writers)]
        for _ in range(count):
            name = f"m-{len(self.accepted):04d}"
            assert writer.append(line_of(name)) is None
            self.accepted.append(name)

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 2))
    def a_file_is_closed(self, number: int) -> None:
        self.writers[number % len(self.writers)].close()

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 2), torn=st.integers(0, 60))
    def a_process_dies(self, number: int, torn: int) -> None:
        """Within a write, if torn: its last line has no end."""
        writer = self.writers.pop(number % len(self.writers))
        names = [name for name in writer.marks() if (self.directory / name).exists()]
        writer.abandon()
        if torn and names:
            with (self.directory / max(names)).open("ab") as file:
                file.write(line_of("torn")[:torn])

    # Those who ship

    @rule(name=st.sampled_from(NAMES), fates=st.lists(st.sampled_from(FATES), max_size=4), steps=st.integers(1, 4))
    def something_is_shipped(self, name: str, fates: list[str], steps: int) -> None:
        if self.shipper is None:
            self.shipper = Shipper(
                self.directory, self.vendors, DeliveryOptions(), self.log, lambda: None, patience=AT_ONCE
            )
        vendor, lane = self.vendors[name], self.shipper.lanes.lanes[NAMES.index(name)]
        vendor.fates = list(fates)
        for _ in range(steps):
            self.shipper.sources[name].hurry()
            try:
                lane.work()
            except Killed:
                self.may_repeat[name] = True
                self.the_shipper_dies()
                break
        vendor.fates = []

    @precondition(lambda self: self.shipper is not None)
    @rule()
    def files_are_deleted(self) -> None:
        assert self.shipper is not None
        self.shipper.clean()

    @precondition(lambda self: self.shipper is not None)
    @rule()
    def the_shipper_dies(self) -> None:
        assert self.shipper is not None
        self.shipper.state.close()
        self.shipper = None

    @rule()
    def dead_letters_are_replayed(self) -> None:
        state = State(self.directory, self.log)
        state.replay([letter.id for letter in state.dead_letters()])
        state.close()
        if self.shipper is not None:
            for source in self.shipper.sources.values():
                source.look_for_parked()

    @rule()
    def the_state_is_lost(self) -> None:
        if self.shipper is not None:
            self.the_shipper_dies()
        for name in NAMES:
            self.kept_in_state[name] |= self.kept(name)
            self.may_repeat[name] = True
        self.is_counted = False
        for path in self.directory.glob(f"{STATE_FILE}*"):
            path.unlink()

    # What must hold

    @invariant()
    def every_call_is_counted_once(self) -> None:
        found = survey(self.directory, NAMES)
        for row in found.destinations.values():
            places = ("delivered", "dead", "dropped", "parked", "queued", "in_flight")
            assert row["accepted"] == sum(row[place] for place in places)
            assert min(row[place] for place in places) >= 0
            if self.is_counted:
                assert row["accepted"] - row.get("dropped_by_reason", {}).get("corrupt", 0) == len(self.accepted)

    @invariant()
    def nothing_arrives_that_was_not_accepted_nor_twice_without_a_reason(self) -> None:
        for name, vendor in self.vendors.items():
            assert vendor.taken.keys() <= set(self.accepted)
            assert self.may_repeat[name] or max(vendor.taken.values(), default=0) <= 1

    def kept(self, destination: str) -> set[str]:
        """The calls that are parked for a destination, or its dead letters."""
        state = State(self.directory, self.log, is_reader=True)
        parked = state.read("SELECT line FROM parked WHERE destination = ?", (destination,))
        dead = [letter.line for letter in state.dead_letters(destination)]
        state.close()
        return {decode_call(line).message_id for line in (*dead, *(line for (line,) in parked))}

    def end(self) -> None:
        """Everybody dies, and a last process comes: every call is delivered, or kept with the reason."""
        for writer in self.writers:
            writer.abandon()
        if self.shipper is not None:
            self.the_shipper_dies()
        last = Shipper(self.directory, self.vendors, DeliveryOptions(), self.log, lambda: None, patience=AT_ONCE)
        assert last.stop(30.0)
        for name, vendor in self.vendors.items():
            dead = self.kept(name)
            assert set(self.accepted) <= vendor.taken.keys() | dead | self.kept_in_state[name]
        assert not list(self.directory.glob("*.ndjson"))


@pytest.mark.parametrize("examples", [12, pytest.param(10_000, marks=[pytest.mark.torture, pytest.mark.timeout(7200)])])
def test_every_call_is_somewhere(examples: int) -> None:
    run_state_machine_as_test(
        SpoolMachine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None)
    )
