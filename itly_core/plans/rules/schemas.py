"""Rules about schemas: S001 to S013."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import PlanError, Violation
from ...patterns import backtracks_catastrophically
from ...suggest import unknown
from ...validation import Draft, compile_schema, draft_of
from .rule import SCHEMA, Entry, Found, Inspection, Rule, Spot, spots

_SAYS_WHAT = frozenset(
    {
        "type", "enum", "const", "$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "not", "if",
        "properties", "items", "prefixItems",
    }
)  # fmt: skip


def _untyped(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.properties:
        if not spot.is_branch and not _SAYS_WHAT & spot.schema.keys():
            yield spot.path, "may be anything: give it a type"


def _open(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        is_object = "object" in spot.types or (not spot.types and "properties" in spot.schema)
        if spot.is_branch or not is_object or spot.schema.get("unevaluatedProperties") is False:
            continue
        others = spot.schema.get("additionalProperties", True)
        if others is not True and others != {}:
            continue
        key = "additionalProperties" if entry.is_raw else "additional_properties"
        if spot.schema.get("properties") or spot.path == (SCHEMA,):
            yield spot.path, f"takes properties that nobody planned: say `{key}: false`"
        elif "patternProperties" not in spot.schema and not _BRANCHES & spot.schema.keys():
            yield spot.path, f"is an object of anything: list its properties, or say in `{key}` what they are"


_BRANCHES = frozenset({"allOf", "anyOf", "oneOf", "$ref", "if"})
_BOUNDS = (
    ({"string"}, [{"maxLength"}, {"pattern"}, {"format"}], "text of any length: say `maxLength`"),
    (
        {"integer", "number"},
        [{"minimum", "maximum"}, {"exclusiveMinimum", "maximum"}, {"minimum", "exclusiveMaximum"},
         {"exclusiveMinimum", "exclusiveMaximum"}],
        "a number of any size: say `minimum` and `maximum`",
    ),
)  # fmt: skip


def _unbounded(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        if spot.is_branch or spot.schema.keys() & {"enum", "const"}:
            continue
        for types, bounds, says in _BOUNDS:
            if spot.types & types and not any(bound <= spot.schema.keys() for bound in bounds):
                yield spot.path, f"is {says}"


def _loose_enum(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        values = spot.schema.get("enum")
        if not isinstance(values, list):
            continue
        kinds = {_kind(value) for value in values} - {"null"}
        if len(kinds) > 1:
            yield (*spot.path, "enum"), f"mixes values of kinds: {', '.join(sorted(kinds))}"
        elif entry.is_raw and kinds and not spot.is_branch and "type" not in spot.schema:
            yield (*spot.path, "enum"), f"has no type beside it: say `type: {kinds.pop()}`"


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null", list: "array"}
    return kinds.get(type(value), "object")


def _bad_patterns(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        named = spot.schema.get("patternProperties")
        below = [(key, (*spot.path, "patternProperties", key)) for key in named] if isinstance(named, dict) else []
        for pattern, path in [(spot.schema.get("pattern"), (*spot.path, "pattern")), *below]:
            problem = _pattern_problem(pattern) if isinstance(pattern, str) else ""
            if problem:
                yield path, problem


@functools.cache
def _pattern_problem(pattern: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
            hangs = backtracks_catastrophically(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        return f"is no regular expression for Python, which checks where jsonschema-rs cannot be installed: {exc}"
    return "can take for ever to fail: it repeats a repetition, and Python would try every way" if hangs else ""


def _array_of_anything(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        if (
            "array" in spot.types
            and not spot.is_branch
            and not {"items", "prefixItems", "contains"} & spot.schema.keys()
        ):
            yield spot.path, "is a list of anything: say what its `items` are"


def _wrong_examples(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    section, is_strict = entry.section, inspection.plan.formats != "off"
    constants = {
        name: schema["const"]
        for name, schema in (section.schema.get("properties") or {}).items()
        if isinstance(schema, dict) and "const" in schema
    }
    for index, example in enumerate(section.examples):
        for violation in _violations(section.schema, {**constants, **example}, is_strict):
            yield ("examples", index, *_steps(violation.path, example)), _said(violation)
    for spot in entry.properties:
        given = spot.schema.get("examples")
        values: list[tuple[Any, tuple[str | int, ...]]] = [
            (value, ("examples", index)) for index, value in enumerate(given if isinstance(given, list) else ())
        ]
        if "default" in spot.schema:
            values.append((spot.schema["default"], ("default",)))
        for value, path in values:
            for violation in _violations(_standing_alone(spot.schema, section.schema), value, is_strict):
                yield (*spot.path, *path), _said(violation)


def _steps(path: str, example: Mapping[str, Any]) -> tuple[str, ...]:
    """As much of a violation's path as names the property, where the example has it."""
    name = max(
        (name for name in example if path == name or path.startswith((f"{name}.", f"{name}["))), key=len, default=""
    )
    return (name,) if name else ()


def _said(violation: Violation) -> str:
    return f"is no valid example: {violation.path} {violation.message}".replace(":  ", ": ")


def _violations(schema: Mapping[str, Any], value: Any, is_strict: bool) -> tuple[Violation, ...]:
    try:
        return compile_schema(schema, formats="strict" if is_strict else "off").violations(value)
    except PlanError:  # a reference to what is elsewhere in the section
        return ()


def _standing_alone(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """A property's schema with what it needs of the section's."""
    shared = {key: root[key] for key in ("$schema", "$defs", "definitions") if key in root}
    return {**schema, **shared}


def _missing_property(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots:
        required = spot.schema.get("required")
        if spot.is_branch or not isinstance(required, list) or {"$ref", "patternProperties"} & spot.schema.keys():
            continue
        known = set(_property_names(spot))
        for index, name in enumerate(required):
            if isinstance(name, str) and name not in known:
                yield (*spot.path, "required", index), f"{name!r} is no property here; {unknown(name, known)}"


def _property_names(spot: Spot) -> Iterator[str]:
    """Those of the schema and of its branches."""
    pending: list[Any] = [spot.schema]
    while pending:
        schema = pending.pop()
        if isinstance(schema, dict):
            yield from schema.get("properties") or ()
            for keyword in ("allOf", "anyOf", "oneOf"):
                pending += schema.get(keyword) or ()
            pending += (schema.get(keyword) for keyword in ("if", "then", "else", "not"))


# --- what `itly pull` refuses: found in what was written, one and all


def remote_references(schema: Any, draft: Draft | None) -> Iterator[Found]:
    for spot in spots(schema, (SCHEMA,)):
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            reference = spot.schema.get(keyword)
            if isinstance(reference, str) and not reference.startswith("#"):
                yield (*spot.path, keyword), f"{reference!r} is outside this schema, and nothing is fetched"


def unknown_draft(schema: Any, draft: Draft | None) -> Iterator[Found]:
    if draft is None:
        yield (SCHEMA, "$schema"), f"{schema.get('$schema')!r} is no draft that is known here"


def boolean_bounds(schema: Any, draft: Draft | None) -> Iterator[Found]:
    for spot in spots(schema, (SCHEMA,)) if draft != "4" else ():
        for keyword, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(spot.schema.get(keyword), bool):
                yield (*spot.path, keyword), f"is true or false in draft 4 only: write the number here, not in {bound}"


REFUSED = {"S006": remote_references, "S007": unknown_draft, "S011": boolean_bounds}

# --- what a schema says that nobody reads

_ALWAYS = frozenset(
    {
        "$schema", "$ref", "$comment", "$id", "id", "title", "description", "default", "examples", "deprecated", "readOnly",
        "writeOnly", "contentEncoding", "contentMediaType", "contentSchema", "type", "enum", "const", "multipleOf",
        "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "format",
        "items", "additionalItems", "maxItems", "minItems", "uniqueItems", "contains", "maxProperties", "minProperties",
        "required", "properties", "patternProperties", "additionalProperties", "dependencies", "propertyNames", "allOf",
        "anyOf", "oneOf", "not", "if", "then", "else", "definitions", "$defs", "$anchor", "$vocabulary", "$dynamicRef",
        "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "dependentRequired", "dependentSchemas",
        "unevaluatedItems", "unevaluatedProperties", "minContains", "maxContains", "prefixItems",
    }
)  # fmt: skip
_ORDER: tuple[Draft, ...] = ("4", "6", "7", "2019-09", "2020-12")
_SINCE: dict[str, Draft] = {
    "const": "6", "contains": "6", "propertyNames": "6", "if": "7", "then": "7", "else": "7",
    "dependentRequired": "2019-09", "dependentSchemas": "2019-09", "unevaluatedItems": "2019-09",
    "unevaluatedProperties": "2019-09", "minContains": "2019-09", "maxContains": "2019-09", "prefixItems": "2020-12",
}  # fmt: skip


def _ignored_keywords(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    draft = draft_of(entry.section.schema) or "7"
    for spot in entry.spots if entry.is_raw else ():
        for keyword in spot.schema:
            since = _SINCE.get(keyword)
            if since is not None and _ORDER.index(draft) < _ORDER.index(since):
                yield (*spot.path, keyword), f"is ignored in draft {draft}: it exists since {since}"
            elif keyword not in _ALWAYS and not keyword.startswith("x-"):
                yield (*spot.path, keyword), f"is no keyword of JSON Schema, and ignored; {_nearest(keyword)}"


def _nearest(keyword: str) -> str:
    near = unknown(keyword, _ALWAYS)
    return near if near.startswith("did you mean") else "what is your own begins with x-"


FORMATS = frozenset(
    {
        "date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri",
        "uri-reference", "iri", "iri-reference", "uuid", "uri-template", "json-pointer", "relative-json-pointer", "regex",
    }
)  # fmt: skip


def _unknown_formats(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.spots if inspection.plan.formats != "off" else ():
        given = spot.schema.get("format")
        if isinstance(given, str) and given not in FORMATS:
            yield (*spot.path, "format"), f"{given!r} is no format that is checked; {unknown(given, FORMATS)}"


def _one(properties: str) -> str:
    return f"events: {{Order Placed: {{description: Somebody paid., properties: {{{properties}}}}}}}"


def _raw(schema: str) -> str:
    return (
        f"events: {{Order Placed: {{description: Somebody paid., schema: {{additionalProperties: false, {schema}}}}}}}"
    )


RULES = (
    Rule(
        id="S001",
        severity="warning",
        wants="A property has a type.",
        bad=_one("total: {description: What was paid.}"),
        good=_one("total: {type: number}"),
        find=_untyped,
    ),
    Rule(
        id="S002",
        severity="warning",
        wants="An object lists its properties and takes no others.",
        bad=_one("basket: {properties: {items: {type: integer}}, additional_properties: true}"),
        good=_one("basket: {properties: {items: {type: integer}}}, prices: {additional_properties: {type: number}}"),
        find=_open,
    ),
    Rule(
        id="S003",
        severity="off",
        wants="Text has a longest length, a number a least and a most.",
        bad=_one("coupon: {type: string}"),
        good=_one("coupon: {type: string, maxLength: 20}, items: {type: integer, minimum: 1, maximum: 100}"),
        find=_unbounded,
    ),
    Rule(
        id="S004",
        severity="warning",
        wants="The values of an enum are of one kind; in a JSON Schema, `type` says which.",
        bad=_one("channel: {enum: [web, app, 3]}"),
        good=_one("channel: {enum: [web, app], nullable: true}"),
        find=_loose_enum,
    ),
    Rule(
        id="S005",
        severity="error",
        wants="A pattern works in Python too, and cannot hang.",
        bad=_one("coupon: {type: string, pattern: '^(a+)+$'}"),
        good=_one("coupon: {type: string, pattern: '^[A-Z]{4}$'}"),
        find=_bad_patterns,
    ),
    Rule(
        id="S006",
        severity="error",
        wants="A `$ref` stays inside its schema.",
        bad=_raw("properties: {total: {$ref: 'https://shop.example/money.json'}}"),
        good=_raw("properties: {total: {$ref: '#/definitions/money'}}, definitions: {money: {type: number}}"),
        is_refused=True,
    ),
    Rule(
        id="S007",
        severity="error",
        wants="`$schema` names a draft that is known.",
        bad=_raw("$schema: 'http://json-schema.org/draft-03/schema#'"),
        good=_raw("$schema: 'http://json-schema.org/draft-07/schema#'"),
        is_refused=True,
    ),
    Rule(
        id="S008",
        severity="warning",
        wants="An array says what its items are.",
        bad=_one("coupons: {type: array}"),
        good=_one("coupons: {type: 'string[]'}"),
        find=_array_of_anything,
    ),
    Rule(
        id="S009",
        severity="error",
        wants="Examples and defaults are valid, formats included.",
        bad=_one("total: {type: number, example: a lot}"),
        good=_one("total: {type: number, example: 9.5}"),
        find=_wrong_examples,
    ),
    Rule(
        id="S010",
        severity="error",
        wants="What is required is one of the properties.",
        bad=_raw("properties: {total: {type: number}}, required: [totals]"),
        good=_raw("properties: {total: {type: number}}, required: [total]"),
        find=_missing_property,
    ),
    Rule(
        id="S011",
        severity="error",
        wants="`exclusiveMinimum` and `exclusiveMaximum` are numbers, but in draft 4.",
        bad=_raw("properties: {total: {type: number, minimum: 0, exclusiveMinimum: true}}"),
        good=_raw("properties: {total: {type: number, exclusiveMinimum: 0}}"),
        is_refused=True,
    ),
    Rule(
        id="S012",
        severity="warning",
        wants="A JSON Schema has no keyword that its draft ignores.",
        bad=_raw("properties: {total: {type: number, mininum: 0}}"),
        good=_raw("properties: {total: {type: number, minimum: 0, x-note: net}}"),
        find=_ignored_keywords,
    ),
    Rule(
        id="S013",
        severity="warning",
        wants="A `format` is one that can be checked.",
        bad=_one("paid_at: {type: string, format: datetime}"),
        good=_one("paid_at: {type: string, format: date-time}"),
        find=_unknown_formats,
    ),
)
