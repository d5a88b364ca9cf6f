"""Damage to the files of a spool costs what was damaged, and is counted; damage to the state costs duplicates only."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itly_core.call import decode_call
from itly_core.delivery.spool import QUARANTINE
from itly_core.delivery.state import LONGEST_WAIT_S, STATE_FILE, Settlement, State
from itly_core.log import Log

from .delivering import Adapter, Said, accept, eventually, ids_of, line_of, ship, start, write

CALLS = ids_of("m", 12)


def check_damage(damage: Callable[[bytes], bytes], touched: Callable[[int, int], bool]) -> None:
    """touched: whether the line from there to there may be altered or lost. What is not touched arrives, once; every line
    that can be read is delivered, and every other one is in quarantine, byte for byte."""
    with tempfile.TemporaryDirectory() as scratch:
        directory, adapter = Path(scratch) / "spool", Adapter()
        (file,) = write(directory, CALLS)
        whole = file.read_bytes()
        data = damage(whole)
        file.write_bytes(data)

        counts = ship(directory, custom=adapter)

        starts = [0, *(index + 1 for index, byte in enumerate(whole) if byte == 10)]
        safe = [
            name
            for name, start, end in zip(CALLS, starts[:-1], starts[1:], strict=True)
            if not touched(start, end) and whole[start:end] in data
        ]
        assert Counter(name for name in safe if adapter.ids[name] == 1) == Counter(safe)
        assert not file.exists()
        unreadable = [line for line in _lines(data) if not _is_call(line)]
        kept = sorted(path.read_bytes() for path in (directory / QUARANTINE).iterdir())
        assert kept == sorted(unreadable)
        assert counts.total() == len(_lines(data))
        assert counts["custom", "delivered"] == len(adapter.calls)


def _lines(data: bytes) -> list[bytes]:
    """With their newlines; the last one may have none."""
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _is_call(line: bytes) -> bool:
    try:
        decode_call(line)
    except ValueError:
        return False
    return True


@given(position=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@settings(max_examples=40)
def test_a_flipped_byte_costs_its_line_at_most(position: float, mask: int) -> None:
    """T4. Two lines, where the byte is the newline between them."""
    check_flip(position, mask)


def check_flip(position: float, mask: int) -> None:
    place = 0

    def flip(whole: bytes) -> bytes:
        nonlocal place
        place = int(position * len(whole))
        return whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]

    check_damage(flip, lambda start, end: start <= place < end or start == place + 1)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_every_flipped_byte_costs_its_line_at_most() -> None:
    """T4, every byte of a file."""
    size = sum(len(line_of(name)) for name in CALLS)
    for place in range(size):
        check_flip((place + 0.5) / size, random.randint(1, 255))


@given(
    position=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 400),
    junk=st.one_of(st.binary(max_size=40), st.integers(0, 300).map(bytes)),
)
@settings(max_examples=40)
def test_a_damaged_stretch_costs_the_lines_it_touches(position: float, length: int, junk: bytes) -> None:
    """T4: a part cut out, overwritten or put in, as a disk or an editor may leave it."""
    first = last = 0

    def cut(whole: bytes) -> bytes:
        nonlocal first, last
        first = int(position * len(whole))
        last = min(len(whole), first + length)
        return whole[:first] + junk + whole[last:]

    check_damage(cut, lambda start, end: start <= last and end > first)


@given(position=st.floats(0, 1))
@settings(max_examples=25)
def test_a_torn_end_costs_the_last_line(position: float) -> None:
    """T4: the writer died within a write."""
    size = 0

    def tear(whole: bytes) -> bytes:
        nonlocal size
        size = int(position * len(whole))
        return whole[:size]

    check_damage(tear, lambda start, end: end > size)


def test_a_living_writers_half_line_is_waited_for(tmp_path: Path) -> None:
    """T4: what another process has written of a line so far is neither delivered nor thrown away."""
    adapter, line = Adapter(), line_of("m-0")
    write(tmp_path, [])
    file = tmp_path / "0000000000001-1-ab-1.ndjson"
    with file.open("ab", buffering=0) as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(line[:20])
        ship(tmp_path, custom=adapter)
        assert not adapter.ids
        writer.write(line[20:])
        ship(tmp_path, custom=adapter)
        assert adapter.ids == Counter(["m-0"])

    assert not list((tmp_path / QUARANTINE).iterdir())


def _garbage(path: Path) -> None:
    path.write_bytes(random.randbytes(5000))


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _zeros(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 4096))


def _other_database(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE recipe (name TEXT)")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()


FAULTS = {
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": _garbage,
    "half": _half,
    "zeros": _zeros,
    "another": _other_database,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_damaged_state_costs_duplicates_only(tmp_path: Path, fault: Callable[[Path], object]) -> None:
    """T4: between two processes."""
    adapter = Adapter()
    (file,) = write(tmp_path, CALLS[:8])
    kept = file.read_bytes()
    ship(tmp_path, custom=adapter)
    file.write_bytes(kept)  # as if it had been longer than what was shipped
    fault(tmp_path / STATE_FILE)
    write(tmp_path, CALLS[8:])
    ship(tmp_path, custom=adapter)

    assert adapter.ids.keys() == set(CALLS)
    assert max(adapter.ids.values()) <= 2
    assert not list(tmp_path.glob("*.ndjson"))


@pytest.mark.parametrize("fault", [_garbage, _half, _zeros], ids=["garbage", "half", "zeros"])
def test_a_state_that_is_damaged_under_way_costs_duplicates_only(
    tmp_path: Path, fault: Callable[[Path], object]
) -> None:
    """T4: while a process ships."""
    adapter, said = Adapter(), Said()
    delivery = start(tmp_path, adapter, said)
    accept(delivery, *CALLS[:6])
    assert delivery.flush(20.0)
    for path in (tmp_path / STATE_FILE, tmp_path / f"{STATE_FILE}-wal"):
        if path.stat().st_size > 4096:
            fault(path)
    accept(delivery, *CALLS[6:])
    eventually(lambda: adapter.ids.keys() == set(CALLS))
    delivery.shutdown(20.0)
    ship(tmp_path, custom=adapter)

    assert adapter.ids.keys() == set(CALLS)
    assert not list(tmp_path.glob("*.ndjson"))


@contextmanager
def locked(directory: Path, how: str) -> Iterator[None]:
    """Somebody else's transaction holds the state."""
    holder = sqlite3.connect(directory / STATE_FILE, isolation_level=None)
    holder.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def test_a_locked_state_delays_and_loses_nothing(tmp_path: Path) -> None:
    """T4: somebody looks at the state with a tool that locks it, longer than the shipper waits for a lock."""
    adapter, said = Adapter(), Said()
    write(tmp_path, CALLS[:2])
    ship(tmp_path, custom=adapter)
    with locked(tmp_path, "EXCLUSIVE"):
        delivery = start(tmp_path, adapter, said)
        accept(delivery, *CALLS[2:])
        eventually(lambda: said.has("database is locked"), 60.0)
    assert delivery.flush(30.0)
    delivery.shutdown(20.0)

    assert adapter.ids.keys() == set(CALLS)


def test_what_was_sent_while_the_state_was_locked_is_not_sent_again(tmp_path: Path) -> None:
    """A full disk does the same: the vendor has the batch, and that cannot be written down yet."""
    adapter, said = Adapter(), Said()
    delivery = start(tmp_path, adapter, said)
    accept(delivery, *CALLS[:2])
    assert delivery.flush(20.0)
    with locked(tmp_path, "IMMEDIATE"):
        accept(delivery, *CALLS[2:])
        eventually(lambda: said.has("database is locked"), 60.0)
    assert delivery.flush(30.0)
    delivery.shutdown(20.0)

    assert adapter.ids == dict.fromkeys(CALLS, 1)
    assert not list(tmp_path.glob("*.ndjson"))


def test_parking_and_advancing_are_one_change(tmp_path: Path) -> None:
    """A cursor never passes a call that is neither delivered nor kept."""
    state = State(tmp_path, Log(Said()))
    line = line_of("m-0")
    whole = Settlement("custom", {"a.ndjson": 100}, [("w", 0.0, 1, 0.0, line)], [], [], {("w", "delivered", ""): 1})
    state.settle(whole)
    broken = Settlement(
        "custom",
        {"a.ndjson": 200},
        [("w", 0.0, 1, 0.0, line)],
        [("w", "rejected", "", 1, None)],  # type: ignore[list-item]  # the last of the changes cannot be made
        [],
        {("w", "delivered", ""): 1},
    )
    with pytest.raises(sqlite3.IntegrityError):
        state.settle(broken)

    assert state.cursors("custom") == {"a.ndjson": 100}
    assert state.parked_counts() == {"custom": 1}
    assert state.tallies() == [("custom", "delivered", "", 1)]
    state.close()


def test_what_is_settled_late_frees_no_parked_call_of_another_destination(tmp_path: Path) -> None:
    """The state was made anew in between, so that ids of rows begin at 1 again."""
    state = State(tmp_path, Log(Said()))
    state.settle(Settlement("custom", {}, [("w", 0.0, 1, 0.0, line_of("m-0"))], [], [], {}))
    (row,) = state.due("custom", 1.0, 10)
    state.settle(Settlement("other", {}, [], [], [row.id], {("w", "delivered", ""): 1}))

    assert state.parked_counts() == {"custom": 1}
    state.close()


def test_a_call_that_was_parked_while_the_clock_was_wrong_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A machine starts in 2036, parks a call, and then learns what year it is."""
    adapter = Adapter()
    write(tmp_path, [])
    state = State(tmp_path, Log(Said()))
    row = ("w", 2_100_000_000.0, 1, 0.0, line_of("m-0", accepted_ms=2_100_000_000_000))
    state.settle(Settlement("custom", {}, [row], [], [], {}))
    soon = ("w", 0.0 + LONGEST_WAIT_S, 1, 0.0, line_of("m-1"))
    state.settle(Settlement("custom", {}, [soon], [], [], {}))
    state.close()
    ship(tmp_path, custom=adapter)

    assert adapter.ids.keys() == {"m-0", "m-1"}


def test_a_line_from_a_later_version_is_delivered_with_what_is_known_of_it(tmp_path: Path) -> None:
    adapter = Adapter()
    (file,) = write(tmp_path, ["m-0"])
    record = orjson.loads(file.read_bytes())
    known = {name: record[name] for name in ("kind", "name", "message_id", "timestamp_ms", "user_id")}
    file.write_bytes(orjson.dumps({"mood": "cheerful", **known}) + b"\n")
    ship(tmp_path, custom=adapter)

    assert adapter.ids.keys() == {"m-0"}


def test_a_changed_letter_is_noticed_though_the_line_is_still_json(tmp_path: Path) -> None:
    (file,) = write(tmp_path, CALLS)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"user-1"', b'"user-7"', 1))
    adapter = Adapter()

    counts = ship(tmp_path, custom=adapter)

    assert list(adapter.ids) == CALLS[1:]
    assert counts == {("custom", "delivered"): len(CALLS) - 1, ("custom", "dropped"): 1}
    assert len(list((tmp_path / QUARANTINE).iterdir())) == 1
