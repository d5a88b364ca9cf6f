"""The comparison of plans over versions that real plans had, beside an oracle that knows nothing of it.

The oracle compares names, types, lists and limits as sets, and has jsonschema judge instances by both versions.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.plans import Plan, Section, load
from itly_core.plans.diff import Diff, Line, Verdict, diff
from itly_core.plans.snapshot import SECTIONS, of_plan
from itly_core.plans.versions import SchemaVer
from tests.codegen.test_verdicts import instances, reference

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
Facts = dict[tuple[tuple[str, ...], str], Any]

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")


# --- the oracle -------------------------------------------------------------------------------------------------------

PRIMITIVE = {
    "string": {"string"}, "integer": {"whole"}, "number": {"whole", "fraction"}, "boolean": {"boolean"}, "null": {"null"},
    "array": {"array"}, "object": {"object"},
}  # fmt: skip
LOWER = {"minimum": {"whole", "fraction"}, "minLength": {"string"}, "minItems": {"array"}, "minProperties": {"object"}}
UPPER = {"maximum": {"whole", "fraction"}, "maxLength": {"string"}, "maxItems": {"array"}, "maxProperties": {"object"}}
PLAIN = {
    *LOWER, *UPPER, "type", "enum", "const", "properties", "required", "additionalProperties", "items", "uniqueItems", "format",
    "pattern", "description", "title", "$schema", "$id", "id", "self", "default", "examples",
}  # fmt: skip


def is_plain(schema: Any) -> bool:
    """Whether the oracle knows every keyword there is."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    parts = [
        *schema.get("properties", {}).values(),
        schema.get("items", True),
        schema.get("additionalProperties", True),
    ]
    return schema.keys() <= PLAIN and all(map(is_plain, parts)) and not any(key[0] == "x" for key in schema)


def kinds_of(schema: Mapping[str, Any]) -> set[str]:
    names = schema.get("type", list(PRIMITIVE))
    return set().union(*(PRIMITIVE[name] for name in ([names] if isinstance(names, str) else names)))


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "whole" if value == int(value) else "fraction"
    return {str: "string", type(None): "null", list: "array"}.get(type(value), "object")


def values_of(schema: Mapping[str, Any]) -> set[str] | None:
    """The listed values that the type lets pass, as JSON."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if listed is None else {json.dumps(value) for value in listed if kind_of(value) in kinds_of(schema)}


def taken_kinds(schema: Mapping[str, Any]) -> set[str]:
    values = values_of(schema)
    return kinds_of(schema) if values is None else {kind_of(json.loads(value)) for value in values}


def changed(lost: bool, gained: bool) -> set[str]:
    return {"changed"} if lost and gained else {"tightened"} if lost else {"widened"} if gained else set()


def expected(old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Every thing that was added, removed, widened or tightened, by its path."""
    yield from ((path, change) for change in own_changes(old, new))
    shared = taken_kinds(old) & taken_kinds(new)
    if "array" in shared and ("items" in old or "items" in new):
        yield from expected(old.get("items", {}), new.get("items", {}), (*path, "[]"))
    if "object" not in shared:
        return
    was, now = old.get("properties", {}), new.get("properties", {})
    yield from (((*path, name), "added") for name in now.keys() - was.keys())
    yield from (((*path, name), "removed") for name in was.keys() - now.keys())
    for name in was.keys() & now.keys():
        had_to, must = name in old.get("required", ()), name in new.get("required", ())
        yield from (((*path, name), change) for change in changed(must and not had_to, had_to and not must))
        yield from expected(was[name], now[name], (*path, name))


def own_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = kinds_of(old), kinds_of(new)
    was, now = values_of(old), values_of(new)
    if was is not None and now is not None:
        yield from changed(bool(was - now), bool(now - was))
        return
    if was is not None or now is not None:
        other = new if was is not None else old
        kept = all(jsonschema.Draft7Validator(other).is_valid(json.loads(value)) for value in was or now or ())
        yield "changed" if not kept else "widened" if was is not None else "tightened"
        return
    yield from changed(bool(before - after), bool(after - before))
    shared = before & after
    for limits, is_upper in ((LOWER, False), (UPPER, True)):
        for keyword, kinds in limits.items():
            least, most = old.get(keyword), new.get(keyword)
            if (
                least == most
                or not kinds & shared
                or ({least, most} == {None, 0} and not is_upper and keyword != "minimum")
            ):
                continue
            tighter = least is None or (most is not None and (most < least if is_upper else most > least))
            yield "tightened" if tighter else "widened"
    if "array" in shared and bool(old.get("uniqueItems")) != bool(new.get("uniqueItems")):
        yield "tightened" if new.get("uniqueItems") else "widened"
    if "string" in shared and old.get("pattern") != new.get("pattern"):
        yield "tightened" if "pattern" not in old else "widened" if "pattern" not in new else "undecidable"
    if "object" in shared and (old.get("additionalProperties") is False) != (new.get("additionalProperties") is False):
        yield "tightened" if new.get("additionalProperties") is False else "widened"


def names(lines: Iterable[Line]) -> set[tuple[Any, str]]:
    """What the comparison says of a schema, as the oracle does."""
    about_python = ("argument", "function", "class")
    return taken_together(
        (line.path, line.change) for line in lines if line.change != "text" and line.rule not in about_python
    )


def taken_together(changes: Iterable[tuple[Any, str]]) -> set[tuple[Any, str]]:
    """What is widened by one rule and tightened by another is changed."""
    found = set(changes)
    both = {path for path, change in found if {(path, "widened"), (path, "tightened")} <= found or change == "changed"}
    kept = {(path, change) for path, change in found if path not in both or change not in ("widened", "tightened")}
    return kept | {(path, "changed") for path in both}


def of_section(found: Diff, kind: str, name: str) -> list[Line]:
    return [line for line in found.lines if (line.kind, line.name) == (kind, name)]


def pairs(old: Plan, new: Plan) -> Iterator[tuple[str, str, Section, Section]]:
    """What both plans have."""
    after = {event.name: event for event in new.events}
    yield from (("event", event.name, event, after[event.name]) for event in old.events if event.name in after)
    for kind in SECTIONS:
        was, now = getattr(old, kind), getattr(new, kind)
        if was is not None and now is not None:
            yield kind, "", was, now


def disagreements(old: Plan, new: Plan, count: int) -> Iterator[str]:
    """Where comparison and oracle are not of one mind."""
    found = diff(of_plan(old), of_plan(new))
    was, now = ({event.name for event in plan.events} for plan in (old, new))
    said = {(line.name, line.change) for line in found.lines if line.kind == "event" and line.rule == "event"}
    if said != {(name, "added") for name in now - was} | {(name, "removed") for name in was - now}:
        yield f"events: {said}"
    had, has = ({kind for kind in SECTIONS if getattr(plan, kind) is not None} for plan in (old, new))
    said = {(line.kind, line.change) for line in found.lines if line.rule in SECTIONS}
    if said != {(kind, "added") for kind in has - had} | {(kind, "removed") for kind in had - has}:
        yield f"sections: {said}"
    for kind, name, before, after in pairs(old, new):
        lines = of_section(found, kind, name)
        if is_plain(before.schema) and is_plain(after.schema):
            oracle = taken_together(expected(before.schema, after.schema))
            if names(lines) != oracle:
                yield f"{name or kind}: says {names(lines) - oracle} too much and {oracle - names(lines)} not"
        yield from (f"{name or kind}: {text}" for text in misjudged(lines, before, after, count))


def misjudged(lines: list[Line], old: Section, new: Section, count: int) -> Iterator[str]:
    """Instances that were right and are not, or the other way, though no line says so."""
    was, now = reference(old), reference(new)
    schema_lines = [line for line in lines if line.rule not in ("argument", "function", "class")]
    # A property that is new in an open object counts as an addition, though other values passed under its name.
    may_lose = any(line.schemaver >= SchemaVer.REVISION or "is open" in line.message for line in schema_lines)
    may_gain = any(line.change in ("widened", "changed", "added", "removed", "undecidable") for line in schema_lines)
    loses_all = any(line.schemaver is SchemaVer.MODEL for line in schema_lines)
    for instance in (*instances(old, count, seed=2), *instances(new, count, seed=3)):
        is_was, is_now = was.is_valid(instance), now.is_valid(instance)
        if is_was and not is_now and not may_lose:
            yield f"{instance} is refused, and nothing says so"
        if is_now and not is_was and not may_gain:
            yield f"{instance} is taken, and nothing says so"
        if is_was and is_now and loses_all:
            yield f"{instance} is still taken, though all are said to be refused"


# --- the plans --------------------------------------------------------------------------------------------------------


def versions(folder: str) -> list[Path]:
    return sorted((CORPUS / folder).glob("itly-todo-example__*.json"))


def test_the_versions_are_there() -> None:
    assert len(versions("itly-bundles")) >= 6
    assert len(versions("itlyrc")) >= 8


@pytest.mark.parametrize("folder", ["itly-bundles", "itlyrc"])
def test_every_change_between_successive_versions_is_named(folder: str) -> None:
    plans = [load(file) for file in versions(folder)]
    found = [problem for old, new in itertools.pairwise(plans) for problem in disagreements(old, new, count=30)]

    assert found == []


def test_what_is_said_of_the_first_versions_of_a_real_plan() -> None:
    second, third = (of_plan(load(file)) for file in versions("itly-bundles")[1:3])
    added = diff(second, third)
    removed = diff(third, second)

    assert [(line.subject, line.message, line.callers, line.consumers) for line in added.lines if line.name] == [
        ("Todo Toggled", "event added; its function is todo_toggled", Verdict.COMPATIBLE, Verdict.COMPATIBLE)
    ]
    assert [(line.subject, line.change, line.callers, line.consumers) for line in removed.lines if line.name] == [
        ("Todo Toggled", "removed", Verdict.BREAKING, Verdict.BREAKING)
    ]


def test_every_two_plans_of_the_corpus_are_compared_rightly() -> None:
    files = [*versions("itly-bundles"), CORPUS / "itly-bundles" / "itly-sdk-python-test.json", *versions("itlyrc")[:3]]
    plans = [load(file) for file in files]
    found = [problem for old, new in itertools.permutations(plans, 2) for problem in disagreements(old, new, count=5)]

    assert found == []


def successions() -> dict[str, tuple[Any, Any]]:
    """Iglu's schemas and the next version of each."""
    found: dict[str, tuple[Any, Any]] = {}
    for file in sorted((CORPUS / "iglu-central").glob("*.json")):
        schemas = json.loads(file.read_text("utf-8"))
        schemas = schemas.get("schemas", schemas)
        ordered = sorted(
            schemas, key=lambda key: [int(part) if part.isdigit() else part for part in re.split(r"[-/]", key)][-3:]
        )
        of: dict[str, list[str]] = {}
        for key in ordered:
            of.setdefault(key.rpartition("/")[0], []).append(key)
        for keys in of.values():
            found |= {f"{file.stem}/{new}": (schemas[old], schemas[new]) for old, new in itertools.pairwise(keys)}
    return found


SUCCESSIONS = successions() if CORPUS.is_dir() else {}


def as_plan(schema: Any, directory: Path) -> Plan:
    file = directory / "schemas.json"
    file.write_text(json.dumps({"E": schema}), "utf-8")
    return load(file)


@pytest.mark.parametrize("versions", SUCCESSIONS.values(), ids=SUCCESSIONS.keys())
def test_every_change_of_a_schema_in_a_registry_is_named(versions: tuple[Any, Any], tmp_path: Path) -> None:
    old, new = (as_plan(schema, tmp_path) for schema in versions)

    assert [*disagreements(old, new, count=15), *disagreements(new, old, count=15)] == []


def test_a_registrys_own_numbers_agree_with_what_is_suggested(tmp_path: Path) -> None:
    """A new model is never called an addition; where only additions are seen, the registry rarely calls it a revision."""
    told = {}
    for name, (before, after) in SUCCESSIONS.items():
        found = diff(of_plan(as_plan(before, tmp_path)), of_plan(as_plan(after, tmp_path)))
        told[name] = max((line.schemaver for line in found.lines), default=SchemaVer.NONE)
    additions = [name for name in told if not name.endswith("-0-0") and name.rpartition("-")[2] != "0"]

    assert len(additions) >= 40
    assert sum(told[name] <= SchemaVer.ADDITION for name in additions) >= 0.8 * len(additions)


LEAVES = st.sampled_from(
    [
        {"type": "string"}, {"type": "string", "maxLength": 2}, {"type": "string", "minLength": 1}, {"type": "integer"},
        {"type": "number", "minimum": 0}, {"type": "number", "maximum": 9}, {"type": ["string", "null"]}, {"type": "boolean"},
        {"enum": ["a", "b"]}, {"enum": ["a", None]}, {"const": "a"}, {"type": "array", "items": {"type": "string"}},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 1, "uniqueItems": True}, {"type": "string", "pattern": "^a"},
    ]
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, below: st.SearchStrategy[Any] = LEAVES) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), below, max_size=3))
    required = draw(st.sets(st.sampled_from(["a", "b", "c"])).map(lambda wanted: sorted(wanted & properties.keys())))
    closed = {"additionalProperties": False} if draw(st.booleans()) else {}
    return {"type": "object", "properties": properties, "required": required, **closed}


@given(st.tuples(*(objects(LEAVES | objects()) for _ in range(2))))
def test_the_oracle_agrees_on_any_two_schemas(schemas: tuple[Any, Any]) -> None:
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    old, new = (
        Plan(name="P", version="1", source="", events=(Section(name="E", schema={**schema, **draft}),))
        for schema in schemas
    )

    assert list(disagreements(old, new, count=15)) == []
