"""A generated package takes exactly the calls that the plan's schemas take, as jsonschema reads them."""

from __future__ import annotations

import base64
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry

from itly_core import InvalidEvent, Options
from itly_core.plans import load
from itly_core.plans.document import Plan, Section
from itly_core.testing import recording
from itly_core.validation import draft_of
from tests.codegen.plans import CORPUS, closed, imported, names_of, plan_of


def encoding(_: Any, given: Any, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """In drafts 6 and 7 `contentEncoding` counts for us, and for jsonschema it never does (docs/validation.md)."""
    if given == "base64" and isinstance(value, str):
        try:
            base64.b64decode(value, validate=True)
        except ValueError as exc:
            yield jsonschema.ValidationError(str(exc))


VALIDATORS = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.validators.extend(jsonschema.Draft6Validator, {"contentEncoding": encoding}),
    "7": jsonschema.validators.extend(jsonschema.Draft7Validator, {"contentEncoding": encoding}),
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}
ANYTHING = [
    "",
    "a",
    "x" * 300,
    "2026-01-10T00:00:00Z",
    "https://example.com",
    0,
    1,
    -1,
    2**40,
    1.0,
    1.5,
    -0.25,
    True,
    False,
]
ANYTHING += [None, [], ["a"], [1, 1], [{}], {}, {"a": 1}, {"": None}]
TEXTS = [
    "",
    "a",
    "ab",
    "id-1",
    "2026-01-10",
    "2026-01-10T00:00:00Z",
    "12",
    "0.5",
    "EUR",
    "https://example.com/a",
    "a@b.example",
]
TEXTS += ["123e4567-e89b-12d3-a456-426614174000", "127.0.0.1", "1-0-0", "1.2.0", "iglu:a/b/jsonschema/1-0-0", "x" * 30]
TEXTS += ["f" * 32, "0" * 40, "a" * 64, "x" * 300]
CALLS_AN_EVENT = 12


def reference(section: Section) -> Any:
    """jsonschema on its own, told the draft and to fetch nothing."""
    schema = {key: value for key, value in section.schema.items() if key != "$schema"}
    return VALIDATORS[draft_of(section.schema) or "7"](schema, registry=Registry())


class Values:
    """Values that a schema takes, mostly. surprise: how often a value is just anything instead."""

    def __init__(self, root: Mapping[str, Any], seed: int, surprise: float = 0.1) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.surprise = surprise

    def of(self, schema: Any, depth: int = 0) -> Any:
        if not isinstance(schema, Mapping) or depth > 4 or self.random.random() < self.surprise:
            return self.random.choice(ANYTHING)
        schema = self._chosen(self._followed(schema))
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list):
            return self.random.choice(schema["enum"])
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kind = self.random.choice(kinds) if isinstance(kinds, list) else kinds
        return self._of_kind(kind, schema, depth)

    def broken(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The properties with one thing changed: one left out, one too many, or another value."""
        name = self.random.choice([*properties, None])
        rest = {key: value for key, value in properties.items() if key != name}
        if name is None:
            return {**rest, "not in the plan": 1}
        return rest if self.random.random() < 0.5 else {**rest, name: self.random.choice(ANYTHING)}

    def _chosen(self, schema: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
        """The schema with one branch of each of its combinators, or all, laid over it."""
        parts = [self._followed(part) for part in schema.get("allOf") or () if isinstance(part, Mapping)]
        for keyword in ("anyOf", "oneOf"):
            branch = self.random.choice(schema[keyword]) if schema.get(keyword) else {}
            if isinstance(branch, Mapping) and depth < 3:
                parts.append(self._chosen(self._followed(branch), depth + 1))
        for part in parts:
            both = {
                "properties": {**schema.get("properties", {}), **part.get("properties", {})},
                "required": [*schema.get("required", []), *part.get("required", [])],
            }
            schema = {**schema, **part, **{key: value for key, value in both.items() if value}}
        return schema

    def _of_kind(self, kind: str | None, schema: Mapping[str, Any], depth: int) -> Any:
        if kind == "string":
            return self.random.choice([text for text in TEXTS if _text_fits(text, schema)] or TEXTS)
        if kind in ("integer", "number"):
            low, high = schema.get("minimum", -3), schema.get("maximum", 7)
            numbers = [low, low + 1, high, 0, 1, 2, 1.5 if kind == "number" else 3]
            return self.random.choice([number for number in numbers if low <= number <= high] or numbers)
        if kind == "array":
            items, fewest = schema.get("items", {}), schema.get("minItems", 0)
            return [self.of(items, depth + 1) for _ in range(max(fewest, self.random.choice([0, 1, 1, 2])))]
        if kind == "object":
            required = schema.get("required", [])
            listed = {**{name: {} for name in required}, **schema.get("properties", {})}
            return {
                name: self.of(part, depth + 1)
                for name, part in listed.items()
                if name in required or self.random.random() < 0.5
            }
        return {"boolean": True, "null": None}.get(str(kind), self.random.choice(ANYTHING))

    def _followed(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(5):
            target = schema.get("$ref")
            if not isinstance(target, str) or not target.startswith("#/"):
                break
            found: Any = self.root
            for part in target[2:].split("/"):
                found = found[part]
            if not isinstance(found, Mapping):  # true takes anything; of false nothing comes, which is tried as well
                return {}
            schema = found
        return schema


def _text_fits(text: str, schema: Mapping[str, Any]) -> bool:
    return schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)) and bool(
        re.search(schema.get("pattern", ""), text)
    )


def instances(section: Section, count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Properties as a caller might give them, by wire name: such as the plan takes, the same with one thing broken, and
    wilder ones."""
    usual, wild = Values(section.schema, seed, surprise=0), Values(section.schema, seed)
    for number in range(count):
        found = (wild if number % 4 == 3 else usual).of({"type": "object", **section.schema})
        properties = found if isinstance(found, dict) else {}
        yield usual.broken(properties) if number % 4 == 2 else properties


def disagreements(plan: Plan, directory: Path, count: int = CALLS_AN_EVENT) -> Iterator[str]:
    """Calls on which the plan's package and jsonschema are not of one mind."""
    package = imported(plan, directory)
    names = names_of(package)
    with recording(package, Options(context=valid_context(plan))) as recorder:
        for event in plan.events:
            called, section, validator = names[event.name], package._package.plan.events[event.name], reference(event)
            by_wire = {wire: argument for argument, wire in called.arguments.items()}
            for instance in instances(event, count):
                arguments = {by_wire.get(wire, wire): value for wire, value in instance.items()}
                for parameter in ("user_id", "options"):  # no arguments for properties
                    arguments.pop(parameter, None)
                sent = {called.arguments.get(name, name): value for name, value in arguments.items()}
                for wire in {wire for wire in by_wire if wire not in section.nullable and sent.get(wire, "") is None}:
                    del sent[wire]
                sent |= section.constants
                if section.user_id_property is not None:
                    sent[section.user_id_property] = "u1"
                recorder.clear()
                try:
                    getattr(package, called.function)("u1", **arguments)
                except InvalidEvent:
                    pass
                if bool(recorder.calls) != validator.is_valid(sent):
                    yield f"{event.name}: {sent!r} is {'taken' if recorder.calls else 'refused'}"


def valid_context(plan: Plan) -> dict[str, Any] | None:
    if plan.context is None:
        return None
    validator = reference(plan.context)
    return next(found for found in instances(plan.context, 1000) if validator.is_valid(found))


def corpus_files() -> list[Path]:
    folders = ("itly-bundles", "iglu-central", "itlyrc", "plans", "cloudevents")
    files = [file for name in folders for file in sorted((CORPUS / name).glob("*.json"))]
    return [*files, CORPUS / "rudder-yaml"]  # whose files are one project


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
@pytest.mark.parametrize("file", corpus_files(), ids=lambda file: file.stem)
def test_packages_of_real_plans_answer_as_jsonschema_does(file: Path, tmp_path: Path) -> None:
    assert list(disagreements(load(file), tmp_path)) == []


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
@pytest.mark.parametrize("file", corpus_files(), ids=lambda file: file.stem)
def test_packages_of_real_plans_answer_as_jsonschema_does_to_hundreds_of_calls(file: Path, tmp_path: Path) -> None:
    assert list(disagreements(load(file), tmp_path, 300)) == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
def test_the_calls_of_real_plans_are_valid_and_invalid() -> None:
    verdicts: dict[str, Counter[bool]] = {}
    for file in corpus_files():
        for event in load(file).events:
            counted = verdicts.setdefault(file.stem, Counter())
            counted.update(map(reference(event).is_valid, instances(event, CALLS_AN_EVENT)))

    assert [name for name, counted in verdicts.items() if not counted[True]] == []
    assert len([name for name, counted in verdicts.items() if not counted[False]]) < 4  # plans that take anything
    assert sum(counted[True] for counted in verdicts.values()) > 3000
    assert sum(counted[False] for counted in verdicts.values()) > 1000


kinds = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
leaves = st.one_of(
    st.builds(lambda kind: {"type": kind}, kinds),
    st.builds(lambda one, two: {"type": [one, two]} if one != two else {"type": one}, kinds, kinds),
    st.sampled_from([
        {"enum": ["a", "b", None]}, {"enum": [1, True, "1"]}, {"const": 4}, {"const": None}, {"type": "string", "minLength": 2},
        {"type": "integer", "minimum": 1}, {"type": "number", "maximum": 0}, {"type": "array", "uniqueItems": True}, True,
        {"$ref": "#/$defs/thing"}, {"not": {"type": "string"}}, {},
    ]),
)  # fmt: skip
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(closed, st.dictionaries(st.sampled_from(["a", "b", "from"]), inner, max_size=2)),
        st.builds(lambda keyword, parts: {keyword: parts}, st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=4,
)  # fmt: skip


@st.composite
def sections(draw: st.DrawFn) -> Section:
    names = st.sampled_from(["user_id", "options", "utm_medium", "utmMedium", "from", "a b", "count"])
    properties = draw(st.dictionaries(names, schemas, max_size=4))
    required = draw(st.lists(names, unique=True, max_size=2))
    more = draw(st.sampled_from([{}, {"additionalProperties": True}, {"additionalProperties": {"type": "string"}}]))
    thing = draw(leaves.filter(lambda schema: schema != {"$ref": "#/$defs/thing"}))
    schema = {**closed(properties, required), "$defs": {"thing": thing}, **more}
    return Section(name="E", schema=schema, user_id_property="user_id" if "user_id" in properties else None)


ANY_PLAN = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@settings(ANY_PLAN, max_examples=100)
@given(section=sections())
def test_packages_of_any_plan_answer_as_jsonschema_does(
    section: Section, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert list(disagreements(plan_of(section), tmp_path_factory.mktemp("plan"), 8)) == []


@pytest.mark.torture
@pytest.mark.timeout(3600)
@settings(ANY_PLAN, max_examples=5000)
@given(section=sections())
def test_packages_of_thousands_of_plans_answer_as_jsonschema_does(
    section: Section, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert list(disagreements(plan_of(section), tmp_path_factory.mktemp("plan"), 8)) == []
