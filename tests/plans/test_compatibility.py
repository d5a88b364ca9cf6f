"""Whether one schema takes all that another takes: said by rules, checked against every value of a small world."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from itly_core.plans.compatibility import Difference, Direction, compare, members, same
from itly_core.validation import compile_schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
WIDER, NARROWER, OTHER, UNDECIDABLE, SAME = (
    Direction.WIDER,
    Direction.NARROWER,
    Direction.OTHER,
    Direction.UNDECIDABLE,
    Direction.SAME,
)


def event(*, required: Iterable[str] = (), closed: bool = True, **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"$schema": DRAFT, "type": "object", "properties": properties}
    if required:
        schema["required"] = sorted(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


def about(old: Any, new: Any, **options: Any) -> list[tuple[str, str, Direction]]:
    """What there is to say of one property that was `old` and is `new`."""
    return [
        (".".join(found.path[1:]), found.rule, found.direction)
        for found in compare(event(p=old), event(p=new), **options)
    ]


# --- one rule after another -------------------------------------------------------------------------------------------

TABLE: dict[str, tuple[Any, Any, list[tuple[str, str, Direction]]]] = {
    "nothing": ({"type": "string"}, {"type": "string"}, []),
    "integer to number": ({"type": "integer"}, {"type": "number"}, [("", "type", WIDER)]),
    "number to integer": ({"type": "number"}, {"type": "integer"}, [("", "type", NARROWER)]),
    "another type": ({"type": "string"}, {"type": "integer"}, [("", "type", OTHER)]),
    "null as well": ({"type": "string"}, {"type": ["string", "null"]}, [("", "type", WIDER)]),
    "null no longer": ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, [("", "type", NARROWER)]),
    "the same union in another spelling": (
        {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": ["null", "string"]}, [],
    ),
    "anything at all": ({"type": "string"}, {}, [("", "type", WIDER)]),
    "a value more": ({"enum": ["a", "b"]}, {"enum": ["b", "a", "c"]}, [("", "enum", WIDER)]),
    "a value less": ({"enum": ["a", "b"]}, {"enum": ["a"]}, [("", "enum", NARROWER)]),
    "one value for another": ({"enum": ["a", "b"]}, {"enum": ["a", "c"]}, [("", "enum", OTHER)]),
    "null among the values": ({"enum": ["a"]}, {"enum": ["a", None]}, [("", "enum", WIDER)]),
    "a list of values": ({"type": "string"}, {"enum": ["a"]}, [("", "enum", NARROWER)]),
    "no list of values": ({"enum": ["a"]}, {"type": "string"}, [("", "enum", WIDER)]),
    "both boolean values": ({"type": "boolean"}, {"enum": [True, False]}, []),
    "1 and 1.0 and true": ({"enum": [1, True]}, {"enum": [True, 1.0]}, []),
    "another constant": ({"const": 4}, {"const": 5}, [("", "enum", OTHER)]),
    "a value that a limit forbids anyway": ({"enum": [1, 9], "maximum": 5}, {"enum": [1]}, []),
    "a lower minimum": ({"type": "integer", "minimum": 2}, {"type": "integer", "minimum": 1}, [("", "minimum", WIDER)]),
    "a higher minimum": ({"type": "integer"}, {"type": "integer", "minimum": 1}, [("", "minimum", NARROWER)]),
    "an exclusive limit that is the same": (
        {"type": "integer", "minimum": 1}, {"type": "integer", "exclusiveMinimum": 0}, [],
    ),
    "an exclusive limit": (
        {"type": "number", "maximum": 1}, {"type": "number", "exclusiveMaximum": 1}, [("", "exclusiveMaximum", NARROWER)],
    ),
    "a limit for another type": ({"type": "string", "minimum": 1}, {"type": "string", "minimum": 2}, []),
    "a length": ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 9}, [("", "maxLength", WIDER)]),
    "a length of nothing": ({"type": "string"}, {"type": "string", "minLength": 0}, []),
    "a factor of the factor": (
        {"type": "integer", "multipleOf": 6}, {"type": "integer", "multipleOf": 3}, [("", "multipleOf", WIDER)],
    ),
    "a fraction of the factor": (
        {"type": "number", "multipleOf": 0.3}, {"type": "number", "multipleOf": 0.1}, [("", "multipleOf", WIDER)],
    ),
    "a pattern": ({"type": "string"}, {"type": "string", "pattern": "^a"}, [("", "pattern", NARROWER)]),
    "no pattern": ({"type": "string", "pattern": "^a"}, {"type": "string"}, [("", "pattern", WIDER)]),
    "another pattern": (
        {"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}, [("", "pattern", UNDECIDABLE)],
    ),
    "a format that nobody checks": ({"type": "string"}, {"type": "string", "format": "email"}, [("", "format", SAME)]),
    "a description": ({"description": "x"}, {"description": "y"}, [("", "description", SAME)]),
    "a mark of personal data": ({}, {"x-pii": "email"}, [("", "x-pii", SAME)]),
    "items": (
        {"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "string", "maxLength": 3}},
        [("[]", "maxLength", NARROWER)],
    ),
    "fewer items": ({"type": "array"}, {"type": "array", "maxItems": 3}, [("", "maxItems", NARROWER)]),
    "different items": ({"type": "array"}, {"type": "array", "uniqueItems": True}, [("", "uniqueItems", NARROWER)]),
    "a property inside": (
        event(city={"type": "string"}), event(city={"type": "string"}, zip={"type": "string"}), [("zip", "added", WIDER)],
    ),
    "values of a map": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        [("*", "type", OTHER)],
    ),
    "a map that is open": (
        {"type": "object", "additionalProperties": {"type": "integer"}}, {"type": "object"},
        [("*", "additionalProperties", WIDER)],
    ),
    "a map that is allowed": (
        event(), {**event(), "additionalProperties": {"type": "integer"}}, [("", "additionalProperties", WIDER)],
    ),
    "a property that a rule held for": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"n": {"type": "number"}}, "additionalProperties": {"type": "integer"}},
        [("n", "added", SAME), ("n", "type", WIDER)],
    ),
    "a property that a rule holds for from now on": (
        {"type": "object", "properties": {"n": {"type": "number"}}, "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [("n", "removed", SAME), ("n", "type", NARROWER)],
    ),
    "unevaluated is additional where nothing else evaluates": (
        {"type": "object", "unevaluatedProperties": False}, {"type": "object", "additionalProperties": False}, [],
    ),
    "alternatives that share a type": (
        {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "pattern": "x"}]},
        {"oneOf": [{"type": "string", "maxLength": 4}, {"type": "string", "pattern": "x"}]},
        [("", "oneOf", UNDECIDABLE)],
    ),
    "alternatives that share no type": (
        {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
        {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 4}]},
        [("", "maxLength", WIDER)],
    ),
    "alternatives that are values": ({"oneOf": [{"const": "a"}, {"const": "b"}]}, {"enum": ["a", "b"]}, []),
    "a condition": (
        {"type": "string"}, {"type": "string", "if": {"minLength": 2}, "then": {"maxLength": 1}},
        [("", "if", UNDECIDABLE), ("", "then", UNDECIDABLE)],
    ),
    "no condition": ({"type": "string", "not": {"const": "a"}}, {"type": "string"}, [("", "not", WIDER)]),
    "a condition beside what is decidable": (
        {"type": "string", "not": {"const": "a"}}, {"type": "string", "not": {"const": "a"}, "maxLength": 2},
        [("", "maxLength", NARROWER)],
    ),
    "parts that hold together": (
        {"allOf": [{"type": "string"}, {"maxLength": 3}]}, {"type": "string", "maxLength": 3}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), TABLE.values(), ids=TABLE.keys())
def test_one_change_is_one_difference(old: Any, new: Any, said: list[tuple[str, str, Direction]]) -> None:
    assert about(old, new) == said


def test_formats_are_rules_where_the_plan_says_so() -> None:
    assert about({"type": "string"}, {"type": "string", "format": "email"}, asserts_formats=True) == [
        ("", "format", NARROWER)
    ]


def only(old: Any, new: Any) -> Difference:
    (found,) = compare(old, new)
    return found


STRING = {"type": "string"}


def test_a_required_property_more_spoils_all_that_a_closed_object_held() -> None:
    found = only(event(), event(p=STRING, required=["p"]))

    assert (found.rule, found.direction, found.message, found.spoils_all) == (
        "added",
        OTHER,
        "added, required",
        True,
    )
    assert not only(event(closed=False), event(p=STRING, required=["p"], closed=False)).spoils_all


def test_what_changed_inside_is_told_outside_too() -> None:
    found = compare(event(p=event()), event(p=event(closed=False), closed=False))

    assert [(one.path, one.rule) for one in found] == [(("p",), "additionalProperties"), ((), "additionalProperties")]


def test_what_is_inside_something_optional_spoils_not_all() -> None:
    def plan(inner: dict[str, Any], *required: str, kind: Any = "object") -> dict[str, Any]:
        return event(p={**inner, "type": kind}, required=required)

    inner, more = event(), event(q=STRING, required=["q"])

    assert only(plan(inner, "p"), plan(more, "p")).spoils_all
    assert not only(plan(inner), plan(more)).spoils_all
    assert not only(plan(inner, "p", kind=["object", "null"]), plan(more, "p", kind=["object", "null"])).spoils_all


def test_required_and_optional_are_told_apart_from_coming_and_going() -> None:
    optional, required = event(p=STRING), event(p=STRING, required=["p"])

    assert (only(optional, required).message, only(optional, required).direction) == ("optional -> required", NARROWER)
    assert (only(required, optional).message, only(required, optional).direction) == ("required -> optional", WIDER)
    assert (only(required, event()).message, only(required, event()).spoils_all) == ("removed", True)
    assert not only(optional, event()).spoils_all


def test_an_open_object_takes_what_is_not_listed_any_more() -> None:
    assert only(event(p=STRING, closed=False), event(closed=False)).direction is WIDER
    assert only(event(), event(closed=False)).rule == "additionalProperties"


def test_references_are_seen_through_each_time_they_are_used() -> None:
    def plan(limit: int) -> dict[str, Any]:
        money = event(amount={"type": "integer", "maximum": limit})
        return {**event(price={"$ref": "#/$defs/M"}, tax={"$ref": "#/$defs/M"}), "$defs": {"M": money}}

    assert [found.path for found in compare(plan(5), plan(9))] == [("price", "amount"), ("tax", "amount")]
    assert compare(plan(5), event(price=plan(5)["$defs"]["M"], tax=plan(5)["$defs"]["M"])) == []


def test_a_schema_that_contains_itself_ends() -> None:
    def tree(**more: Any) -> dict[str, Any]:
        node = event(children={"type": "array", "items": {"$ref": "#/$defs/Node"}}, **more)
        return {**event(root={"$ref": "#/$defs/Node"}), "$defs": {"Node": node}}

    assert compare(tree(), tree()) == []
    assert compare(tree(), tree(name=STRING))[0].path == ("root", "name")


def test_drafts_are_read_as_they_mean_it() -> None:
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True, "const": 3}

    assert compare(draft_4, {"$schema": DRAFT, "exclusiveMinimum": 1}) == []
    found = compare({**event(p={"const": 3}), "$schema": draft_4["$schema"]}, event(p={"const": 3}))
    assert {(one.path, one.direction) for one in found} == {(("p",), NARROWER)}


# --- every value of a small world -------------------------------------------------------------------------------------

LIMITS = st.integers(0, 2)
VALUES = ["", "a", "bc", None, True, 1, 2.5]


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


def both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {**one, **other}


LEAVES = st.one_of(
    st.builds(both, st.just({"type": "string"}), some(minLength=LIMITS, maxLength=st.integers(1, 2))),
    st.builds(both, st.just({"type": "integer"}), some(minimum=LIMITS, exclusiveMinimum=LIMITS)),
    st.builds(both, st.just({"type": "integer"}), some(maximum=LIMITS)),
    st.builds(both, st.just({"type": "number"}), some(minimum=LIMITS, exclusiveMaximum=LIMITS)),
    st.builds(both, st.just({"type": ["string", "null"]}), some(maxLength=st.integers(1, 2))),
    st.builds(both, st.just({"type": ["integer", "boolean"]}), some(minimum=LIMITS, multipleOf=st.integers(1, 2))),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, {"const": "a"}, {"const": 1}]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.just({"$ref": "#/$defs/Word"}),
    st.just({"anyOf": [{"$ref": "#/$defs/Word"}, {"type": "null"}]}),
    st.just({"allOf": [{"type": ["string", "integer"]}, {"maxLength": 1}]}),
)
ITEMS = st.one_of(
    LEAVES,
    st.builds(
        lambda items, more: {"type": "array", "items": items, **more},
        LEAVES,
        some(minItems=LIMITS, maxItems=st.integers(1, 2), uniqueItems=st.booleans()),
    ),
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(["a", "b"]), ITEMS, max_size=2))
    required = draw(st.sets(st.sampled_from(["a", "b"])).map(lambda names: names & properties.keys()))
    word = draw(st.sampled_from([{"type": "string"}, {"type": "string", "maxLength": 1}, {"enum": ["a", "bc"]}]))
    for definition in properties.values():  # a property that nothing can be right for is another story
        check = compile_schema({"$schema": DRAFT, "$defs": {"Word": word}, "allOf": [definition]})
        assume(any(map(check.is_valid, WORLD)))
    return {**event(required=required, **properties), "$defs": {"Word": word}}


LEAF_VALUES: list[Any] = [
    "",
    "a",
    "b",
    "bc",
    "cd",
    "def",
    "efg",
    None,
    True,
    False,
    -1,
    -0.5,
    0,
    0.5,
    1,
    1.5,
    2,
    2.5,
    3,
]
LISTS: list[Any] = [[value] for value in LEAF_VALUES] + [
    list(pair) for pair in itertools.product(LEAF_VALUES, repeat=2)
]
WORLD: list[Any] = [*LEAF_VALUES, {}, [], *LISTS, [0, 0, 1]]


def verdicts(schema: dict[str, Any], name: str) -> list[bool]:
    """Whether one property may be absent, and each value of the world."""
    definition = schema["properties"].get(name)
    check = compile_schema({"$schema": DRAFT, "$defs": schema["$defs"], "allOf": [definition or {}]})
    return [name not in schema.get("required", [])] + [
        definition is not None and check.is_valid(value) for value in WORLD
    ]


def overall(directions: Iterable[Direction]) -> Direction:
    """The direction of several differences together."""
    found = set(directions) - {Direction.SAME}
    if not found:
        return Direction.SAME
    if found == {Direction.WIDER}:
        return Direction.WIDER
    if found & {Direction.OTHER} or found >= {Direction.NARROWER, Direction.WIDER}:
        return Direction.OTHER
    return Direction.NARROWER if Direction.NARROWER in found else Direction.UNDECIDABLE


def loses_any(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether an object of the properties a and b was right and is not. Each is right or not whatever the other is."""
    return any(
        was and not now for name in "ab" for was, now in zip(verdicts(old, name), verdicts(new, name), strict=True)
    )


@given(events(), events())
@example(event(a={"enum": ["a", 1]}) | {"$defs": {"Word": {}}}, event(a={"type": "string"}) | {"$defs": {"Word": {}}})
def test_the_direction_holds_for_every_value_of_a_small_world(old: dict[str, Any], new: dict[str, Any]) -> None:
    loses, gains = loses_any(old, new), loses_any(new, old)
    direction = overall(found.direction for found in compare(old, new))

    assert loses == (direction in (NARROWER, OTHER)), (direction, compare(old, new))
    assert gains if direction is WIDER else direction is not SAME or not gains, (direction, compare(old, new))


def test_members_are_seen_through_references_and_parts() -> None:
    parts = {"allOf": [event(p={"$ref": "#/$defs/T"}, required=["p"])], "$defs": {"T": STRING}}
    other = event(p={"$ref": "#/$defs/T", "description": "x"}) | {"$defs": {"T": STRING}}

    assert members({"$schema": DRAFT, **parts}).required == {"p"}
    assert members({"$schema": DRAFT, **parts}).definitions == members(other).definitions
    assert members(event()).additional != members(event(closed=False)).additional


def test_numbers_that_are_out_of_range_are_compared() -> None:
    big = {"type": "integer", "maximum": 10**400}

    assert about({**big, "enum": [10**400, 1]}, {**big, "enum": [1]})[0][1:] == ("enum", NARROWER)
    assert about({"maximum": 1}, {"maximum": float("inf")}) == [("", "maximum", WIDER)]


def test_equality_is_that_of_json() -> None:
    assert same([1, {"a": None}], [1.0, {"a": None}])
    assert not same(True, 1)
    assert not same({"a": 1}, {"a": 1, "b": 2})
