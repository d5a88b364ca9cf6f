"""JSON Schema -> the rows of a table: what an object's properties are, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 5  # of objects in objects; the schema itself is on the page as well
_LIMITS = {
    "format": "format {}",
    "pattern": "matches {}",
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


@dataclass(frozen=True)
class TypeName:
    """A type of the plan's library. key: what tells it from another of that name."""

    name: str
    key: str


Words = tuple[str | TypeName, ...]


@dataclass(frozen=True)
class Field:
    """A property. path: its name, after those of the objects and lists it is in, as `items[].sku`. pii: empty if the
    plan says nothing; samples: values that would do."""

    path: str
    type: Words
    is_required: bool
    is_constant: bool
    values: tuple[Any, ...]
    limits: tuple[str, ...]
    description: str
    pii: str
    samples: tuple[Any, ...]


@dataclass
class Reader:
    """Reads the schema of one section. names: the types that it refers to, found on the way."""

    root: Mapping[str, Any]
    names: dict[TypeName, Mapping[str, Any]] = field(default_factory=dict)

    def fields(self) -> tuple[Field, ...]:
        return tuple(self._within(self.root, "", 0, frozenset()))

    def of_type(self, schema: Mapping[str, Any]) -> tuple[Field, ...]:
        """The rows of a type of the library: itself, or its properties if it is an object."""
        inner = tuple(self._within(schema, "", 0, frozenset()))
        return inner or (self._field("", schema, is_required=False),)

    def _within(self, schema: Any, path: str, depth: int, seen: frozenset[int]) -> Iterator[Field]:
        """The properties of an object, or of the objects in a list. Those of named types are shown with the type."""
        found: dict[str, list[Any]] = {}
        required: set[str] = set()
        for part, is_sure in self._parts(schema, seen, follows=depth == 0):
            for name, below in _map(part.get("properties")).items():
                found.setdefault(str(name), []).append(below)
            if is_sure:
                required |= {name for name in _list(part.get("required")) if isinstance(name, str)}
        for name in sorted({*found, *required}):
            schemas = found.get(name, [True])
            yield self._field(path + name, schemas[0], is_required=name in required)
            if depth < MAX_DEPTH:
                for below in schemas[:1]:
                    yield from self._below(below, path + name, depth + 1, seen)

    def _below(self, schema: Any, path: str, depth: int, seen: frozenset[int]) -> Iterator[Field]:
        if isinstance(schema, Mapping) and "$ref" not in schema and id(schema) not in seen:
            yield from self._within(schema, f"{path}.", depth, seen | {id(schema)})
            yield from self._below(schema.get("items"), f"{path}[]", depth, seen | {id(schema)})

    def _parts(
        self, schema: Any, seen: frozenset[int], is_sure: bool = True, *, follows: bool
    ) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """The schemas that say something of the same object, and whether they always hold. follows: also those that they
        refer to."""
        if not isinstance(schema, Mapping):
            return
        yield schema, is_sure
        for keyword in ("allOf", "anyOf", "oneOf"):
            for below in _list(schema.get(keyword)):
                if isinstance(below, Mapping) and id(below) not in seen:
                    sure = is_sure and keyword == "allOf"
                    yield from self._parts(below, seen | {id(below)}, sure, follows=follows)
        for keyword in ("then", "else"):
            yield from self._parts(schema.get(keyword), seen, False, follows=follows)
        target = self._target(schema.get("$ref")) if follows else None
        if target is not None and id(target) not in seen:
            yield from self._parts(target, seen | {id(target)}, is_sure, follows=True)

    def _field(self, path: str, schema: Any, *, is_required: bool) -> Field:
        about = _map(schema)
        constant = "const" in about
        values = [about["const"]] if constant else _list(about.get("enum"))
        default = [about["default"]] if "default" in about else []
        pii = about.get("x-pii", False)
        return Field(
            path=path,
            type=self._type(schema),
            is_required=is_required,
            is_constant=constant,
            values=tuple(values),
            limits=tuple(self._limits(about)),
            description=about["description"] if isinstance(about.get("description"), str) else "",
            pii="yes" if pii is True else pii if isinstance(pii, str) else "",
            samples=(*_list(about.get("examples")), *default, *values),
        )

    def _limits(self, schema: Mapping[str, Any]) -> Iterator[str]:
        for keyword, words in _LIMITS.items():
            value = schema.get(keyword)
            if isinstance(value, int | float | str) and not isinstance(value, bool):
                limit = words.format(value)
                yield limit.removesuffix("s") if value == 1 else limit
        if schema.get("uniqueItems") is True:
            yield "no item twice"
        if "default" in schema:
            yield f"default {json.dumps(schema['default'], ensure_ascii=False)}"

    def _type(self, schema: Any, depth: int = 0) -> Words:
        if schema is False:
            return ("nothing",)
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return ("any value",)
        if isinstance(schema.get("$ref"), str):
            return (self._named(schema["$ref"]),)
        kinds = schema.get("type")
        words: list[Words] = []
        for kind in [kinds] if isinstance(kinds, str) else _list(kinds):
            of_items = kind == "array" and "items" in schema
            words.append(("array of ", *self._type(schema["items"], depth + 1)) if of_items else (str(kind),))
        if not words and ("enum" in schema or "const" in schema):
            values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
            words = [(kind,) for kind in dict.fromkeys(map(_kind, values))]
        for keyword in ("anyOf", "oneOf", "allOf"):
            if not words:
                branches = [self._type(below, depth + 1) for below in _list(schema.get(keyword))]
                known = [branch for branch in dict.fromkeys(branches) if branch != ("any value",)]
                words = known[:1] if keyword == "allOf" else known
        if not words:
            words = [("object",)] if "properties" in schema else [("array",)] if "items" in schema else [("any value",)]
        first, *rest = words
        return (*first, *(part for each in rest for part in (" or ", *each)))

    def _named(self, reference: str) -> str | TypeName:
        target = self._target(reference)
        steps = reference.split("/")
        if not isinstance(target, Mapping) or len(steps) < 2 or steps[-2] not in ("$defs", "definitions"):
            return "object" if reference == "#" else "see the schema"
        name = TypeName(_unescaped(steps[-1]), json.dumps(target, sort_keys=True, ensure_ascii=True))
        if name not in self.names:
            self.names[name] = target
            self.of_type(target)  # whose properties may be of named types too
        return name

    def _target(self, reference: object) -> Any:
        """What a reference inside the schema leads to; None where it does not."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = self.root
        for step in reference[1:].split("/")[1:]:
            found = _map(found).get(_unescaped(step))
        return found


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array"}
    return kinds.get(type(value), "object")


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
