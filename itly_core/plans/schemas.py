"""JSON Schemas of a plan: their draft, whether they are well-formed, and that they stand alone.

What passes here compiles at run time too: the last check is the run time's own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema
import referencing
import referencing.exceptions
import referencing.jsonschema

from ..errors import PlanError
from ..suggest import unknown
from ..validation import Draft, compile_schema, draft_of
from .syntax import Part

TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
URIS: dict[Draft, str] = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
_VALIDATORS: dict[Draft, Any] = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.Draft6Validator,
    "7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}
_SPECIFICATIONS: dict[Draft, Any] = {
    "4": referencing.jsonschema.DRAFT4,
    "6": referencing.jsonschema.DRAFT6,
    "7": referencing.jsonschema.DRAFT7,
    "2019-09": referencing.jsonschema.DRAFT201909,
    "2020-12": referencing.jsonschema.DRAFT202012,
}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def draft_named(part: Part) -> Draft:
    """A draft as plans name it: "7", "draft-07", "2020-12"."""
    name = re.sub(r"^draft-?0?", "", part.text())
    for draft in URIS:
        if name == draft:
            return draft
    raise part.error(f"unknown draft {part.value!r}; {unknown(name, URIS)}")


def normalised(part: Part, default: Draft) -> dict[str, Any]:
    """A raw schema under the one spelling of its draft's address; `default` where it names none."""
    entries = part.members()
    draft: Draft | None = default
    if "$schema" in entries:
        entries["$schema"].text()
        draft = draft_of(part.value)
        if draft is None:
            address = entries["$schema"]
            raise address.error(
                f"unknown JSON Schema draft {address.value!r}; {unknown(str(address.value), URIS.values())}"
            )
    assert draft is not None
    return _with_meta_schema({**part.value, "$schema": URIS[draft]}, draft)


def _with_meta_schema(schema: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The schema, with its draft's meta-schema inside where it refers to that (schemas of schemas do).

    Only the drafts whose meta-schema is one document: the later ones are spread over seven, tied by dynamic references.
    """
    if draft not in ("4", "6", "7"):
        return schema
    address = URIS[draft].rstrip("#")
    home = "#/definitions/json-schema"

    def outer(reference: str) -> str:
        return home if reference.rstrip("#") == address else reference

    def inner(reference: str) -> str:
        return home + reference.removeprefix("#") if reference.startswith("#") else reference

    redirected: dict[str, Any] = _with_references(schema, outer)
    if redirected == schema:
        return schema
    meta = {key: value for key, value in _VALIDATORS[draft].META_SCHEMA.items() if key not in ("id", "$id", "$schema")}
    definitions = {**redirected.get("definitions", {}), "json-schema": _with_references(meta, inner)}
    return {**redirected, "definitions": definitions}


def _with_references(value: Any, change: Callable[[str], str]) -> Any:
    """A copy in which every `$ref` is changed."""
    if isinstance(value, dict):
        return {
            key: change(item) if key == "$ref" and isinstance(item, str) else _with_references(item, change)
            for key, item in value.items()
        }
    return [_with_references(item, change) for item in value] if isinstance(value, list) else value


_NAMED = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE = (
    "items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "contains",
    "contentSchema", "not", "if", "then", "else", "propertyNames",
)  # fmt: skip


def rewritten(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy in which every schema, the innermost first, is changed. A property that is called like a keyword is none."""
    if not isinstance(schema, dict):
        return schema
    copy = dict(schema)
    for keyword in _NAMED:
        if isinstance(copy.get(keyword), dict):
            copy[keyword] = {name: rewritten(below, change) for name, below in copy[keyword].items()}
    for keyword in _LISTED:
        if isinstance(copy.get(keyword), list):
            copy[keyword] = [rewritten(below, change) for below in copy[keyword]]
    for keyword in _SINGLE:
        if isinstance(copy.get(keyword), dict):
            copy[keyword] = rewritten(copy[keyword], change)
    return change(copy)


def without(schema: Any, *keywords: str) -> Any:
    """A copy in which no schema has these keywords."""
    return rewritten(schema, lambda one: {key: value for key, value in one.items() if key not in keywords})


def moved(schema: Any, old: str, new: str) -> Any:
    """A copy for another place: what referred to `old`, as `#/properties/traits`, refers to `new`."""

    def change(reference: str) -> str:
        inside = reference == old or reference.startswith(old.rstrip("/") + "/")
        return new + reference.removeprefix(old) if inside else reference

    return _with_references(schema, change)


def check(schema: dict[str, Any], part: Part) -> None:
    """That a normalised schema can be used; `part` is where it was written, for the error.

    Raises:
        PlanError: it breaks its meta-schema, refers to something outside itself, or does not compile.
    """
    draft = draft_of(schema)
    assert draft is not None
    problem = _compile_problem(schema)
    # jsonschema says where a fault is. With the later drafts it takes 20 ms a schema, so it is asked when there is one.
    if problem is not None or draft in ("4", "6", "7"):
        try:
            _VALIDATORS[draft].check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
        except jsonschema.SchemaError as exc:
            raise part.at(*exc.absolute_path).error(_shortened(exc.message)) from exc
    _refuse_bad_references(schema, draft, part)
    if problem is not None:
        raise (_bad_pattern(part) or part).error(problem.message) from problem


def _compile_problem(schema: dict[str, Any]) -> PlanError | None:
    """Why the run time could not use the schema."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile_schema(schema)
    except PlanError as exc:
        return exc
    return None


def _bad_pattern(part: Part) -> Part | None:
    """The pattern that does not compile, if there is one: engines do not say where it stands."""
    for found in _walk(part):
        pattern = found.value.get("pattern") if isinstance(found.value, dict) else None
        if isinstance(pattern, str) and _compile_problem({"pattern": pattern}) is not None:
            return found.at("pattern")
    return None


def _shortened(text: str) -> str:
    line = text.splitlines()[0]
    return line if len(line) <= 300 else f"{line[:300]}…"


def _refuse_bad_references(schema: dict[str, Any], draft: Draft, part: Part) -> None:
    """References must stay inside, lead somewhere, and not lead back to themselves before a property or item is reached."""
    if not _mentions(schema, _REFERENCES):
        return
    specification = _SPECIFICATIONS[draft]
    resource = specification.create_resource(schema)
    registry = referencing.Registry().with_resource(resource.id() or "", resource).crawl()
    # What a reference leads to may stand where no keyword looks for schemas, so it is walked as well, once.
    pending = [(resource, registry.resolver(resource.id() or ""))]
    seen: dict[int, dict[str, Any]] = {}
    same_value: dict[int, list[int]] = {}  # from a schema to those that judge the same value
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        if id(contents) in seen or not isinstance(contents, dict):
            continue
        seen[id(contents)] = contents
        same_value[id(contents)] = [id(below) for below in _in_place(contents)]
        for keyword in _REFERENCES:
            reference = contents.get(keyword)
            if not isinstance(reference, str):
                continue
            if not reference.startswith("#"):
                message = f"{reference!r} is outside this schema; only references that begin with # are followed"
                raise _place(part, contents, keyword).error(message)
            try:
                found = resolver.lookup(reference)
            except referencing.exceptions.Unresolvable as exc:
                raise _place(part, contents, keyword).error(f"{reference!r} leads nowhere in this schema") from exc
            same_value[id(contents)].append(id(found.contents))
            pending.append((specification.create_resource(found.contents), found.resolver))
        pending.extend((below, resolver.in_subresource(below)) for below in resource.subresources())
    looping = _on_a_loop(same_value)
    if looping is not None:
        raise _place(part, seen[looping], None).error("refers to itself without end")


def _mentions(value: Any, keys: Sequence[str]) -> bool:
    """Whether one of these is a key of an object anywhere in the value."""
    if isinstance(value, dict):
        return any(key in value for key in keys) or any(_mentions(below, keys) for below in value.values())
    return isinstance(value, list) and any(_mentions(below, keys) for below in value)


def _in_place(schema: dict[str, Any]) -> Iterator[Any]:
    """The schemas inside that judge the same value, not one of its properties or items."""
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from schema[keyword] if isinstance(schema.get(keyword), list) else ()
    for keyword in ("dependentSchemas", "dependencies"):
        yield from schema[keyword].values() if isinstance(schema.get(keyword), dict) else ()
    yield from (schema[keyword] for keyword in ("not", "if", "then", "else") if keyword in schema)


def _on_a_loop(edges: Mapping[int, Sequence[int]]) -> int | None:
    """A node that a way leads back to; None if there is none."""
    done: set[int] = set()
    for start in edges:
        way: dict[int, Iterator[int]] = {} if start in done else {start: iter(edges[start])}
        while way:
            node, following = next(reversed(way.items()))
            below = next((other for other in following if other in edges and other not in done), None)
            if below is None:
                done.add(node)
                del way[node]
            elif below in way:
                return below
            else:
                way[below] = iter(edges[below])
    return None


def _place(part: Part, contents: Any, keyword: str | None) -> Part:
    """Where in the document a schema, or a keyword of it, stands. Searched only to report an error; by identity, since
    a raw schema's values are the document's own."""
    keys = () if keyword is None else (keyword,)
    for found in _walk(part):
        if found.value is contents:
            return found.at(*keys)
    return part.at(*keys)


def _walk(part: Part) -> Iterator[Part]:
    yield part
    if isinstance(part.value, dict):
        for key in part.value:
            yield from _walk(part.at(key))
    elif isinstance(part.value, list):
        for index in range(len(part.value)):
            yield from _walk(part.at(index))
