"""Schemas and instances for property-based tests: valid ones, and ones that miss by a little.

Everything is drawn from a `random.Random`, which Hypothesis can shrink (`st.randoms()`) and a loop can seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any

from itly_core.validation import Draft

URIS: Mapping[Draft, str] = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
NAMES = ("a", "b", "c", "_d", "x-e")
TEXTS = ("", "a", "b", "abc", "x-1", "2026-01-02", "äö", "A" * 20, "null", "1")
PATTERNS = ("^a", "b", "^[a-z]+-[0-9]$", "c$|^A", "^.{3}")
NUMBERS = (0, 1, 2, 3, 7, -1, 1.0, 2.5, 10, 1e9, 2**53 + 1, -0.0)
TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")


def some_json(rng: Random, depth: int = 2, *, finite: bool = True) -> Any:
    """Any JSON value; with `finite=False` also NaN and infinities."""
    kind = rng.randrange(8 if depth else 6)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice((True, False, None))
    if kind == 3 and not finite:
        return rng.choice((math.nan, math.inf))
    if kind < 6:
        return rng.choice((*TEXTS, *NUMBERS, True, False, None))
    if kind == 6:
        return [some_json(rng, depth - 1, finite=finite) for _ in range(rng.randrange(4))]
    return {rng.choice(NAMES): some_json(rng, depth - 1, finite=finite) for _ in range(rng.randrange(4))}


def some_schema(rng: Random, draft: Draft, depth: int = 3) -> Any:
    """A schema of that draft, without its `$schema`. Only keywords both engines read alike."""
    kind = rng.randrange(12)
    if kind == 0 and draft != "4":
        return rng.choice((True, False, {}))
    if kind == 1:
        return {"enum": rng.sample((*TEXTS, 0, 2.5, True, None, [], {"a": 1}), rng.randrange(1, 4))}
    if kind == 2 and draft != "4":
        return {"const": some_json(rng, 1)}
    if kind == 3 and depth:
        word = rng.choice(("anyOf", "oneOf", "allOf"))
        return {word: [some_schema(rng, draft, depth - 1) for _ in range(rng.randrange(1, 4))]}
    if kind == 4 and depth:
        return {"not": some_schema(rng, draft, depth - 1)}
    if kind == 5 and depth:
        return {"$ref": "#/definitions/shared", "type": rng.choice(TYPES)}
    if kind == 6 and depth and draft not in ("4", "6"):
        return {word: some_schema(rng, draft, depth - 1) for word in ("if", "then", "else")}
    found: dict[str, Any] = {}
    if rng.random() < 0.9:
        found["type"] = rng.choice(TYPES) if rng.random() < 0.7 else rng.sample(TYPES, 2)
    kinds = _types(found)
    if "string" in kinds:
        _maybe(rng, found, minLength=rng.randrange(3), maxLength=rng.randrange(2, 6), pattern=rng.choice(PATTERNS))
    if {"integer", "number"} & kinds:
        _maybe(rng, found, minimum=rng.choice((0, 1)), maximum=rng.choice((2, 3)), multipleOf=rng.choice((1, 2, 3)))
        exclusive: Any = True if draft == "4" else 1
        if draft != "4" or "minimum" in found:
            _maybe(rng, found, exclusiveMinimum=exclusive)
    if "array" in kinds and depth:
        _maybe(rng, found, minItems=rng.randrange(2), maxItems=rng.randrange(1, 4), uniqueItems=True)
        _arrays(rng, found, draft, depth - 1)
    if "object" in kinds and depth:
        _objects(rng, found, draft, depth - 1)
    return found


def some_document(rng: Random, draft: Draft) -> dict[str, Any]:
    """A whole schema with its `$schema` and a definition to refer to."""
    shared = rng.choice(({"type": "string"}, {"type": ["integer", "null"]}, {}, {"enum": [None, 1]}))
    properties = {name: some_schema(rng, draft) for name in NAMES if rng.random() < 0.6}
    document = {
        "$schema": URIS[draft],
        "type": "object",
        "properties": properties,
        "definitions": {"shared": shared},
    }
    _maybe(rng, document, required=rng.sample(NAMES, rng.randrange(1, 3)))
    _maybe(rng, document, additionalProperties=rng.random() < 0.2, patternProperties={"^x-": {"type": "string"}})
    if rng.random() < 0.3 and draft != "4":
        document["propertyNames"] = {"maxLength": rng.randrange(1, 4)}
    if rng.random() < 0.3:
        if draft in ("4", "6", "7"):
            document["dependencies"] = {"a": ["b"], "c": {"required": ["_d"]}}
        else:
            document["dependentRequired"] = {"a": ["b"]}
            document["dependentSchemas"] = {"c": {"required": ["_d"]}}
    return document


def instance_of(schema: Any, rng: Random, root: Any = None, *, finite: bool = True, depth: int = 6) -> Any:
    """A value that mostly fits the schema, and sometimes anything."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping) or depth == 0 or rng.random() < 0.06:
        return some_json(rng, 1, finite=finite)
    if not finite and rng.random() < 0.05:
        return math.nan

    def below(part: Any) -> Any:
        return instance_of(part, rng, root, finite=finite, depth=depth - 1)

    if "$ref" in schema:
        return below(_resolve(schema["$ref"], root))
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return below({**schema, word: None, **_as_mapping(rng.choice(schema[word]))})
    if schema.get("allOf"):
        merged: dict[str, Any] = {**schema, "allOf": None}
        for part in schema["allOf"]:
            merged.update(_as_mapping(part))
        return below(merged)
    kinds = sorted(_types(schema)) or ["object" if "properties" in schema else rng.choice(TYPES)]
    kind = rng.choice(kinds)
    if kind == "string":
        return _text(schema, rng)
    if kind in ("integer", "number"):
        return _number(schema, rng, kind)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "array":
        return _array(schema, rng, below)
    if kind == "object":
        return _object(schema, rng, below, finite)
    return None


def has_nan(value: Any) -> bool:
    """Whether there is a number in it that JSON has no form for."""
    if isinstance(value, float):
        return not math.isfinite(value)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(has_nan, items))


def _maybe(rng: Random, found: dict[str, Any], **words: Any) -> None:
    found.update({word: value for word, value in words.items() if rng.random() < 0.35})


def _types(schema: Mapping[str, Any]) -> set[str]:
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _as_mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _arrays(rng: Random, found: dict[str, Any], draft: Draft, depth: int) -> None:
    if rng.random() < 0.7:
        found["items"] = some_schema(rng, draft, depth)
    if rng.random() < 0.3:
        tuple_of = [some_schema(rng, draft, depth) for _ in range(2)]
        if draft == "2020-12":
            found["prefixItems"] = tuple_of
        else:
            found["items"] = tuple_of
            found["additionalItems"] = some_schema(rng, draft, depth) if draft != "4" else False
    if rng.random() < 0.2 and draft != "4":
        found["contains"] = some_schema(rng, draft, depth)
    closable = draft in ("2019-09", "2020-12") and not isinstance(found.get("items"), bool)
    if closable and rng.random() < 0.2:
        found["unevaluatedItems"] = rng.random() < 0.5


def _objects(rng: Random, found: dict[str, Any], draft: Draft, depth: int) -> None:
    if rng.random() < 0.8:
        found["properties"] = {name: some_schema(rng, draft, depth) for name in rng.sample(NAMES, 2)}
    _maybe(rng, found, required=[rng.choice(NAMES)], minProperties=rng.randrange(2), maxProperties=rng.randrange(1, 4))
    if rng.random() < 0.3:
        found["patternProperties"] = {"^x-": some_schema(rng, draft, depth)}
    if rng.random() < 0.5:
        found["additionalProperties"] = rng.choice((False, True, some_schema(rng, draft, depth)))
    elif draft in ("2019-09", "2020-12") and rng.random() < 0.3:
        found["unevaluatedProperties"] = False


def _resolve(reference: str, root: Any) -> Any:
    part = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            part = part.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(part, Mapping) else {}
    return part


def _text(schema: Mapping[str, Any], rng: Random) -> str:
    text = rng.choice(
        (*TEXTS, "abc-1", "a@example.com", "2026-01-02T03:04:05Z", "00000000-0000-0000-0000-000000000001")
    )
    low, high = schema.get("minLength") or 0, schema.get("maxLength")
    if rng.random() < 0.8:
        text = text.ljust(min(low, 2000), "a")
        text = text if high is None else text[:high]
    return text


def _number(schema: Mapping[str, Any], rng: Random, kind: str) -> Any:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and rng.random() < 0.8:
        return rng.randint(math.ceil(low), max(math.ceil(low), math.floor(high)))
    if low is not None and rng.random() < 0.5:
        return low + rng.randrange(3) - 1
    return rng.choice(NUMBERS) if kind == "number" else rng.choice([item for item in NUMBERS if item == int(item)])


def _array(schema: Mapping[str, Any], rng: Random, below: Any) -> list[Any]:
    items = schema.get("items", {})
    first = schema.get("prefixItems") or (items if isinstance(items, list) else [])
    rest = schema.get("additionalItems", {}) if isinstance(items, list) else items
    found = [below(part) for part in first[: rng.randrange(len(first) + 1)]]
    least = min(schema.get("minItems") or 0, 5)
    while len(found) < least or rng.random() < 0.4:
        found.append(below(rest))
    return found


def _object(schema: Mapping[str, Any], rng: Random, below: Any, finite: bool) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = schema.get("required") or ()
    found = {
        name: below(part) for name, part in properties.items() if rng.random() < (0.95 if name in required else 0.5)
    }
    for name in required:
        if name not in properties and rng.random() < 0.9:
            found[name] = some_json(rng, 1, finite=finite)
    if rng.random() < 0.15:
        found[rng.choice(NAMES)] = some_json(rng, 1, finite=finite)
    return found
