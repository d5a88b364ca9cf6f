"""The coercion table: every Python value becomes JSON, what cannot is named, and nothing beside it is lost."""

from __future__ import annotations

import json
import math
import sys
from collections import OrderedDict, UserDict, UserString, deque, namedtuple
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from itly_core.encoding import MAX_DEPTH, MAX_NODES, coerce, dumps_plain

HOUR_EAST = timezone(timedelta(hours=1))


class Colour(Enum):
    RED = "red"
    AT = datetime(2026, 1, 2, tzinfo=timezone.utc)


class Level(IntEnum):
    HIGH = 3


class Shade(str, Enum):
    DARK = "dark"


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


@dataclass
class Address:
    city: str
    since: date


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 600, HOUR_EAST), "2026-01-02T02:04:05.000600Z"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4, 5), "03:04:05"),
        (Decimal("1.50"), 1.5),
        (Decimal("7"), 7),
        (Decimal("1E3"), 1000),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Colour.AT, "2026-01-02T00:00:00Z"),
        (Level.HIGH, 3),
        (Shade.DARK, "dark"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("a"), ["a"]),
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (deque([1]), [1]),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (Address("Ulm", date(2026, 1, 2)), {"city": "Ulm", "since": "2026-01-02"}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict({"a": 1}), {"a": 1}),
        (UserString("text"), "text"),
        (Text("text"), "text"),
        (mark_safe("<b>"), "<b>"),
        (lazystr("Yes"), "Yes"),
        (SimpleLazyObject(lambda: "text"), "text"),
        (SimpleLazyObject(lambda: 1.5), 1.5),
        (SimpleLazyObject(lambda: 7), 7),
        (SimpleLazyObject(lambda: True), True),
        (SimpleLazyObject(lambda: None), None),
        (SimpleLazyObject(lambda: {"a": [1]}), {"a": [1]}),
        (SimpleLazyObject(lambda: Decimal("1.5")), 1.5),
        (SimpleLazyObject(lambda: datetime(2026, 1, 2)), "2026-01-02T00:00:00"),
        (Whole(5), 5),
        (Real(2.5), 2.5),
        (True, True),
        (2**64, 2**64),
        (-(2**70), -(2**70)),
        ("a\ud800b", "a\ufffdb"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_has_one_json_form(value: Any, expected: Any) -> None:
    found, problems = coerce({"deep": [value], "sibling": 1})

    assert found == {"deep": [expected], "sibling": 1}
    assert type(found["deep"][0]) is type(expected)
    assert problems == []


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __hash__(self) -> int:
        return 1


class HostileError(Exception):
    __str__ = __repr__ = Hostile.__str__


class Evil(Sequence[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        raise HostileError


class Endless(Sequence[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        return 1


def _lazy_failure() -> str:
    raise ValueError("not now")


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (-math.inf, "not_finite"),
        (Real("nan"), "not_finite"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("sNaN"), "not_finite"),
        (Decimal("-Infinity"), "not_finite"),
        (Decimal("1e999999"), "unserialisable"),
        (10**400, "unserialisable"),
        (10**5000, "unserialisable"),
        (b"bytes", "unserialisable"),
        (bytearray(b"x"), "unserialisable"),
        (object(), "unserialisable"),
        (Address, "unserialisable"),
        (print, "unserialisable"),
        (1j, "unserialisable"),
        ((item for item in "ab"), "unserialisable"),
        (Hostile(), "unserialisable"),
        (Evil(), "unserialisable"),
        (SimpleLazyObject(_lazy_failure), "unserialisable"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "unserialisable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_null_and_named_beside_intact_siblings(value: Any, rule: str) -> None:
    found, problems = coerce({"a": {"bad": value, "good": 1}, "b": [value, 2]})

    assert found == {"a": {"bad": None, "good": 1}, "b": [None, 2]}
    assert [(item.path, item.rule) for item in problems] == [("a.bad", rule), ("b[0]", rule)]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (1, "1"),
        (True, "true"),
        (None, "null"),
        (Colour.RED, "red"),
        (Text("t"), "t"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 1, tzinfo=HOUR_EAST), "2026-01-02T00:00:00Z"),
        (UUID(int=1), str(UUID(int=1))),
        ("\udfff", "\ufffd"),
        (("a", 1), "('a', 1)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys_become_text(key: Any, name: str) -> None:
    assert coerce({key: 1}) == ({name: 1}, [])


def test_a_key_that_cannot_be_read_costs_its_own_value_only() -> None:
    found, problems = coerce({"outer": {"a": 1, Hostile(): 2, "b": 3}})

    assert found == {"outer": {"a": 1, "b": 3}}
    assert [(item.path, item.rule) for item in problems] == [("outer", "unserialisable")]


def test_two_keys_of_one_text_are_a_violation() -> None:
    found, problems = coerce({1: "first", "1": "second"})

    assert found == {"1": "first"}
    assert [item.path for item in problems] == ["1"]


def test_a_cycle_is_cut_where_it_closes() -> None:
    inner: dict[str, Any] = {"name": "inner"}
    inner["self"] = [inner]

    found, problems = coerce({"outer": inner})

    assert found == {"outer": {"name": "inner", "self": [None]}}
    assert [item.path for item in problems] == ["outer.self[0]"]


def test_a_shared_value_is_no_cycle() -> None:
    shared = {"a": 1}

    assert coerce([shared, shared]) == ([{"a": 1}, {"a": 1}], [])


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"k": value}, lambda value: (value,)])
def test_values_nested_too_deeply_are_cut(wrap: Any) -> None:
    value: Any = "core"
    for _ in range(MAX_DEPTH + 50):
        value = wrap(value)

    found, problems = coerce({"deep": value, "sibling": 1})

    assert found["sibling"] == 1
    assert len(problems) == 1
    assert orjson.loads(dumps_plain(found)) == found


def test_a_call_from_far_down_the_stack_costs_depth_and_no_more() -> None:
    value: Any = "core"
    for _ in range(90):
        value = [value]

    def descend(frames: int) -> tuple[Any, Any]:
        return descend(frames - 1) if frames else coerce({"deep": value, "sibling": 1})

    depth = 0
    frame: Any = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    found, problems = descend(sys.getrecursionlimit() - depth - 60)

    assert found["sibling"] == 1
    assert len(problems) == 1


@pytest.mark.parametrize(
    "value", [range(10**12), Endless(), [0] * (MAX_NODES + 5), dict.fromkeys(range(MAX_NODES + 5))]
)
def test_endless_values_end(value: Any) -> None:
    found, problems = coerce([value, "sibling"])

    assert len(found[0]) <= MAX_NODES
    assert len(problems) == 1


def test_references_that_spell_gigabytes_are_cut() -> None:
    value: Any = ["x"] * 10
    for _ in range(20):
        value = [value] * 10

    found, problems = coerce(value)

    assert len(dumps_plain(found)) < 2_000_000
    assert len(problems) == 1


def test_a_dictionary_that_changes_while_it_is_read_is_no_error() -> None:
    growing: dict[Any, Any] = {}

    class Grows:
        def __str__(self) -> str:
            growing[len(growing)] = "more"
            return "grows"

    growing[Grows()] = 1

    assert coerce(growing) == ({"grows": 1}, [])


class Opaque:
    pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below, max_size=4),
    max_leaves=10,
)
UNUSUAL = st.one_of(
    st.datetimes(timezones=st.none() | st.just(HOUR_EAST)),
    st.dates(),
    st.times(),
    st.decimals(),
    st.uuids(),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.sampled_from([Colour.RED, Level.HIGH, Shade.DARK, Path("x"), Opaque(), Evil(), Opaque]),
    st.builds(Hostile),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    st.integers(min_value=2**63) | st.integers(max_value=-(2**63)),
    st.builds(SimpleLazyObject, st.just(_lazy_failure)),
    st.builds(Real, st.floats()),
)
ANYTHING = st.recursive(
    JSON | UNUSUAL,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.tuples(below, below),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(), st.none(), st.booleans()), below, max_size=3),
        st.builds(MappingProxyType, st.dictionaries(st.text(max_size=2), below, max_size=2)),
        st.builds(Address, below, below),
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_value_gives_json_and_what_is_json_already_does_not_change(value: Any) -> None:
    found, problems = coerce(value)
    line = dumps_plain(found)

    assert json.loads(line) == found
    orjson.loads(line)  # the lane's reader takes it as well
    assert coerce(found) == (found, [])
    assert all(item.rule in ("unserialisable", "not_finite") for item in problems)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.one_of(JSON, UNUSUAL)))
def test_no_key_is_ever_lost(value: dict[str, Any]) -> None:
    found, _ = coerce(value)

    assert list(found) == list(value)


def _nulls(value: Any) -> Iterator[None]:
    if value is None:
        yield None
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nulls(item)


@given(st.lists(st.one_of(st.floats(), st.integers(), UNUSUAL), max_size=8))
def test_every_null_that_was_none_is_a_violation(values: list[Any]) -> None:
    found, problems = coerce(values)

    assert len(list(_nulls(found))) == len(problems)
