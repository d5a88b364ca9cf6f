"""Two JSON Schemas, compared: does the new one take all that the old one takes, and where not?

A schema is read as what it says of each JSON type, so that `nullable`, unions and references are seen through. What
combinators say beyond that (`if`, `not`, overlapping `oneOf`, …) is compared by equality: where it differs the answer is
"undecidable", never a guess. A rule that got stricter is called narrower even where an unchanged combinator beside it
may have refused those values before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import unquote

from ..validation import Draft, compile_schema, draft_of

Json = Mapping[str, Any]


class Direction(Enum):
    """What the new schema takes, against the old one.

    other: it takes some values no longer, and others newly. same: as many; only texts differ.
    """

    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"
    UNDECIDABLE = "undecidable"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One way in which two schemas differ.

    path: names of properties; `[]` for the items of an array, `*` for properties that are not listed.
    rule: the JSON Schema keyword; `added` or `removed` where a property came or went. message: what is different, in words.
    spoils_all: nothing that was right as a whole before is right now.
    """

    path: tuple[str, ...]
    rule: str
    direction: Direction
    message: str
    spoils_all: bool = False


def compare(old: Json, new: Json, *, asserts_formats: bool = False) -> list[Difference]:
    """How two complete schemas differ. asserts_formats: `format` is a rule, not a text."""
    old_reader, new_reader = _Reader(old, asserts_formats), _Reader(new, asserts_formats)
    return list(_Comparison(old_reader, new_reader).nodes((), [old], [new]))


@dataclass(frozen=True)
class Members:
    """What a complete schema says of the properties at its top.

    definitions: name -> its schema as text, the same for equal ones. additional: as text, what is said of the others.
    """

    definitions: Mapping[str, str]
    required: frozenset[str]
    additional: str


def members(schema: Json) -> Members:
    reader = _Reader(schema, False)
    facet = reader.facets([schema]).get("object", _Facet())
    definitions = {name: reader.written_out(list(nodes)) for name, nodes in facet.properties.items()}
    return Members(definitions, facet.required, reader.written_out(list(facet.additional)))


# --- reading a schema -------------------------------------------------------------------------------------------------

# `integer` are the whole numbers, `number` the others: a schema's "number" is both.
TYPES = ("null", "boolean", "string", "integer", "number", "array", "object")

_LOWER = {"minLength": "string", "minItems": "array", "minProperties": "object"}
_UPPER = {"maxLength": "string", "maxItems": "array", "maxProperties": "object"}
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_TEXTS = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment")
_HANDLED = frozenset(
    {
        *_LOWER, *_UPPER, *_NUMBERS, *_TEXTS, "type", "enum", "const", "pattern", "format", "uniqueItems", "items",
        "properties", "required", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "$ref",
        "$schema", "$id", "id", "$defs", "definitions", "self", "$anchor",
    }
)  # fmt: skip
_COMBINATORS = {
    "not": TYPES, "if": TYPES, "then": TYPES, "else": TYPES, "$dynamicRef": TYPES, "$recursiveRef": TYPES,
    "patternProperties": ("object",), "propertyNames": ("object",), "dependencies": ("object",),
    "dependentRequired": ("object",), "dependentSchemas": ("object",), "contains": ("array",),
    "minContains": ("array",), "maxContains": ("array",), "prefixItems": ("array",), "additionalItems": ("array",),
    "unevaluatedItems": ("array",),
}  # fmt: skip
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "if", "then", "else", "$ref", "dependentSchemas", "dependencies"})


@dataclass(frozen=True)
class _Facet:
    """What a schema says of the values of one type.

    limits: keyword -> value, of those that are one number. values: all that are right, None where they are not listed.
    patterns, formats, factors: those that must all hold. properties: name -> the schemas that all hold for it.
    additional: the schemas for properties that are not listed; False among them refuses. items: as properties.
    combinators: keyword -> its value with references written out, for comparison by equality.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    values: tuple[Any, ...] | None = None
    patterns: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    factors: frozenset[float] = frozenset()
    is_unique: bool = False
    items: tuple[Any, ...] = ()
    properties: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    additional: tuple[Any, ...] = ()
    combinators: Mapping[str, str] = field(default_factory=dict)

    def combined(self, keyword: str, value: str) -> _Facet:
        had = self.combinators.get(keyword)
        return replace(self, combinators={**self.combinators, keyword: value if had is None else f"{had}\n{value}"})


Facets = Mapping[str, _Facet]


class _Reader:
    """Reads the schemas inside one complete schema."""

    def __init__(self, root: Json, asserts_formats: bool) -> None:
        self.root = root
        self.draft: Draft = draft_of(root) or "7"
        self.asserts_formats = asserts_formats
        self.ignores_beside_ref = self.draft in ("4", "6", "7")

    def facets(self, schemas: Iterable[Any]) -> Facets:
        """What several schemas say together, by type; a type that is missing is refused."""
        facets: Facets = {kind: _Facet() for kind in TYPES}
        for schema in schemas:
            facets = self._restricted(facets, schema, frozenset())
        return {kind: _listed(kind, facet) for kind, facet in facets.items()}

    def _restricted(self, facets: Facets, schema: Any, seen: frozenset[int]) -> Facets:
        if schema is False:
            return {}
        if not isinstance(schema, Mapping) or id(schema) in seen:
            return facets
        seen |= {id(schema)}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self.target(reference)
            if target is None:
                return _each(facets, TYPES, _Facet.combined, "$ref", reference)
            facets = self._restricted(facets, target, seen)
            if self.ignores_beside_ref:
                return facets
        facets = self._typed(facets, schema)
        facets = self._limited(facets, schema)
        facets = self._structured(facets, schema)
        for keyword, kinds in _COMBINATORS.items():
            if keyword in schema:
                facets = _each(facets, kinds, _Facet.combined, keyword, self.written_out(schema[keyword]))
        for part in _list(schema.get("allOf")):
            facets = self._restricted(facets, part, seen)
        for keyword in ("anyOf", "oneOf"):
            branches = _list(schema.get(keyword))
            if branches:
                facets = self._branched(facets, keyword, branches, seen)
        return facets

    def _typed(self, facets: Facets, schema: Json) -> Facets:
        if "type" in schema:
            kinds = set(_list(schema["type"]) or [schema["type"]])
            if "number" in kinds:
                kinds.add("integer")
            facets = {kind: facet for kind, facet in facets.items() if kind in kinds}
        lists = [_list(schema["enum"])] if "enum" in schema else []
        if "const" in schema and self.draft != "4":
            lists.append([schema["const"]])
        for values in lists:
            by_kind: dict[str, list[Any]] = {}
            for value in values:
                by_kind.setdefault(_kind(value), []).append(value)
            facets = {
                kind: replace(facet, values=_common(facet.values, by_kind[kind]))
                for kind, facet in facets.items()
                if kind in by_kind
            }
        return facets

    def _limited(self, facets: Facets, schema: Json) -> Facets:
        for keyword, kind in (*_LOWER.items(), *_UPPER.items()):
            limit = _number(schema.get(keyword))
            if limit is not None:
                tighter = max if keyword in _LOWER else min
                facets = _each(facets, (kind,), _limit, keyword, limit, tighter)
        for keyword, value in _bounds(schema):
            tighter = max if keyword in ("minimum", "exclusiveMinimum") else min
            facets = _each(facets, ("integer", "number"), _limit, keyword, value, tighter)
        factor = _number(schema.get("multipleOf"))
        if factor is not None:
            facets = _each(
                facets, ("integer", "number"), lambda facet: replace(facet, factors=facet.factors | {factor})
            )
        pattern, form = schema.get("pattern"), schema.get("format")
        if isinstance(pattern, str):
            facets = _each(facets, ("string",), lambda facet: replace(facet, patterns=facet.patterns | {pattern}))
        if isinstance(form, str) and self.asserts_formats:
            facets = _each(facets, ("string",), lambda facet: replace(facet, formats=facet.formats | {form}))
        if schema.get("uniqueItems") is True:
            facets = _each(facets, ("array",), lambda facet: replace(facet, is_unique=True))
        return facets

    def _structured(self, facets: Facets, schema: Json) -> Facets:
        items = schema.get("items")
        if isinstance(items, list) or "prefixItems" in schema:
            text = self.written_out([items, schema.get("prefixItems"), schema.get("additionalItems")])
            facets = _each(facets, ("array",), _Facet.combined, "items", text)
        elif items is not None and items is not True:
            facets = _each(facets, ("array",), lambda facet: replace(facet, items=(*facet.items, items)))
        return _each(facets, ("object",), self._object, schema)

    def _object(self, facet: _Facet, schema: Json) -> _Facet:
        properties = _map(schema.get("properties"))
        rest: list[Any] = [schema["additionalProperties"]] if "additionalProperties" in schema else []
        if "unevaluatedProperties" in schema:
            if _IN_PLACE.isdisjoint(schema):  # then it means the same
                rest.append(schema["unevaluatedProperties"])
            else:
                facet = facet.combined("unevaluatedProperties", self.written_out(schema["unevaluatedProperties"]))
        rest = [item for item in rest if not _is_anything(item)]
        if (rest and (facet.properties or facet.additional)) or (properties and facet.additional):
            # Each refuses what only the other lists: together they are no object of one list.
            own = {key: schema[key] for key in ("properties", "additionalProperties") if key in schema}
            facet = facet.combined("allOf", self.written_out(own))
            rest = []
        merged = {name: (*facet.properties.get(name, ()), item) for name, item in properties.items()}
        required = frozenset(name for name in _list(schema.get("required")) if isinstance(name, str))
        return replace(
            facet,
            properties={**facet.properties, **merged},
            required=facet.required | required,
            additional=(*facet.additional, *rest),
        )

    def _branched(self, facets: Facets, keyword: str, branches: Sequence[Any], seen: frozenset[int]) -> Facets:
        """Alternatives that share no type are taken apart; so are lists of values. Others are combinators."""
        found: dict[str, _Facet] = {}
        for branch in branches:
            for kind, facet in self._restricted(facets, branch, seen).items():
                before = found.get(kind)
                joined = facet if before is None else _either(before, facet, is_exclusive=keyword == "oneOf")
                if joined is None:
                    return _each(facets, TYPES, _Facet.combined, keyword, self.written_out(list(branches)))
                found[kind] = joined
        return found

    def identity(self, schema: Any) -> int:
        """The same for a schema and a reference to it."""
        while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str) and len(schema) == 1:
            target = self.target(schema["$ref"])
            if not isinstance(target, Mapping):
                break
            schema = target
        return id(schema)

    def target(self, reference: str) -> Any:
        """What a local reference leads to; None where that cannot be told."""
        if not reference.startswith("#"):
            return None
        found: Any = self.root
        for step in reference[1:].split("/")[1:] if reference != "#" else []:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found if reference == "#" or reference.startswith("#/") else None

    def written_out(self, value: Any) -> str:
        """A value as text, the same for equal ones: references followed, texts for people left out."""
        return json.dumps(self._inlined(value, ()), sort_keys=True)

    def _inlined(self, value: Any, open_references: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [self._inlined(item, open_references) for item in value]
        if not isinstance(value, Mapping):
            return int(value) if isinstance(value, float) and value.is_integer() else value
        out = {
            key: self._inlined(item, open_references)
            for key, item in value.items()
            if key not in _TEXTS or isinstance(item, Mapping)  # an object here may be the property of that name
        }
        reference = value.get("$ref")
        if isinstance(reference, str) and reference not in open_references:
            target = self.target(reference)
            if target is not None:
                out["$ref"] = self._inlined(target, (*open_references, reference))
        return out

    def accepts(self, schemas: Sequence[Any]) -> Callable[[Any], bool]:
        """The verdict of schemas inside this one."""
        home = {"definitions": {"root": _moved(self.root)}}
        parts = {"allOf": [_moved(schema) for schema in schemas]}
        return compile_schema({"$schema": self.root.get("$schema", ""), **home, **parts}).is_valid


def _each(facets: Facets, kinds: Iterable[str], change: Callable[..., _Facet], *arguments: Any) -> Facets:
    return {kind: change(facet, *arguments) if kind in kinds else facet for kind, facet in facets.items()}


def _limit(facet: _Facet, keyword: str, value: float, tighter: Callable[[float, float], float]) -> _Facet:
    had = facet.limits.get(keyword)
    return replace(facet, limits={**facet.limits, keyword: value if had is None else tighter(had, value)})


def _bounds(schema: Json) -> Iterator[tuple[str, float]]:
    """Bounds as later drafts spell them: in draft 4 the exclusive ones are flags."""
    for plain, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        bound = _number(schema.get(plain))
        if bound is not None:
            yield (exclusive if schema.get(exclusive) is True else plain), bound
        other = _number(schema.get(exclusive))
        if other is not None:
            yield exclusive, other


def _either(one: _Facet, other: _Facet, *, is_exclusive: bool) -> _Facet | None:
    """What either of two facets allows, where it is a list of values; None where it is not."""
    if one.values is None or other.values is None or one.combinators or other.combinators:
        return None
    shared = [value for value in other.values if _is_in(value, one.values)]
    if shared and is_exclusive:
        return None
    return replace(one, values=(*one.values, *(value for value in other.values if value not in shared)))


def _are_listed(old: Facets, new: Facets) -> bool:
    """Whether both are lists of values, by their schemas' own words on one side at least."""
    facets = [*old.items(), *new.items()]
    return all(facet.values is not None for _, facet in facets) and any(
        kind not in ("null", "boolean") for kind, _ in facets
    )


def _listed(kind: str, facet: _Facet) -> _Facet:
    """Types that have few values anyway have them listed."""
    if facet.values is None and kind in ("null", "boolean"):
        return replace(facet, values=(None,) if kind == "null" else (False, True))
    return facet


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return {type(None): "null", str: "string", list: "array"}.get(type(value), "object")


def _common(one: tuple[Any, ...] | None, other: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(other if one is None else (value for value in one if _is_in(value, other)))


def _is_in(value: Any, values: Iterable[Any]) -> bool:
    return any(same(value, other) for other in values)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _are_same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Whether these schemas are equal wherever they stand."""
    return len(old) == len(new) and all(map(same, old, new)) and not any(map(_refers, old))


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(key in value for key in _REFERENCES) or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and value not in (math.inf, -math.inf) and value == value else None


def _moved(value: Any) -> Any:
    """A copy for a place at `#/definitions/root`, with references that lead there."""
    if isinstance(value, list):
        return [_moved(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: f"#/definitions/root{item[1:]}" if key == "$ref" and isinstance(item, str) else _moved(item)
        for key, item in value.items()
        if not (key in ("$id", "id", "$schema") and not isinstance(item, Mapping))
    }


def _is_anything(schema: Any) -> bool:
    return schema is True or (isinstance(schema, Mapping) and all(key in _TEXTS or key[:2] == "x-" for key in schema))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


# --- comparing --------------------------------------------------------------------------------------------------------

Path = tuple[str, ...]
Nodes = Sequence[Any]


class _Comparison:
    def __init__(self, old: _Reader, new: _Reader) -> None:
        self.old = old
        self.new = new
        self.open: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def nodes(self, path: Path, old: Nodes, new: Nodes, *, is_required: bool = True) -> Iterator[Difference]:
        """Differences of what stands at a path. is_required: there is always a value."""
        if self.old.draft == self.new.draft and _are_same(old, new):
            return  # as most of a plan is
        pair = (tuple(map(self.old.identity, old)), tuple(map(self.new.identity, new)))
        if pair in self.open:  # a schema that contains itself
            return
        self.open.add(pair)
        yield from self.texts(path, old, new)
        yield from self.rules(path, old, new, is_required)
        self.open.discard(pair)

    def rules(self, path: Path, old: Nodes, new: Nodes, is_required: bool) -> Iterator[Difference]:
        before, after = self.old.facets(old), self.new.facets(new)
        if _are_listed(before, after):
            yield from self.values(path, [(before.get(kind), after.get(kind)) for kind in TYPES], old, new, is_required)
            return
        yield from self.kinds(path, before, after, is_required)
        told: set[tuple[str, Direction, str]] = set()
        listed: list[tuple[_Facet | None, _Facet | None]] = []
        for kind in (kind for kind in TYPES if kind in before and kind in after):
            if before[kind].values is not None or after[kind].values is not None:
                listed.append((before[kind], after[kind]))
                continue
            for found in self.facet(path, kind, before[kind], after[kind], is_required and len(before) == 1):
                key = (found.rule, found.direction, found.message)
                if found.path == path:  # whole numbers and others are told of once
                    if key in told:
                        continue
                    told.add(key)
                yield found
        yield from self.values(path, listed, old, new, is_required)

    def texts(self, path: Path, old: Nodes, new: Nodes) -> Iterator[Difference]:
        """What differs and is for people only."""
        before, after = _said(old), _said(new)
        for keyword in sorted({*before, *after}):
            if keyword == "format" and self.new.asserts_formats:
                continue
            if not same(before.get(keyword), after.get(keyword)):
                name = keyword.removeprefix("x-")
                word = "added" if keyword not in before else "removed" if keyword not in after else "changed"
                yield Difference(path=path, rule=keyword, direction=Direction.SAME, message=f"{name} {word}")

    def kinds(self, path: Path, before: Facets, after: Facets, is_required: bool) -> Iterator[Difference]:
        lost = [kind for kind in TYPES if kind in before and kind not in after]
        gained = [kind for kind in TYPES if kind in after and kind not in before]
        if not lost and not gained:
            return
        direction = Direction.OTHER if lost and gained else Direction.NARROWER if lost else Direction.WIDER
        yield Difference(
            path=path,
            rule="type",
            direction=direction,
            message=f"{_kinds_text(before)} -> {_kinds_text(after)}",
            spoils_all=is_required and not (before.keys() & after.keys()),
        )

    def values(
        self,
        path: Path,
        pairs: Sequence[tuple[_Facet | None, _Facet | None]],
        old: Nodes,
        new: Nodes,
        is_required: bool,
    ) -> Iterator[Difference]:
        """Lists of allowed values, of either side or both. pairs: the facets of each type; None where it is refused."""
        lost: list[Any] = []
        gained: list[Any] = []
        allowed: list[Any] = []  # where there was no list before
        is_freed, is_any_kept = False, False
        for before, after in pairs:
            if before is not None and before.values is None:
                allowed += after.values or () if after is not None else ()
                continue
            was = [] if before is None else self.really(self.old, old, before)
            if after is not None and after.values is None:
                is_freed = True
                accepts = self.new.accepts(new)
                refused = [value for value in was if not accepts(value)]
            else:
                now = [] if after is None else self.really(self.new, new, after)
                refused = [value for value in was if not _is_in(value, now)]
                gained += [value for value in now if not _is_in(value, was)]
            lost += refused
            is_any_kept = is_any_kept or len(refused) < len(was)
        if allowed:
            message = f"only {_values_text(allowed)} from now on"
            yield Difference(path=path, rule="enum", direction=Direction.NARROWER, message=message)
        if is_freed and not lost:
            yield Difference(path=path, rule="enum", direction=Direction.WIDER, message="no list of values any more")
        is_all_lost = bool(lost) and is_required and not is_any_kept and not allowed
        if is_all_lost and len(lost) == len(gained) == 1:
            message = f"{_value_text(lost[0])} -> {_value_text(gained[0])}"
            yield Difference(path=path, rule="const", direction=Direction.OTHER, message=message, spoils_all=True)
        elif lost:
            more = f"; added: {_values_text(gained)}" if gained else ""
            yield Difference(
                path=path,
                rule="enum",
                direction=Direction.OTHER if gained or is_freed else Direction.NARROWER,
                message=f"values removed: {_values_text(lost)}{more}",
                spoils_all=is_all_lost,
            )
        elif gained:
            message = f"values added: {_values_text(gained)}"
            yield Difference(path=path, rule="enum", direction=Direction.WIDER, message=message)

    @staticmethod
    def really(reader: _Reader, nodes: Nodes, facet: _Facet) -> list[Any]:
        """The listed values that the other rules beside the list let pass."""
        values = list(facet.values or ())
        if replace(facet, values=None) == _Facet():
            return values
        accepts = reader.accepts(nodes)
        return [value for value in values if accepts(value)]

    def facet(self, path: Path, kind: str, old: _Facet, new: _Facet, is_required: bool) -> Iterator[Difference]:
        """What differs for values of one type. is_required: there always is one."""
        for keyword in sorted({*old.combinators, *new.combinators}):
            before, after = old.combinators.get(keyword), new.combinators.get(keyword)
            if before == after:
                continue
            if after is None:
                yield Difference(path=path, rule=keyword, direction=Direction.WIDER, message=f"`{keyword}` removed")
            else:
                word = "added" if before is None else "changed"
                message = f"`{keyword}` {word}: what that refuses is not for a comparison to say"
                yield Difference(path=path, rule=keyword, direction=Direction.UNDECIDABLE, message=message)
        yield from self.limits(path, kind, old, new)
        if kind == "string":
            yield from _sets(path, "pattern", old.patterns, new.patterns)
            yield from _sets(path, "format", old.formats, new.formats)
        elif kind == "array":
            yield from self.array(path, old, new)
        elif kind == "object":
            yield from self.object(path, old, new, is_required)

    def limits(self, path: Path, kind: str, old: _Facet, new: _Facet) -> Iterator[Difference]:
        numeric = kind in ("integer", "number")
        for low, keyword, exclusive in _LIMITS:
            before, after = _edge(old, keyword, exclusive, low, kind), _edge(new, keyword, exclusive, low, kind)
            if before == after:
                continue
            is_tighter = before is None or (after is not None and (after > before if low else after < before))
            word = exclusive if exclusive and exclusive in (new if after is not None else old).limits else keyword
            message = _limit_text(word, old, new, keyword, exclusive)
            direction = Direction.NARROWER if after is not None and is_tighter else Direction.WIDER
            yield Difference(path=path, rule=word, direction=direction, message=message)
        was, now = _factors(kind, old), _factors(kind, new)
        if numeric and was != now:
            words = (", ".join(map(_plain, sorted(facet.factors))) or "none" for facet in (old, new))
            message = f"multipleOf {' -> '.join(words)}"
            yield Difference(path=path, rule="multipleOf", direction=_of_factors(was, now), message=message)

    def array(self, path: Path, old: _Facet, new: _Facet) -> Iterator[Difference]:
        if old.is_unique != new.is_unique:
            direction = Direction.NARROWER if new.is_unique else Direction.WIDER
            message = "items must differ from now on" if new.is_unique else "items may be equal"
            yield Difference(path=path, rule="uniqueItems", direction=direction, message=message)
        if old.items or new.items:
            yield from self.nodes((*path, "[]"), old.items or (True,), new.items or (True,), is_required=False)

    def object(self, path: Path, old: _Facet, new: _Facet, is_required: bool) -> Iterator[Difference]:
        for name in sorted({*old.properties, *new.properties, *old.required, *new.required}):
            yield from self.property((*path, name), name, old, new, is_required)
        yield from self.additional(path, old, new)

    def property(self, path: Path, name: str, old: _Facet, new: _Facet, is_required: bool) -> Iterator[Difference]:
        """is_required: there always is an object that may have it."""
        was, now = old.properties.get(name), new.properties.get(name)
        must, had_to = name in new.required, name in old.required
        is_new = was is None and not had_to and (now is not None or must)
        is_gone = now is None and not must and (was is not None or had_to)
        if is_new:
            yield from self.added(path, old, now or (True,), must, is_required)
            return
        if is_gone:
            yield from self.removed(path, was or (True,), new, had_to, is_required)
            return
        if must != had_to:
            direction = Direction.NARROWER if must else Direction.WIDER
            message = "optional -> required" if must else "required -> optional"
            yield Difference(path=path, rule="required", direction=direction, message=message)
        if was is not None and now is not None:
            yield from self.nodes(path, was, now, is_required=is_required and must and had_to)
        elif was is None and now is not None:  # it had to be there, and only now is said what it is
            yield from self.nodes(path, old.additional or (True,), now, is_required=is_required)
        elif was is not None:
            yield from self.nodes(path, was, new.additional or (True,), is_required=is_required)

    def added(self, path: Path, old: _Facet, now: Nodes, must: bool, is_required: bool) -> Iterator[Difference]:
        """A property that was not listed before."""
        is_closed = False in old.additional
        has_patterns = "patternProperties" in old.combinators
        by_rule = "; so far the rule for properties that are not listed held"
        direction, spoils_all = Direction.WIDER, False
        message = "added, required" if must else "added, optional"
        if must:
            is_new = is_closed and not has_patterns
            direction, spoils_all = Direction.OTHER if is_new else Direction.NARROWER, is_new and is_required
        elif has_patterns:
            direction = Direction.UNDECIDABLE
            message = "added; what its name allowed before is not for a comparison to say"
        elif not old.additional:  # called an addition all the same: nobody sends what no plan names
            message += "; other values under this name passed before, since the object is open"
        elif not is_closed:
            direction, message = Direction.SAME, message + by_rule
        yield Difference(path=path, rule="added", direction=direction, message=message, spoils_all=spoils_all)
        if old.additional and not is_closed and not has_patterns:
            yield from self.nodes(path, old.additional, now, is_required=False)

    def removed(self, path: Path, was: Nodes, new: _Facet, had_to: bool, is_required: bool) -> Iterator[Difference]:
        """A property that is not listed any more."""
        direction, message, spoils_all = Direction.NARROWER, "removed", False
        follows_rule = False
        if not new.additional:
            direction, message = Direction.WIDER, "removed; the object is open and still takes it"
        elif "patternProperties" in new.combinators:
            direction = Direction.UNDECIDABLE
            message = "removed; what its name still allows is not for a comparison to say"
        elif False in new.additional:
            spoils_all = had_to and is_required
        else:
            follows_rule = True
            direction = Direction.WIDER if had_to else Direction.SAME
            message = "removed; from now on the rule for properties that are not listed holds"
        yield Difference(path=path, rule="removed", direction=direction, message=message, spoils_all=spoils_all)
        if follows_rule:
            yield from self.nodes(path, was, new.additional, is_required=False)

    def additional(self, path: Path, old: _Facet, new: _Facet) -> Iterator[Difference]:
        was, now = old.additional, new.additional
        if not was and not now:
            return
        if was and now and False not in was and False not in now:
            yield from self.nodes((*path, "*"), was, now, is_required=False)
            return
        if (False in was) == (False in now) and bool(was) == bool(now):
            return
        rank = [2 if not side else 0 if False in side else 1 for side in (was, now)]
        words = ["refused", "of one kind only", "allowed"]
        yield Difference(
            path=path if 0 in rank else (*path, "*"),  # either whether they may be there, or what they are
            rule="additionalProperties",
            direction=Direction.NARROWER if rank[1] < rank[0] else Direction.WIDER,
            message=f"properties that are not listed: {words[rank[0]]} -> {words[rank[1]]}",
        )


# Lower or upper, the keyword, and the one that excludes the limit itself.
_LIMITS = (
    (True, "minimum", "exclusiveMinimum"),
    (False, "maximum", "exclusiveMaximum"),
    *((True, keyword, "") for keyword in _LOWER),
    *((False, keyword, "") for keyword in _UPPER),
)


def _edge(facet: _Facet, keyword: str, exclusive: str, low: bool, kind: str) -> tuple[float, int] | None:
    """A limit so that tighter ones compare as larger (lower limits) or smaller (upper ones); None where there is none."""
    edges = []
    if keyword in facet.limits:
        limit = facet.limits[keyword]
        if kind == "integer":
            limit = math.ceil(limit) if low else math.floor(limit)
        edges.append((limit, 0))
    if exclusive and exclusive in facet.limits:
        limit = facet.limits[exclusive]
        if kind == "integer":
            edges.append((math.floor(limit) + 1 if low else math.ceil(limit) - 1, 0))
        else:
            edges.append((limit, 1 if low else -1))
    if not edges:
        return None
    edge = max(edges) if low else min(edges)
    return None if low and not exclusive and edge[0] <= 0 else edge  # at least nothing


def _factors(kind: str, facet: _Facet) -> frozenset[float]:
    """The factors that say something: every whole number is a multiple of 1, and of 0.5."""
    whole = kind == "integer"
    return frozenset(factor for factor in facet.factors if not (whole and 1 % Decimal(str(factor)) == 0))


def _of_factors(old: Iterable[float], new: Iterable[float]) -> Direction:
    """A multiple of 6 is one of 3: where each new factor divides an old one, all that was right is."""

    def follow(these: Iterable[float], those: Iterable[float]) -> bool:
        exact = [Decimal(str(factor)) for factor in those]
        return all(any(other % Decimal(str(factor)) == 0 for other in exact) for factor in these)

    if follow(new, old):
        return Direction.WIDER
    return Direction.NARROWER if follow(old, new) else Direction.OTHER


def _limit_text(word: str, old: _Facet, new: _Facet, keyword: str, exclusive: str) -> str:
    def side(facet: _Facet) -> str:
        found = [
            f"{sign}{_plain(facet.limits[name])}"
            for name, sign in ((keyword, ""), (exclusive, "beyond "))
            if name in facet.limits
        ]
        return " and ".join(found) or "none"

    return f"{word.replace('exclusiveM', 'm')} {side(old)} -> {side(new)}"


def _sets(path: Path, rule: str, old: frozenset[str], new: frozenset[str]) -> Iterator[Difference]:
    """Rules that must all hold, each of which cannot be compared with another."""
    if old == new:
        return
    if new < old:
        direction, message = Direction.WIDER, f"{rule} removed"
    elif old < new:
        direction, message = Direction.NARROWER, f"{rule} added: {', '.join(sorted(new - old))}"
    else:
        was, now = ", ".join(sorted(old - new)), ", ".join(sorted(new - old))
        direction, message = Direction.UNDECIDABLE, f"{rule} changed: {was} -> {now}"
    yield Difference(path=path, rule=rule, direction=direction, message=message)


def _said(nodes: Nodes) -> dict[str, Any]:
    """The keywords for people, and our own, of schemas that hold together."""
    found: dict[str, Any] = {}
    for node in nodes:
        if isinstance(node, Mapping):
            for key, value in node.items():
                if (
                    key in _TEXTS
                    or key == "format"
                    or key.startswith("x-")
                    or (key not in _HANDLED and key not in _COMBINATORS)
                ):
                    found.setdefault(key, value)
    return {key: value for key, value in found.items() if value not in ("", [], False)}


def _kinds_text(facets: Facets) -> str:
    kinds = [kind for kind in TYPES if kind in facets and not (kind == "integer" and "number" in facets)]
    if len(facets) == len(TYPES):
        return "anything"
    return " or ".join(sorted(kinds, key=lambda kind: kind == "null")) or "nothing"


def _values_text(values: Sequence[Any]) -> str:
    shown = ", ".join(map(_value_text, values[:10]))
    return f"{shown} and {len(values) - 10} more" if len(values) > 10 else shown


def _value_text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _plain(number: float) -> str:
    return str(int(number)) if isinstance(number, int) or number.is_integer() else str(number)
