"""What changed between two plans and whom it breaks, one change after another, and what holds for any two plans."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from itly_core.codegen import outline
from itly_core.plans import Plan
from itly_core.plans import diff_report as report
from itly_core.plans.diff import Diff, Line, Rename, Verdict, View, diff
from itly_core.plans.providers import itly
from itly_core.plans.raw import Raw
from itly_core.plans.snapshot import Snapshot, of_package, of_plan
from itly_core.plans.versions import Bump, SchemaVer, advice

B, U, C = Verdict.BREAKING, Verdict.UNDECIDABLE, Verdict.COMPATIBLE
MAJOR, MINOR, PATCH, NONE = Bump.MAJOR, Bump.MINOR, Bump.PATCH, Bump.NONE
Document = dict[str, Any]


def parsed(document: Document) -> Plan:
    return itly.parse([Raw("plan.json", "plan", json.dumps({"itly": 1, **document}).encode())])


def compared(old: Document, new: Document) -> Diff:
    return diff(of_plan(parsed(old)), of_plan(parsed(new)))


def event(old: Any, new: Any) -> Diff:
    """Of two plans of one event."""
    return compared({"events": {"Order Placed": old}}, {"events": {"Order Placed": new}})


def props(old: Any, new: Any) -> Diff:
    return event({"properties": old}, {"properties": new})


def open_props(old: Any, new: Any) -> Diff:
    more = {"additional_properties": True}
    return event({"properties": old, **more}, {"properties": new, **more})


def sections(kind: str, old: Any, new: Any) -> Diff:
    return compared({kind: old} if old is not None else {}, {kind: new} if new is not None else {})


def said(found: Diff) -> list[tuple[str, str, str, Verdict, Verdict, Bump]]:
    return [(line.subject, line.change, line.message, line.callers, line.consumers, line.bump) for line in found.lines]


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
MUST = {"type": "string", "required": True}
CALLED = "event added; its function is order_placed"
GONE = "event removed; its function is order_placed"
E, E_P = "Order Placed", "Order Placed: p"
FREE = "until now anything was right, and whether what is sent fits is not for a comparison to say"

TABLE: dict[str, tuple[Diff | Callable[[], Diff], list[tuple[str, str, str, Verdict, Verdict, Bump]]]] = {
    "nothing": (lambda: props({"p": TEXT}, {"p": TEXT}), []),
    # events
    "an event more": (
        lambda: compared({"events": {}}, {"events": {E: {}}}), [(E, "added", CALLED, C, C, MINOR)],
    ),
    "an event less": (
        lambda: compared({"events": {E: {}}}, {"events": {}}), [(E, "removed", GONE, B, B, MAJOR)],
    ),
    "an event that is marked as removed": (
        lambda: event({}, {"status": "removed"}), [(E, "removed", GONE, B, B, MAJOR)],
    ),
    "an event that is deprecated": (
        lambda: event({}, {"status": "deprecated"}),
        [(E, "text", "status active -> deprecated; type checkers warn of each call", C, C, MINOR)],
    ),
    "an event that is no draft any more": (
        lambda: event({"status": "draft"}, {}), [(E, "text", "status draft -> active", C, C, PATCH)],
    ),
    "an event's version": (
        lambda: event({"version": "1.0.0"}, {"version": "1.0.1"}), [(E, "text", "version 1.0.0 -> 1.0.1", C, C, NONE)],
    ),
    "an event's owner": (
        lambda: event({"owner": "a"}, {"owner": "b"}), [(E, "text", "owner a -> b", C, C, PATCH)],
    ),
    "an event's description": (
        lambda: event({"description": "x"}, {"description": "y"}), [(E, "text", "description changed", C, C, PATCH)],
    ),
    "an event's tags": (
        lambda: event({}, {"tags": ["a", "b"]}), [(E, "text", "tags none -> a, b", C, C, PATCH)],
    ),
    "another function": (
        lambda: event({}, {"python_name": "ordered"}),
        [
            (E, "changed", "function order_placed -> ordered", B, C, MAJOR),
            (E, "changed", "class OrderPlaced -> Ordered", B, C, MAJOR),
        ],
    ),
    "an event whose function is another's from now on": (
        lambda: compared({"events": {"order placed": {}}}, {"events": {"Order-Placed": {}}}),
        [
            ("Order-Placed", "added", CALLED, C, C, MINOR),
            ("order placed", "removed", f"{GONE}, which is that of Order-Placed from now on", B, B, MAJOR),
        ],
    ),
    # properties
    "an optional property more": (
        lambda: props({}, {"p": TEXT}), [(E_P, "added", "added, optional", C, C, MINOR)],
    ),
    "a required property more": (
        lambda: props({}, {"p": MUST}), [(E_P, "added", "added, required", B, C, MAJOR)],
    ),
    "a property less": (
        lambda: props({"p": TEXT}, {}), [(E_P, "removed", "removed", B, B, MAJOR)],
    ),
    "a property less in an open event": (
        lambda: open_props({"p": TEXT}, {}),
        [(E_P, "removed", "removed; the object is open and still takes it", C, B, MINOR)],
    ),
    "a property less in an open event, whose argument is called otherwise": (
        lambda: open_props({"Item ID": TEXT}, {}),
        [(
            "Order Placed: Item ID", "removed",
            "removed; the object is open and still takes it, but not by the name of its argument, item_id", B, B, MAJOR,
        )],
    ),
    "a property that must be there": (
        lambda: props({"p": TEXT}, {"p": MUST}), [(E_P, "tightened", "optional -> required", B, C, MAJOR)],
    ),
    "a property that may be left out": (
        lambda: props({"p": MUST}, {"p": TEXT}), [(E_P, "widened", "required -> optional", C, B, MINOR)],
    ),
    "a wider type": (
        lambda: props({"p": NUMBER}, {"p": {"type": "number"}}), [(E_P, "widened", "integer -> number", C, B, MINOR)],
    ),
    "a narrower type": (
        lambda: props({"p": {"type": "number"}}, {"p": NUMBER}), [(E_P, "tightened", "number -> integer", B, C, MAJOR)],
    ),
    "another type": (
        lambda: props({"p": TEXT}, {"p": NUMBER}), [(E_P, "changed", "string -> integer", B, B, MAJOR)],
    ),
    "null as well": (
        lambda: props({"p": TEXT}, {"p": {**TEXT, "nullable": True}}),
        [(E_P, "widened", "string -> string or null", C, B, MINOR)],
    ),
    "a value more": (
        lambda: props({"p": {"enum": ["a"]}}, {"p": {"enum": ["a", "b"]}}),
        [(E_P, "widened", 'values added: "b"', C, B, MINOR)],
    ),
    "a value less": (
        lambda: props({"p": {"enum": ["a", "b"]}}, {"p": {"enum": ["a"]}}),
        [(E_P, "tightened", 'values removed: "b"', B, C, MAJOR)],
    ),
    "a tighter limit": (
        lambda: props({"p": {**NUMBER, "minimum": 1}}, {"p": {**NUMBER, "minimum": 2}}),
        [(E_P, "tightened", "minimum 1 -> 2", B, C, MAJOR)],
    ),
    "a looser limit": (
        lambda: props({"p": {**TEXT, "maxLength": 1}}, {"p": TEXT}),
        [(E_P, "widened", "maxLength 1 -> none", C, B, MINOR)],
    ),
    "a property's description": (
        lambda: props({"p": TEXT}, {"p": {**TEXT, "description": "x"}}),
        [(E_P, "text", "description added", C, C, PATCH)],
    ),
    "properties that are not listed": (
        lambda: event({}, {"additional_properties": True}),
        [(E, "widened", "properties that are not listed: refused -> allowed", C, C, MINOR)],
    ),
    "properties that are not listed, no longer": (
        lambda: event({"additional_properties": True}, {}),
        [(E, "tightened", "properties that are not listed: allowed -> refused", B, C, MAJOR)],
    ),
    "the values of a map": (
        lambda: event({"additional_properties": NUMBER}, {"additional_properties": True}),
        [("Order Placed: *", "widened", "properties that are not listed: of one kind only -> allowed", C, B, MINOR)],
    ),
    "something inside": (
        lambda: props({"p": {"properties": {"q": TEXT}}}, {"p": {"properties": {"q": TEXT, "r": MUST}}}),
        [("Order Placed: p.r", "added", "added, required", B, C, MAJOR)],
    ),
    "something inside a list": (
        lambda: props({"p": {"type": "array", "items": NUMBER}}, {"p": {"type": "array", "items": {"type": "number"}}}),
        [("Order Placed: p[]", "widened", "integer -> number", C, B, MINOR)],
    ),
    "a pattern": (
        lambda: props({"p": {**TEXT, "pattern": "^a"}}, {"p": {**TEXT, "pattern": "^b"}}),
        [(E_P, "undecidable", "pattern changed: ^a -> ^b", U, U, MAJOR)],
    ),
    "a condition": (
        lambda: event({"schema": {"type": "object"}}, {"schema": {"type": "object", "not": {"required": ["p"]}}}),
        [(E, "undecidable", "`not` added: what that refuses is not for a comparison to say", U, U, MAJOR)],
    ),
    # what the package fills in
    "a constant more": (
        lambda: props({}, {"p": {"const": 1, "required": True}}), [(E_P, "added", "added, required", C, C, MINOR)],
    ),
    "another constant": (
        lambda: props({"p": {"const": 1}}, {"p": {"const": 2}}),
        [(E_P, "changed", "values removed: 1; added: 2", C, B, MINOR)],
    ),
    "a constant less": (
        lambda: props({"p": {"const": 1}}, {}), [(E_P, "removed", "removed", C, B, MINOR)],
    ),
    "a constant that is asked for from now on": (
        lambda: props({"p": {"const": 1, "required": True}}, {"p": {"enum": [1, 2], "required": True}}),
        [
            (E_P, "changed", "is an argument from now on, a required one: it was filled in before", B, C, MAJOR),
            (E_P, "widened", "values added: 2", C, B, MINOR),
        ],
    ),
    "a constant that may be given from now on": (
        lambda: props({"p": {"const": 1}}, {"p": {"enum": [1, 2]}}),
        [
            (E_P, "changed", "is an argument from now on: it was filled in before", C, C, PATCH),
            (E_P, "widened", "values added: 2", C, B, MINOR),
        ],
    ),
    "an argument that is a constant from now on": (
        lambda: props({"p": {"enum": [1, 2]}}, {"p": {"const": 1}}),
        [
            (E_P, "changed", "no argument any more: filled from its constant", B, C, MAJOR),
            (E_P, "tightened", "values removed: 2", B, C, MAJOR),
        ],
    ),
    "a user id that must be there": (
        lambda: props({}, {"user_id": MUST}),
        [("Order Placed: user_id", "added", "added, required", U, C, MAJOR)],
    ),
    "a user id less": (
        lambda: props({"user_id": MUST}, {}), [("Order Placed: user_id", "removed", "removed", C, B, MINOR)],
    ),
    "a property that is the user id from now on": (
        lambda: event({"properties": {"p": TEXT}}, {"properties": {"p": TEXT}, "identity": {"user_id": "p"}}),
        [(E_P, "changed", "no argument any more: filled from the call's user id", B, C, MAJOR)],
    ),
    "an argument that must be called otherwise": (
        lambda: props({"item_id": TEXT, "Item ID": TEXT}, {"Item ID": TEXT}),
        [
            ("Order Placed: Item ID", "changed", "argument item_id_2e5ffe -> item_id", B, C, MAJOR),
            ("Order Placed: item_id", "removed", "removed", B, B, MAJOR),
        ],
    ),
    # sections
    "a context": (
        lambda: sections("context", None, {"properties": {"p": TEXT}}), [("(context)", "added", "added", C, C, MINOR)],
    ),
    "a context that must be given": (
        lambda: sections("context", None, {"properties": {"p": MUST}}),
        [("(context)", "added", "added; required: p", B, C, MAJOR)],
    ),
    "no context": (
        lambda: sections("context", {"properties": {"p": TEXT}}, None), [("(context)", "removed", "removed", B, B, MAJOR)],
    ),
    "something in the context": (
        lambda: sections("context", {}, {"properties": {"p": MUST}}),
        [("(context): p", "added", "added, required", B, C, MAJOR)],
    ),
    "traits": (
        lambda: sections("identify", None, {"properties": {"p": TEXT}}),
        [("(identify)", "added", f"added; {FREE}", U, C, MAJOR)],
    ),
    "traits that must be given": (
        lambda: sections("group", None, {"properties": {"p": MUST}}),
        [("(group)", "added", "added; required: p", B, C, MAJOR)],
    ),
    "a section that says nothing": (
        lambda: sections("page", None, {"additional_properties": True}), [("(page)", "added", "added", C, C, MINOR)],
    ),
    "no traits": (
        lambda: sections("identify", {"properties": {"p": TEXT}}, None),
        [("(identify)", "removed", "removed; anything is right from now on", C, B, MINOR)],
    ),
    "no traits, though arguments are called otherwise": (
        lambda: sections("identify", {"properties": {"First Name": TEXT}}, None),
        [(
            "(identify)", "removed",
            "removed; anything is right from now on, but arguments are no longer sent as First Name", B, B, MAJOR,
        )],
    ),
    # the plan
    "the plan's name": (
        lambda: compared({"plan": {"name": "A"}}, {"plan": {"name": "B"}}), [("plan", "text", "name A -> B", C, C, PATCH)],
    ),
    "the plan's owner": (
        lambda: compared({}, {"plan": {"owner": "B"}}), [("plan", "text", "owner none -> B", C, C, PATCH)],
    ),
    "formats that become a rule": (
        lambda: compared(
            {"events": {E: {"properties": {"p": {**TEXT, "format": "email"}}}}},
            {"defaults": {"formats": "strict"}, "events": {E: {"properties": {"p": {**TEXT, "format": "email"}}}}},
        ),
        [("plan", "tightened", "formats warn -> strict: formats are a rule from now on", B, C, MAJOR)],
    ),
    "formats that are no rule any more": (
        lambda: compared(
            {"defaults": {"formats": "strict"}, "events": {E: {"properties": {"p": {**TEXT, "format": "email"}}}}},
            {"events": {E: {"properties": {"p": {**TEXT, "format": "email"}}}}},
        ),
        [("plan", "widened", "formats strict -> warn: formats are no rule any more", C, B, MINOR)],
    ),
    "formats that nothing has": (
        lambda: compared({}, {"defaults": {"formats": "strict"}}), [("plan", "text", "formats warn -> strict", C, C, PATCH)],
    ),
    "a format where formats are a rule": (
        lambda: compared(
            {"defaults": {"formats": "strict"}, "events": {E: {"properties": {"p": TEXT}}}},
            {"defaults": {"formats": "strict"}, "events": {E: {"properties": {"p": {**TEXT, "format": "email"}}}}},
        ),
        [(E_P, "tightened", "format added: email", B, C, MAJOR)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "lines"), TABLE.values(), ids=TABLE.keys())
def test_each_change_is_named_and_judged(found: Callable[[], Diff], lines: list[Any]) -> None:
    assert said(found()) == lines


def test_breaking_lines_come_first_callers_before_consumers() -> None:
    found = props(
        {"a": TEXT, "b": {"enum": [1]}, "c": TEXT, "d": {**TEXT, "pattern": "a"}, "e": TEXT},
        {"a": {**TEXT, "description": "x"}, "b": {"enum": [1, 2]}, "c": MUST, "d": {**TEXT, "pattern": "b"}},
    )

    assert [line.path[0] for line in found.seen()] == ["e", "c", "b", "d", "a"]
    assert [line.path[0] for line in found.seen(View.CALLERS)] == ["e", "c", "d", "b", "a"]
    assert [line.path[0] for line in found.seen(View.CONSUMERS)] == ["e", "b", "d", "c", "a"]
    assert found.counts(View.CALLERS) == {"breaking": 2, "undecidable": 1, "compatible": 2}


# --- possible renames -------------------------------------------------------------------------------------------------


def renames(old: Document, new: Document) -> list[Rename]:
    return list(compared({"events": old}, {"events": new}).renames)


ITEM = {"properties": {"sku": MUST, "quantity": NUMBER}}
RENAMES: dict[str, tuple[Document, Document, list[tuple[str, str, str]]]] = {
    "the same properties": ({"Bought": ITEM}, {"Order Placed": ITEM}, [("Bought", "Order Placed", "the same properties")]),
    "the same name in another spelling": (
        {"Order Placed": {}}, {"order_placed": {}},
        [("Order Placed", "order_placed", "names that differ in spelling only, the same function")],
    ),
    "a similar name": (
        {"Order Place": ITEM}, {"Order Placed": {}}, [("Order Place", "Order Placed", "similar names")],
    ),
    "the nearest of several": (
        {"Item Bought in Cart": ITEM}, {"Item Bought": ITEM, "Signed Up": ITEM},
        [("Item Bought in Cart", "Item Bought", "the same properties")],
    ),
    "no properties are no reason": ({"Bought": {}}, {"Signed In": {}}, []),
    "an event that stays is none": ({"Bought": ITEM, "Sold": ITEM}, {"Sold": ITEM}, []),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "named"), RENAMES.values(), ids=RENAMES.keys())
def test_possible_renames_are_named(old: Document, new: Document, named: list[tuple[str, str, str]]) -> None:
    assert [(one.old, one.new, one.reason) for one in renames(old, new)] == named


def test_a_possible_rename_still_is_one_thing_gone_and_one_come() -> None:
    found = props({"coupon": MUST}, {"coupon_code": MUST})

    assert found.renames == (
        Rename(kind="event", name=E, old="coupon", new="coupon_code", reason="the same definition"),
    )
    assert [(line.change, line.callers) for line in found.lines] == [("removed", B), ("added", B)]


def test_properties_of_other_definitions_are_no_renames() -> None:
    assert props({"coupon": TEXT}, {"total": NUMBER}).renames == ()
    assert [one.new for one in props({"couponCode": TEXT}, {"coupon_code": NUMBER, "x": NUMBER}).renames] == [
        "coupon_code"
    ]


def test_an_event_and_a_section_of_one_name_are_two_things() -> None:
    found = compared(
        {"context": {"properties": {"a": TEXT}}, "events": {"context": {"properties": {"b": NUMBER}}}},
        {"context": {"properties": {"c": TEXT}}, "events": {"context": {"properties": {"d": NUMBER}}}},
    )

    assert [(one.kind, one.name, one.old, one.new) for one in found.renames] == [
        ("context", "", "a", "c"),
        ("event", "context", "b", "d"),
    ]


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "bump", "suggested", "is_enough"),
    [
        ("1.2.3", "1.2.3", NONE, "1.2.3", True),
        ("1.2.3", "1.2.2", NONE, "1.2.3", False),
        ("1.2.3", "1.2.4", PATCH, "1.2.4", True),
        ("1.2.3", "1.2.9", MINOR, "1.3.0", False),
        ("1.2.3", "1.10.0", MINOR, "1.3.0", True),
        ("1.2.3", "1.9.9", MAJOR, "2.0.0", False),
        ("v1.2.3", "v2.0.0-rc.1", MAJOR, "v2.0.0", True),
        ("1.2.3", "", MAJOR, "2.0.0", None),
        ("1.2.3", "latest", MINOR, "1.3.0", None),
        ("8f2a6c", "9e1b7d", MAJOR, "", None),
        ("7", "8", MAJOR, "", None),
        ("1-0-2", "1-0-3", MAJOR, "1-1-0", False),
        ("1-0-2", "2-0-0", MAJOR, "1-1-0", True),
    ],
)
def test_the_least_version_that_is_enough(old: str, new: str, bump: Bump, suggested: str, is_enough: bool) -> None:
    found = advice("", old, new, bump, SchemaVer.REVISION)

    assert (found.suggested, found.is_enough) == (suggested, is_enough)


def test_the_versions_of_the_plan_and_of_each_changed_event_are_looked_at() -> None:
    def plan(version: str, **events: Any) -> Document:
        return {"plan": {"version": version}, "events": events}

    found = compared(
        plan("1.0.0", A={"version": "1.0.0", "properties": {"p": TEXT}}, B={"version": "3.0.0"}, C={"version": "1-0-0"}),
        plan("1.1.0", A={"version": "1.1.0", "properties": {}}, B={"version": "3.0.0"}, C={"version": "1-0-1", "properties": {"p": TEXT}}),
    )  # fmt: skip

    assert [(one.event, one.bump, one.suggested, one.is_enough) for one in found.versions] == [
        ("", MAJOR, "2.0.0", False),
        ("A", MAJOR, "2.0.0", False),
        ("C", MINOR, "1-0-1", True),
    ]
    assert found.is_too_low


def test_versions_out_of_a_registry_are_raised_as_there() -> None:
    registry = {"old": "1.0.2", "new": "1.0.3", "bump": MINOR, "schemaver": SchemaVer.ADDITION}

    assert advice("A", **registry, has_dots=True).is_enough
    assert advice("A", **registry).suggested == "1.1.0"
    before, after = copy.deepcopy(package(SHOP)), package(SHOP)
    after["events"][E]["schema"]["properties"]["more"] = TEXT
    for one, version in ((before, "1.0.0"), (after, "1.0.1")):
        one["events"][E]["version"] = version
        one["origin"] = {"provider": "iglu"}
    assert [found.is_enough for found in diff(of_package(before), of_package(after)).versions] == [False, True]


SCHEMAVERS = {
    "addition": ({}, {"p": TEXT}),
    "revision": ({"p": TEXT}, {"p": MUST}),
    "model": ({}, {"p": MUST}),
    "": ({"p": TEXT}, {"p": {**TEXT, "description": "x"}}),
}


@pytest.mark.parametrize(("word", "pair"), SCHEMAVERS.items())
def test_schemaver_says_whether_old_data_is_still_valid(word: str, pair: tuple[Any, Any]) -> None:
    assert [line.schemaver.word for line in props(*pair).lines] == [word]


# --- packages ---------------------------------------------------------------------------------------------------------

SHOP: Document = {
    "plan": {"name": "Shop", "version": "1.0.0", "owner": "me"},
    "context": {"properties": {"app": MUST}},
    "events": {
        E: {"description": "x", "owner": "me", "properties": {"total": MUST, "rev": {"const": 1}, "Item ID": TEXT}}
    },
}


def package(document: Document) -> Document:
    """What `_plan.json` says."""
    return json.loads(json.dumps(outline(parsed(document))))  # type: ignore[no-any-return]


def test_a_package_is_compared_as_the_plan_it_was_made_of_but_for_what_it_does_not_hold() -> None:
    other = copy.deepcopy(SHOP)
    other["events"][E] |= {"description": "y", "owner": "you", "python_name": "ordered"}
    other["events"][E]["properties"]["total"] = NUMBER
    other["plan"]["owner"] = "you"
    by_plan = compared(SHOP, other)
    by_package = diff(of_package(package(SHOP)), of_plan(parsed(other)))

    assert {line.rule for line in by_plan.lines} - {line.rule for line in by_package.lines} == {"owner", "description"}
    assert [line for line in by_plan.lines if line.rule not in ("owner", "description")] == list(by_package.lines)
    assert diff(of_package(package(SHOP)), of_plan(parsed(SHOP))).lines == ()


def test_a_package_of_an_older_shape_is_compared_as_far_as_it_goes() -> None:
    older = package(SHOP)
    for name in ("function", "class", "arguments", "constants", "user_id", "nullable"):
        del older["events"][E][name]
    del older["formats"], older["context"]["arguments"]

    assert diff(of_package(older), of_plan(parsed(SHOP))).lines == ()


def test_true_is_not_one() -> None:
    (line,) = props({"p": {"enum": [1, "a"]}}, {"p": {"enum": [True, "a"]}}).lines

    assert line.change == "changed"


def test_what_cannot_be_read_of_a_package_is_undecidable() -> None:
    edited = package(SHOP)
    edited["events"][E]["schema"]["properties"] = {"total": {"type": "text"}}

    (line,) = diff(of_package(edited), of_plan(parsed(SHOP))).lines
    assert (line.rule, line.callers, line.consumers) == ("schema", U, U)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.data())
def test_nothing_that_a_package_may_hold_fails(data: st.DataObject) -> None:
    edited = package(SHOP)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = edited
        while isinstance(place, dict) and place:
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                break
            place = place[key]
    old, new = of_package(edited), of_plan(parsed(SHOP))

    for found in (diff(old, new), diff(new, old), diff(old, old)):
        json.dumps(found.as_json())
        assert list(report.as_text(found)) is not None
        assert list(report.as_markdown(found))


def test_a_schema_deeper_than_python_goes_is_undecidable() -> None:
    deep: Any = {}
    for _ in range(3000):
        deep = {"properties": {"p": deep}}
    edited = package(SHOP)
    edited["events"][E]["schema"] = deep

    (line,) = diff(of_package(edited), of_plan(parsed(SHOP))).lines
    assert line.callers is U


# --- any two plans ----------------------------------------------------------------------------------------------------

SIMPLE = [
    TEXT, MUST, NUMBER, {"type": "number", "required": True}, {"type": "boolean"}, {"enum": ["a", "b"]},
    {"enum": ["a", "b", "c"], "required": True}, {**TEXT, "nullable": True}, {**NUMBER, "minimum": 1}, {**NUMBER, "minimum": 2},
    {"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER, "maxItems": 2}, {"properties": {"x": MUST}},
    {"properties": {"x": TEXT, "y": NUMBER}}, {"const": 3}, {"const": "c", "required": True},
]  # fmt: skip
PROPERTIES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "user_id", "Item ID"]), st.sampled_from(SIMPLE), max_size=4
)
SECTION = st.fixed_dictionaries({"properties": PROPERTIES}, optional={"owner": st.sampled_from(["x", "y"])})
PLANS = st.fixed_dictionaries(
    {
        "plan": st.just({"name": "Shop", "version": "1.2.3"}),
        "events": st.dictionaries(st.sampled_from(["A", "B", "Order Placed", "order_placed"]), SECTION, max_size=3),
    },
    optional={"context": SECTION, "identify": SECTION},
)


@settings(max_examples=40)
@given(PLANS)
def test_a_plan_is_no_different_from_itself_however_it_is_ordered(plan: Document) -> None:
    shuffled = {**plan, "events": dict(reversed(list(plan["events"].items())))}
    for entry in shuffled["events"].values():
        entry["properties"] = dict(reversed(list(entry["properties"].items())))

    found = compared(plan, shuffled)
    assert (found.lines, found.renames, found.bump) == ((), (), NONE)
    assert report.counts_text(found) == "no differences"


MIRRORED = {"added": "removed", "removed": "added", "widened": "tightened", "tightened": "widened"}


@settings(max_examples=40)
@given(PLANS, PLANS)
def test_the_way_back_is_the_mirror_image(old: Document, new: Document) -> None:
    def changes(lines: tuple[Line, ...]) -> set[tuple[Any, ...]]:
        return {(line.kind, line.name, line.path, line.change) for line in lines if line.rule != "argument"}

    there, back = compared(old, new), compared(new, old)

    assert changes(there.lines) == {(*place, MIRRORED.get(change, change)) for *place, change in changes(back.lines)}


@settings(max_examples=40)
@given(PLANS, PLANS)
def test_verdicts_bump_and_version_hang_together(old: Document, new: Document) -> None:
    found = compared(old, new)

    assert {line.bump is MAJOR for line in found.lines if line.callers is not C} <= {True}
    assert all(line.callers is C for line in found.lines if line.bump < MAJOR)
    assert all(line.consumers is C for line in found.lines if line.bump < MINOR)
    raised = compared(old, {**new, "plan": {"name": "Shop", "version": found.versions[0].suggested}})
    assert raised.versions[0].is_enough
    ranks = [[B, U, C].index(line.verdict(View.BOTH)) for line in found.seen()]
    assert ranks == sorted(ranks)


def edits(plan: Document, chance: random.Random) -> set[tuple[str, tuple[str, ...], str]]:
    """Change a plan here and there. What was done: event, path, change."""
    done: set[tuple[str, tuple[str, ...], str]] = set()
    for name in sorted(plan["events"]):
        if chance.random() < 0.2:
            del plan["events"][name]
            done.add((name, (), "removed"))
            continue
        properties = plan["events"][name]["properties"]
        for wire in sorted(properties):
            change = chance.choice(["", "", "removed", "required", "enum", "type"])
            entry = dict(properties[wire])
            if change == "removed":
                del properties[wire]
                done.add((name, (wire,), "removed"))
                continue
            if change == "required" and "const" not in entry:
                done.add((name, (wire,), "widened" if entry.pop("required", False) else "tightened"))
                entry |= {} if properties[wire].get("required") else {"required": True}
            elif change == "enum" and "enum" in entry:
                entry["enum"] = [*entry["enum"], "z"]
                done.add((name, (wire,), "widened"))
            elif change == "type" and entry.get("type") in ("string", "boolean") and not entry.get("nullable"):
                entry["type"] = {"string": "boolean", "boolean": "string"}[entry["type"]]
                done.add((name, (wire,), "changed"))
            properties[wire] = entry
        if chance.random() < 0.3:
            properties["new"] = dict(TEXT)
            done.add((name, ("new",), "added"))
    if chance.random() < 0.3:
        plan["events"]["New"] = {}
        done.add(("New", (), "added"))
    return done


@given(PLANS, st.randoms(use_true_random=False))
def test_exactly_what_was_edited_is_named(plan: Document, chance: random.Random) -> None:
    edited = copy.deepcopy(plan)
    done = edits(edited, chance)
    about_python = ("function", "class", "argument")

    found = compared(plan, edited)
    assert {(line.name, line.path, line.change) for line in found.lines if line.rule not in about_python} == done


# --- what is written --------------------------------------------------------------------------------------------------

HOSTILE = "a|b`c\n::error::x **y** <script>@me #1 [l](http://e.com) www.e.com"


def hostile() -> Diff:
    old: Snapshot = of_plan(parsed({"events": {HOSTILE: {"properties": {HOSTILE: TEXT}}}}))
    return diff(old, of_plan(parsed({"events": {HOSTILE: {"properties": {HOSTILE: NUMBER}}, f"{HOSTILE}2": {}}})))


def test_nothing_of_a_plan_is_markup() -> None:
    page = "\n".join(report.as_markdown(hostile()))
    tokens = [
        inner
        for token in MarkdownIt("commonmark").enable("table").parse(page)
        for inner in (token, *(token.children or ()))
    ]
    kinds = Counter(token.type for token in tokens)
    plain = " ".join(token.content for token in tokens if token.type == "text")

    assert (kinds["tr_open"], kinds["td_open"]) == (3, 8)
    assert not kinds.keys() & {"link_open", "html_inline", "html_block", "em_open", "image", "fence", "hr"}
    assert kinds["strong_open"] == 2 + 2  # the names of the events, and what breaks
    assert not any(mark in plain for mark in ("@", "#", "://", "www."))


def test_text_is_cut_where_it_is_asked_to_be() -> None:
    found = compared({"events": {}}, {"events": {f"E{number}": {} for number in range(30)}})

    assert len(list(report.as_text(found, limit=20))) == 22
    assert "  and 10 more" in list(report.as_text(found, limit=20))
