"""Both engines give the same verdicts, and where they cannot, docs/validation.md says so."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itly_core.encoding import MAX_DEPTH, coerce
from itly_core.errors import PlanError
from itly_core.validation import Check, Draft, compile_schema, draft_of, is_typed_throughout
from tests.core.schemas import URIS, has_nan, instance_of, some_document, some_json

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
ENGINES = ("jsonschema-rs", "jsonschema")
SEEDS = st.integers(0, 2**32)
WRONG = (None, True, 1.0, 1, 0, -1, 0.5, 2**40, -(2**40), "", "a", "1", "x" * 300, [], [1, 1], {}, {"a": None})


def both(schema: dict[str, Any], **options: Any) -> tuple[Check, Check]:
    rust, python = (compile_schema(schema, engine=engine, **options) for engine in ENGINES)
    return rust, python


def broken(value: Any, rng: Random) -> Any:
    """The value with one thing in it changed: a key less, a key more, or something else in its place."""
    value = copy.deepcopy(value)
    places: list[Any] = [value]
    for place in places:
        below = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
        places += [item for item in below if isinstance(item, dict | list)]
    place = rng.choice(places)
    if isinstance(place, dict):
        change = rng.randrange(3) if place else 1
        if change == 0:
            del place[rng.choice(sorted(place))]
        elif change == 1:
            place["not planned"] = rng.choice(WRONG)
        else:
            place[rng.choice(sorted(place))] = rng.choice(WRONG)
    elif isinstance(place, list) and place:
        place[rng.randrange(len(place))] = rng.choice(WRONG)
    else:
        return rng.choice(WRONG)
    return value


def comparable(schema: Any) -> Any:
    """The schema without what is known to be read differently."""
    if isinstance(schema, list):
        return [comparable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: comparable(part)
        for key, part in schema.items()
        if not (key in ("contentEncoding", "contentMediaType") and isinstance(part, str))
        and not (key == "multipleOf" and isinstance(part, float))
    }


def published(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((CORPUS / folder).glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        schemas = {"": document} if "properties" in document else document.get("schemas", document)
        for name, schema in schemas.items():
            if json.dumps(schema).find('"$ref": "http') < 0:  # a difference of its own
                yield f"{path.name} {name}", comparable(schema)


@pytest.mark.parametrize("folder", ["itly-bundles", "iglu-central", "cloudevents"])
def test_published_schemas_give_the_same_verdicts(folder: str) -> None:
    if not (CORPUS / folder).is_dir():
        pytest.skip("the corpus is not here")
    verdicts = set()
    for name, schema in published(folder):
        rust, python = both(schema)
        rng = Random(name)
        for _ in range(8):
            value = instance_of(schema, rng)
            for item in (value, broken(value, rng), broken(value, rng)):
                verdict = rust.is_valid(item)
                assert python.is_valid(item) is verdict, (name, item, rust.violations(item), python.violations(item))
                verdicts.add(verdict)
    assert verdicts == {True, False}


@pytest.mark.parametrize("draft", sorted(URIS))
@settings(max_examples=60)
@given(seed=SEEDS)
def test_generated_schemas_give_the_same_verdicts(draft: Draft, seed: int) -> None:
    rng = Random(seed)
    schema = some_document(rng, draft)
    rust, python = both(schema)
    for _ in range(4):
        value = instance_of(schema, rng)
        for item in (value, broken(value, rng)):
            verdict = rust.is_valid(item)
            assert python.is_valid(item) is verdict, (schema, item)
            assert bool(rust.violations(item)) is bool(python.violations(item)) is not verdict


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "state": {"enum": ["paid", 1]},
        "kind": {"const": "a"},
        "address": {**CITY, "additionalProperties": False},
        "none": {"type": "object", "additionalProperties": False},
        "items": {"type": "array", "maxItems": 3, "items": CITY},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "additionalProperties": False,
    "required": ["id", "state"],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, {("id", "type")}),
        ({"id": True}, {("id", "type")}),
        ({"id": 1.0}, set()),
        ({"id": 0}, {("id", "minimum")}),
        ({"state": True}, {("state", "enum")}),
        ({"state": 1.0}, set()),
        ({"kind": "b"}, {("kind", "const")}),
        ({"more": 1, "x-more": 1}, {("more", "additionalProperties"), ("x-more", "type")}),
        ({'it\'s "one"': 1}, {('it\'s "one"', "additionalProperties")}),
        ({"none": {"a": 1, "b": 2}}, {("none.a", "additionalProperties"), ("none.b", "additionalProperties")}),
        ({"address": {"zip": 1}}, {("address.city", "required"), ("address.zip", "additionalProperties")}),
        ({"items": [{"city": "a"}, {}, {"city": 1}]}, {("items[1].city", "required"), ("items[2].city", "type")}),
        ({"items": [{"city": "a"}] * 4}, {("items", "maxItems")}),
        ({"code": "ABCD"}, {("code", "pattern"), ("code", "maxLength")}),
    ],
)
def test_violations_name_the_same_places_and_rules(change: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    for check in both(ORDER):
        found = check.violations({"id": 1, "state": "paid", **change})
        assert {(item.path, item.rule) for item in found} == expected


def test_everything_required_that_is_missing_is_named() -> None:
    for check in both(ORDER):
        assert [(item.path, item.rule) for item in check.violations({})] == [("id", "required"), ("state", "required")]


def test_a_line_separator_in_a_value_does_not_cut_the_message() -> None:
    (violation,) = compile_schema({"pattern": "^a$"}, engine="jsonschema-rs").violations("\u2028")
    assert "^a$" in violation.message


@pytest.mark.parametrize(
    ("spelling", "draft"),
    [
        ("http://json-schema.org/draft-04/schema#", "4"),
        ("https://json-schema.org/draft-04/schema", "4"),
        ("http://json-schema.org/draft-06/schema", "6"),
        (" http://json-schema.org/draft-07/schema# ", "7"),
        ("json-schema.org/draft-07/schema", "7"),
        ("http://json-schema.org/draft/2019-09/schema#", "2019-09"),
        ("https://json-schema.org/draft/2020-12/schema", "2020-12"),
        ("http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#", "4"),
    ],
)
def test_a_draft_is_known_however_it_is_spelled(spelling: str, draft: str) -> None:
    assert draft_of({"$schema": spelling}) == draft
    for check in both({"$schema": spelling, "const": 1, "prefixItems": [{"type": "string"}]}):
        assert check.is_valid(2) is (draft == "4")
    for check in both({"$schema": spelling, "prefixItems": [{"type": "string"}]}):
        assert check.is_valid([1]) is (draft != "2020-12")


def test_without_a_draft_a_schema_is_of_draft_7() -> None:
    assert draft_of({}) == "7"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "http://json-schema.org/draft-03/schema#"},
        {"$schema": "https://example.com/schema"},
        {"$schema": 7},
        {"$ref": "http://127.0.0.1:9/other.json"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "other.json"},
        {"properties": {"a": {"$ref": "#/definitions/none"}}},
        {"type": "text"},
        {"required": "a"},
        {"pattern": "("},
        {"minLength": -1},
    ],
    ids=str,
)
def test_what_is_no_schema_on_its_own_is_refused(schema: dict[str, Any], engine: str) -> None:
    with pytest.raises(PlanError):
        compile_schema(schema, engine=engine)


def test_a_property_may_be_called_like_a_keyword() -> None:
    for check in both({"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "#/none"}, {"$ref": 1}]}):
        assert check.is_valid({"$ref": "#/none"})
        assert not check.is_valid({"$ref": 1})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_form_for_is_no_number(number: float) -> None:
    for kind in ("number", "integer", ["number", "null"]):
        for check in both({"type": kind}):
            assert not check.is_valid(number)


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array"}, (1,)),
        ({"type": "string"}, Text("a")),
        ({"type": "integer"}, Whole(1)),
        ({"enum": ["red"]}, Colour.RED),
        ({"required": ["a"]}, {Text("a"): 1}),
        ({"required": ["1"]}, {1: 1}),
        ({"type": "string"}, "\ud800"),
    ],
)
def test_python_values_are_coerced_before_the_engines_could_disagree(schema: dict[str, Any], value: Any) -> None:
    plain, _ = coerce({"it": value})
    assert [check.is_valid(plain["it"]) for check in both(schema)] == [True, True]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


LISTS = {"type": "array", "items": {"$ref": "#"}}


def test_both_reach_the_depth_that_coercion_allows() -> None:
    value, problems = coerce(nested(MAX_DEPTH))
    assert not problems
    assert [check.is_valid(value) for check in both(LISTS)] == [True, True]


# name: schema, value, formats, what jsonschema-rs and jsonschema make of them
DIFFERENCES: dict[str, tuple[dict[str, Any], Any, str, str, str]] = {
    "fractional multipleOf": ({"multipleOf": 0.01}, 0.07, "warn", "valid", "invalid"),
    "line end after $": ({"pattern": "^a$"}, "a\n", "warn", "invalid", "valid"),
    "digits of other scripts": ({"pattern": r"^\d+$"}, "\u0661", "warn", "invalid", "valid"),
    "letters of other scripts": ({"pattern": r"^\w+$"}, "\xe9", "warn", "invalid", "valid"),
    "byte order mark as space": ({"pattern": r"^\s$"}, "\ufeff", "warn", "valid", "invalid"),
    "dot and line ends": ({"pattern": "^.$"}, "\r", "warn", "invalid", "valid"),
    "Unicode properties": ({"pattern": r"^\p{L}$"}, "\xe9", "warn", "valid", "refused"),
    "named groups": ({"pattern": "^(?<x>a)$"}, "a", "warn", "valid", "refused"),
    "named groups as in Python": ({"pattern": "^(?P<x>a)$"}, "a", "warn", "refused", "valid"),
    "inline flags": ({"pattern": "(?i)^a$"}, "A", "warn", "refused", "valid"),
    "look-behind of varying width": ({"pattern": "(?<!a+)b"}, "b", "warn", "valid", "refused"),
    "catastrophic patterns": ({"pattern": "^(a+)+$"}, "a" * 28 + "b", "warn", "invalid", "refused"),
    "strict date-time": ({"format": "date-time"}, "soon", "strict", "invalid", "valid"),
    "contentEncoding": ({"contentEncoding": "base64"}, "abc-1", "warn", "invalid", "valid"),
    "contentMediaType": ({"contentMediaType": "application/json"}, "{", "warn", "invalid", "valid"),
    "unevaluatedItems beside boolean items": (
        {"$schema": URIS["2019-09"], "items": True, "unevaluatedItems": False},
        [1],
        "warn",
        "valid",
        "unchecked",
    ),
    "reference to a metaschema": ({"$ref": URIS["7"]}, {}, "warn", "valid", "refused"),
    "deep nesting": (LISTS, nested(900), "warn", "valid", "unchecked"),
}


def outcome(schema: dict[str, Any], value: Any, formats: Any, engine: str) -> str:
    try:
        check = compile_schema(schema, formats=formats, engine=engine)
    except PlanError:
        return "refused"
    found = check.violations(value)
    if any(item.rule == "unchecked" for item in found):
        return "unchecked"
    assert check.is_valid(value) is not bool(found)
    return "invalid" if found else "valid"


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_engines_differ_as_documented(name: str) -> None:
    if name == "strict date-time" and importlib.util.find_spec("rfc3339_validator"):
        pytest.skip("jsonschema has its optional format checks here")
    schema, value, formats, *expected = DIFFERENCES[name]
    assert [outcome(schema, value, formats, engine) for engine in ENGINES] == expected


@pytest.mark.parametrize("formats", ["off", "warn"])
def test_formats_are_asserted_with_strict_only(formats: Any) -> None:
    schema = {"format": "email"}
    assert [check.is_valid("nobody") for check in both(schema, formats=formats)] == [True, True]
    assert [check.is_valid("nobody") for check in both(schema, formats="strict")] == [False, False]
    assert [check.is_valid("a@shop.example") for check in both(schema, formats="strict")] == [True, True]


def test_every_difference_is_in_the_documentation_and_no_other() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| (\w+)[^|]* \| (\w+)[^|]* \|$", page, re.MULTILINE)
    expected = [(name, *case[3:]) for name, case in DIFFERENCES.items()]
    assert [(name, rust, python) for name, rust, python in rows if name != "Difference"] == expected


@pytest.mark.parametrize("draft", sorted(URIS))
@settings(max_examples=60)
@given(seed=SEEDS)
def test_a_schema_said_to_refuse_nan_does(draft: Draft, seed: int) -> None:
    rng = Random(seed)
    schema = some_document(rng, draft)
    if rng.random() < 0.8:  # most others are open somewhere, of which nothing is claimed
        schema["additionalProperties"] = False
        properties = schema["properties"]
        schema["properties"] = {name: part for name, part in properties.items() if is_typed_throughout(part)}
    if is_typed_throughout(schema):
        check = compile_schema(schema, engine="jsonschema-rs")
        for _ in range(6):
            value = instance_of(schema, rng, finite=False)
            for item in (value, some_json(rng, finite=False)):
                assert not (has_nan(item) and check.is_valid(item)), (schema, item)


def with_nan(value: Any) -> Iterator[Any]:
    """The value with NaN in each of its places."""
    yield math.nan
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: item} for item in with_nan(value[key]))
    elif isinstance(value, list):
        for at, old in enumerate(value):
            yield from ([*value[:at], item, *value[at + 1 :]] for item in with_nan(old))


def test_nan_in_any_place_of_a_valid_value_makes_it_invalid() -> None:
    closed = {**ORDER, "properties": {**ORDER["properties"], "address": ORDER["properties"]["address"]}}  # type: ignore[dict-item]
    schema = json.loads(json.dumps(closed).replace('"required": ["city"]', '"additionalProperties": false'))
    schema["properties"]["kind"]["type"] = "string"
    value = {"id": 1, "state": "paid", "kind": "a", "address": {"city": "a"}, "items": [{"city": "a"}, {}], "x-a": "b"}
    assert is_typed_throughout(schema)
    check = compile_schema(schema, engine="jsonschema-rs")
    assert check.is_valid(value)
    assert not any(map(check.is_valid, with_nan(value)))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "object"},
        {"type": "array"},
        {"properties": {"a": {"type": "number"}}, "additionalProperties": False},
        {"$ref": "#/definitions/a", "type": "string", "definitions": {"a": {}}},
        {"$schema": URIS["4"], "const": 1},
        {"type": "array", "items": [{"type": "number"}]},
        {"$schema": URIS["2020-12"], "type": "array", "prefixItems": [{}], "items": False},
    ],
    ids=str,
)
def test_nothing_is_claimed_of_a_schema_that_lets_nan_through(schema: Any) -> None:
    assert not is_typed_throughout(schema)
