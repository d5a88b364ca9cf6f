"""JSON Schema -> what a call's arguments look like to a type checker.

Where a schema says more than Python's types can, the type is wider than the schema, never narrower: a valid call always
type-checks, and the run time has the last word on the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from ..errors import PlanError
from ..validation import draft_of
from .names import ClassName

MAX_LITERALS = 50  # longer enumerations make unreadable signatures; the run time knows them anyway
MAX_DEPTH = 20  # Python's parser takes 200 brackets within each other; real plans are at most 10 deep

_DRAFTS: dict[str, tuple[Any, Any]] = {
    "4": (jsonschema.Draft4Validator, DRAFT4),
    "6": (jsonschema.Draft6Validator, DRAFT6),
    "7": (jsonschema.Draft7Validator, DRAFT7),
    "2019-09": (jsonschema.Draft201909Validator, DRAFT201909),
    "2020-12": (jsonschema.Draft202012Validator, DRAFT202012),
}


class Plain(Enum):
    """A type without parts, as the stub spells it."""

    ANY = "Any"
    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    NONE = "None"
    DATETIME = "_datetime.datetime"
    DATE = "_datetime.date"
    TIME = "_datetime.time"
    UUID = "_uuid.UUID"


@dataclass(frozen=True, slots=True)
class Exactly:
    """One value of an enumeration: a string, an integer or a boolean."""

    value: str | int | bool

    # 1 and True are equal in Python, and two values in JSON
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exactly) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class SequenceOf:
    item: Type


@dataclass(frozen=True, slots=True)
class MappingTo:
    item: Type


@dataclass(frozen=True, slots=True)
class Named:
    """A type that is defined beside the functions. key: an index into the definitions, then its name."""

    key: int | ClassName


Atom = Plain | Exactly | SequenceOf | MappingTo | Named
Type = tuple[Atom, ...]  # a union; empty: no value at all

ANY: Type = (Plain.ANY,)
NEVER: Type = ()

_BY_KIND = {
    "integer": Plain.INT,
    "number": Plain.FLOAT,  # for a type checker every int is a float
    "boolean": Plain.BOOL,
    "null": Plain.NONE,
}
# What the run time itself turns into a string of that format.
_BY_FORMAT = {"date-time": Plain.DATETIME, "date": Plain.DATE, "time": Plain.TIME, "uuid": Plain.UUID}


@dataclass(frozen=True)
class Entry:
    """One key of an object. limits: what the type does not say, in words."""

    wire: str
    type: Type
    required: bool
    nullable: bool = False
    description: str = ""
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Definition:
    """A type with a name: a TypedDict when it has entries, else an alias. wanted: the words its name is made of."""

    wanted: tuple[str, ...]
    alias: Type = NEVER
    entries: tuple[Entry, ...] | None = None


@dataclass(frozen=True)
class Properties:
    """A section's properties. constants: wire name -> the one value. extra: the type of properties that are not listed;
    None where the plan forbids them. definitions: what Named refers to by index."""

    entries: tuple[Entry, ...]
    constants: Mapping[str, Any]
    extra: Type | None
    definitions: tuple[Definition, ...]


def read_properties(schema: Mapping[str, Any]) -> Properties:
    """The properties a section's schema describes, through its `$ref` and combinators.

    Raises:
        PlanError: a `$ref` leads out of the schema, or the draft is unknown.
    """
    try:
        return _Reader(schema).properties()
    except Unresolvable as exc:
        raise PlanError(f"$ref {exc.ref!r} leads nowhere inside the schema") from exc
    except RecursionError as exc:
        raise PlanError("the schema is nested too deeply, or refers to itself without end") from exc


def union(atoms: Iterable[Atom]) -> Type:
    """The atoms as one type: each once, and none that another covers."""
    unique = dict.fromkeys(atoms)
    if len(unique) < 2:
        return tuple(unique)
    if Plain.ANY in unique:
        return ANY
    return tuple(atom for atom in unique if not any(wider in unique for wider in _wider(atom)))


def _wider(atom: Atom) -> tuple[Plain, ...]:
    if isinstance(atom, Exactly):
        return {str: (Plain.STR,), bool: (Plain.BOOL,), int: (Plain.INT, Plain.FLOAT)}[type(atom.value)]
    return (Plain.FLOAT,) if atom is Plain.INT else ()


def narrowed(left: Type, right: Type) -> Type:
    """A type for values that are of both. When in doubt one of the two: each is wide enough."""
    if left == ANY or right == ANY:
        return right if left == ANY else left
    if any(isinstance(atom, Named) for atom in left + right):  # an alias may stand for anything
        return left
    common = {*map(_kind, left)} & {*map(_kind, right)}
    sides = [tuple(atom for atom in side if _kind(atom) in common) for side in (left, right)]
    return min(sides, key=lambda side: sum(isinstance(atom, Plain) for atom in side))  # enumerations before plain types


def _kind(atom: Atom) -> str:
    if isinstance(atom, SequenceOf):
        return "array"
    if isinstance(atom, MappingTo):
        return "object"
    if isinstance(atom, Named):
        return "object"
    kinds = {Plain.INT: "number", Plain.FLOAT: "number", Plain.BOOL: "boolean", Plain.NONE: "null"}
    return kinds.get(atom if isinstance(atom, Plain) else _wider(atom)[0], "string")


@dataclass(frozen=True, slots=True)
class _Node:
    """A schema and where its references start from."""

    schema: Any
    resolver: Any


@dataclass
class _Fields:
    """What a schema says of an object's keys. properties: wire name -> schemas that all hold; possible: schemas of
    which one may hold, from branches. extra: schemas for keys that are not listed; closed: there are no such keys."""

    properties: dict[str, list[_Node]] = field(default_factory=dict)
    possible: dict[str, list[_Node]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    extra: list[_Node] = field(default_factory=list)
    closed: bool = False

    @property
    def names(self) -> list[str]:
        return sorted({*self.properties, *self.possible, *self.required})

    def add_possible(self, branches: Sequence[_Fields]) -> None:
        for branch in branches:
            for known in (branch.properties, branch.possible):
                for name, nodes in known.items():
                    mine = self.possible.setdefault(name, [])
                    mine.extend(node for node in nodes if not any(node.schema is other.schema for other in mine))


class _Reader:
    """Walks one section's schema. Every schema object is read once, so that neither recursion nor a schema that doubles
    at every step takes for ever."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        draft = draft_of(schema)
        if draft is None:
            raise PlanError(f"unknown JSON Schema draft {schema.get('$schema')!r}")
        self.is_legacy = draft in ("4", "6", "7")  # what stands beside $ref does not count; no unevaluatedProperties
        self.has_const = draft != "4"
        validator, self.specification = _DRAFTS[draft]
        plain = {key: value for key, value in schema.items() if key != "$schema"}
        resource = self.specification.create_resource(plain)
        self.validator = validator(plain, registry=REGISTRY)
        self.root = _Node(plain, REGISTRY.resolver_with_root(resource))
        self.definitions: list[Definition] = []
        self.read_fields: dict[int, _Fields] = {}
        self.done: dict[int, Type] = {}
        self.open: dict[int, int | None] = {}  # schemas being read -> the definition they get, once one is needed

    def properties(self) -> Properties:
        fields = self.fields(self.root)
        constants = {
            name: values[0] for name in fields.names if (values := self.constants_of(fields.properties.get(name, ())))
        }
        entries = [self.entry(fields, name, (name,)) for name in fields.names if name not in constants]
        return Properties(
            entries=tuple(entries),
            constants=constants,
            extra=self.unlisted(fields, ("extra",)),
            definitions=_untied(self.definitions),
        )

    # --- where schemas are

    def inside(self, node: _Node, schema: Any) -> _Node:
        if not isinstance(schema, dict) or not ("$id" in schema or "id" in schema):
            return _Node(schema, node.resolver)
        return _Node(schema, node.resolver.in_subresource(self.specification.create_resource(schema)))

    def referenced(self, node: _Node) -> tuple[str, _Node] | None:
        """The reference of a schema and what it refers to; None where it has none or leads to a meta-schema."""
        reference = node.schema.get("$ref")
        if not isinstance(reference, str):
            return None
        found = node.resolver.lookup(reference)
        if isinstance(found.contents, dict) and _is_meta_schema(found.contents):
            return None
        return reference, _Node(found.contents, found.resolver)

    def parts(self, node: _Node, seen: set[int] | None = None) -> Iterator[_Node]:
        """The schemas that hold together here: the node, what it refers to, what its allOf lists."""
        schema = node.schema
        if not isinstance(schema, dict) or (seen is None and "$ref" not in schema and "allOf" not in schema):
            yield node
            return
        seen = set() if seen is None else seen
        if id(node.schema) in seen:
            return
        seen.add(id(node.schema))
        target = self.referenced(node)
        if target is not None:
            yield from self.parts(target[1], seen)
        if "$ref" in node.schema and self.is_legacy:
            return
        yield node
        for schema in _list(node.schema.get("allOf")):
            yield from self.parts(self.inside(node, schema), seen)

    def parts_of(self, nodes: Iterable[_Node]) -> Iterator[_Node]:
        for node in nodes:
            yield from (part for part in self.parts(node) if isinstance(part.schema, dict))

    def constants_of(self, nodes: Iterable[_Node]) -> list[Any]:
        return [part.schema["const"] for part in self.parts_of(nodes) if self.is_const(part)]

    def is_const(self, part: _Node) -> bool:
        return self.has_const and "const" in part.schema

    # --- objects

    def fields(self, node: _Node) -> _Fields:
        ident = id(node.schema)
        if ident not in self.read_fields:
            found = self.read_fields[ident] = _Fields()  # what a schema that contains itself finds on the way
            for part in self.parts(node):
                if isinstance(part.schema, dict):
                    self.own_fields(part, found)
                    self.branch_fields(part, found)
        return self.read_fields[ident]

    def own_fields(self, part: _Node, found: _Fields) -> None:
        schema = part.schema
        for name, item in _map(schema.get("properties")).items():
            found.properties.setdefault(name, []).append(self.inside(part, item))
        found.required.update(name for name in _list(schema.get("required")) if isinstance(name, str))
        patterns = [item for _, item in sorted(_map(schema.get("patternProperties")).items())]
        keywords = ("additionalProperties",) if self.is_legacy else ("additionalProperties", "unevaluatedProperties")
        rest = [schema[key] for key in keywords if schema.get(key, True) is not True]
        if any(item is False for item in rest) and not patterns:
            found.closed = True
        elif rest:
            found.extra += [self.inside(part, item) for item in (*patterns, *rest) if item is not False]

    def branch_fields(self, part: _Node, found: _Fields) -> None:
        """What holds under a condition: arguments too, but optional ones, unless every branch requires them."""
        for keyword in ("anyOf", "oneOf"):
            branches = [self.fields(self.inside(part, item)) for item in _list(part.schema.get(keyword))]
            if branches:
                found.required |= set.intersection(*(branch.required for branch in branches))
                found.closed = found.closed or all(branch.closed for branch in branches)
            found.add_possible(branches)
        conditional = [part.schema[keyword] for keyword in ("then", "else") if keyword in part.schema]
        for keyword in ("dependentSchemas", "dependencies"):
            conditional += [schema for _, schema in sorted(_map(part.schema.get(keyword)).items())]
        found.add_possible([self.fields(self.inside(part, schema)) for schema in conditional])

    def entry(self, fields: _Fields, name: str, path: tuple[str, ...]) -> Entry:
        sure = fields.properties.get(name, [])
        nodes = sure or fields.possible.get(name, [])
        types = [self.type_of(node, path) for node in nodes]
        if sure:
            found, nullable = reduce(narrowed, types, ANY), all(map(self.accepts_null, sure))
        else:
            found, nullable = union(atom for each in types for atom in each), any(map(self.accepts_null, nodes))
            if not nodes:  # required, and described nowhere
                found, nullable = ANY, not fields.closed
        if found not in (ANY, NEVER):
            found = union([*(atom for atom in found if atom is not Plain.NONE), *([Plain.NONE] if nullable else [])])
        schemas = [part.schema for part in self.parts_of(nodes)]
        texts = [text for schema in schemas if isinstance(text := schema.get("description"), str)]
        return Entry(
            wire=name,
            type=found,
            required=name in fields.required,
            nullable=nullable,
            description=texts[0] if texts else "",
            limits=tuple(_limits(schemas)),
        )

    def unlisted(self, fields: _Fields, path: tuple[str, ...]) -> Type | None:
        if fields.closed:
            return None
        return union(atom for node in fields.extra for atom in self.type_of(node, path)) or ANY

    def accepts_null(self, node: _Node) -> bool:
        schema = node.schema
        if isinstance(schema, dict) and "$ref" not in schema:  # the usual cases, without the cost
            kinds, values = schema.get("type"), schema.get("enum")
            if isinstance(kinds, str | list) and "null" not in kinds:
                return False
            if isinstance(values, list) and None not in values:
                return False
        return next(self.validator.descend(None, schema, resolver=node.resolver), None) is None

    # --- types

    def type_of(self, node: _Node, path: tuple[str, ...]) -> Type:
        """The type of a schema's values. path: the words for a name, should it need one."""
        reference, node = self.followed(node)
        words = path if reference is None else (re.split(r"[#/]", reference)[-1] or "properties",)
        if not isinstance(node.schema, dict) or len(path) > MAX_DEPTH:
            return NEVER if node.schema is False else ANY
        ident = id(node.schema)
        if ident in self.done:
            return self.done[ident]
        if ident in self.open:  # it contains itself: by name, then
            index = self.open[ident]
            if index is None:
                index = self.open[ident] = self.reserve(words)
            return (Named(index),)
        self.open[ident] = None
        found = self.read(node, words)
        index = self.open.pop(ident)
        if index is None and reference is not None and not all(isinstance(atom, Plain | Named) for atom in found):
            index = self.reserve(words)  # what a plan gives a name has one here, unless it is as short as a name
        if index is not None and found != (Named(index),):
            self.definitions[index] = Definition(words, alias=found)
            found = (Named(index),)
        self.done[ident] = found
        return found

    def followed(self, node: _Node) -> tuple[str | None, _Node]:
        """The schema behind references that nothing stands beside, and the last of these references."""
        last, seen = None, {id(node.schema)}
        while isinstance(node.schema, dict) and (self.is_legacy or not any(map(_says_something, node.schema))):
            target = self.referenced(node)
            if target is None:
                break
            last, node = target
            if id(node.schema) in seen:
                raise PlanError(f"$ref {last!r} leads to itself")
            seen.add(id(node.schema))
        return last, node

    def reserve(self, path: tuple[str, ...]) -> int:
        self.definitions.append(Definition(path))
        return len(self.definitions) - 1

    def read(self, node: _Node, path: tuple[str, ...]) -> Type:
        parts = list(self.parts(node))
        if any(part.schema is False for part in parts):
            return NEVER
        parts = [part for part in parts if isinstance(part.schema, dict)]
        kinds = _kinds([part.schema for part in parts])
        values = self.values(parts, kinds)
        if values is not None:
            return values
        own = ANY
        if kinds is not None:
            own = union(atom for kind in kinds for atom in self.of_kind(kind, kinds, node, parts, path))
            if "object" in kinds and any("properties" in part.schema for part in parts):
                return own  # what its branches say is among its fields
        for part in parts:
            for keyword in ("anyOf", "oneOf"):
                schemas = _list(part.schema.get(keyword))
                branches = [
                    self.type_of(self.inside(part, item), (*path, str(index)) if index > 1 else path)
                    for index, item in enumerate(schemas, 1)
                ]
                if branches:
                    own = narrowed(own, union(atom for branch in branches for atom in branch))
        return own

    def values(self, parts: Sequence[_Node], kinds: Sequence[str] | None) -> Type | None:
        """The type of an enumeration; None where there is none."""
        lists = [part.schema["enum"] for part in parts if isinstance(part.schema.get("enum"), list)]
        lists += [[part.schema["const"]] for part in parts if self.is_const(part)]
        if not lists:
            return None
        values = [value for value in lists[0] if all(any(_same(value, other) for other in each) for each in lists[1:])]
        if kinds is not None:
            values = [value for value in values if not _kinds_of(value).isdisjoint(kinds)]
        exact = union(atom for value in values for atom in _of_value(value))
        if sum(isinstance(atom, Exactly) for atom in exact) <= MAX_LITERALS:
            return exact
        return union(_widened(atom) for atom in exact)

    def of_kind(
        self, kind: str, kinds: Sequence[str], node: _Node, parts: Sequence[_Node], path: tuple[str, ...]
    ) -> Type:
        if kind == "string":
            formats = {text for part in parts if isinstance(text := part.schema.get("format"), str)}
            return (Plain.STR, *(atom for name, atom in _BY_FORMAT.items() if name in formats))
        if kind == "array":
            return (SequenceOf(reduce(narrowed, [self.items(part, path) for part in parts], ANY)),)
        if kind == "object":
            return self.of_object(node, path, shares_name=len(kinds) == 1)
        if kind not in _BY_KIND:
            raise PlanError(f"unknown type {kind!r}")
        return (_BY_KIND[kind],)

    def items(self, part: _Node, path: tuple[str, ...]) -> Type:
        schema, item_path = part.schema, (*path, "item")
        items = schema.get("items")
        first = items if isinstance(items, list) else _list(schema.get("prefixItems"))
        rest = schema.get("additionalItems") if isinstance(items, list) else items
        types = [self.type_of(self.inside(part, item), (*item_path, str(index))) for index, item in enumerate(first, 1)]
        types.append(ANY if rest is None else self.type_of(self.inside(part, rest), item_path))
        return union(atom for each in types for atom in each)

    def of_object(self, node: _Node, path: tuple[str, ...], *, shares_name: bool) -> Type:
        """A TypedDict where the keys are known, else a Mapping. shares_name: the schema allows nothing but objects, so
        that its name and the TypedDict's are one."""
        fields = self.fields(node)
        if not fields.closed:
            return (MappingTo(ANY if fields.names else self.unlisted(fields, (*path, "value")) or ANY),)
        index = self.open[id(node.schema)] if shares_name else None
        if index is None:
            index = self.reserve(path)
            if shares_name:
                self.open[id(node.schema)] = index
        entries = tuple(self.entry(fields, name, (*path, name)) for name in fields.names)
        self.definitions[index] = Definition(path, entries=entries)
        return (Named(index),)


_ANNOTATIONS = frozenset({"$comment", "$ref", "default", "deprecated", "description", "examples", "title"})
_LIMITS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matching {}",
    "format": "format {}",
}


def _is_meta_schema(schema: Mapping[str, Any]) -> bool:
    return re.match("https?://json-schema.org/", str(schema.get("$id", schema.get("id")))) is not None


def _says_something(keyword: str) -> bool:
    return keyword not in _ANNOTATIONS and not keyword.startswith("x-")


def _limits(schemas: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for schema in schemas:
        for keyword in _LIMITS:
            if keyword in schema:
                value = schema[keyword]
                if isinstance(value, int | float | str) and not isinstance(value, bool):
                    yield _LIMITS[keyword].format(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kinds(schemas: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The JSON types that all the schemas allow; None where none of them says."""
    kinds: list[str] | None = None
    for schema in schemas:
        given = schema.get("type")
        if given is None:
            continue
        allowed = [given] if isinstance(given, str) else _list(given)
        if kinds is None:
            kinds = allowed
        else:
            with_integers = {*allowed, "integer"} if "number" in allowed else {*allowed}
            numbers = {"integer"} if "integer" in allowed and "number" in kinds else set()
            kinds = [kind for kind in kinds if kind in with_integers] + sorted(numbers - {*kinds})
    if kinds is not None:
        return kinds
    if any("properties" in schema for schema in schemas):
        return ["object"]  # not what it says, but what it means
    return ["array"] if any("items" in schema for schema in schemas) else None


def _kinds_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int | float):
        return {"number", "integer"} if float(value).is_integer() else {"number"}
    return {{str: "string", type(None): "null", list: "array"}.get(type(value), "object")}


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _of_value(value: Any) -> Type:
    if isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 2**63):
        return (Exactly(value),)
    if value is None:
        return (Plain.NONE,)
    if isinstance(value, int | float):
        return (Plain.INT if isinstance(value, int) else Plain.FLOAT,)
    return (SequenceOf(ANY),) if isinstance(value, list) else (MappingTo(ANY),)


def _widened(atom: Atom) -> Atom:
    return _wider(atom)[0] if isinstance(atom, Exactly) else atom


def _untied(definitions: Sequence[Definition]) -> tuple[Definition, ...]:
    """The definitions without aliases that are defined as themselves, which no type checker takes."""
    untied = list(definitions)

    def leads_to(index: int, goal: int, seen: set[int]) -> bool:
        for atom in untied[index].alias:
            if isinstance(atom, Named) and isinstance(atom.key, int) and atom.key not in seen:
                seen.add(atom.key)
                if atom.key == goal or leads_to(atom.key, goal, seen):
                    return True
        return False

    for index, definition in enumerate(untied):
        if leads_to(index, index, set()):
            untied[index] = Definition(definition.wanted, alias=ANY)
    return tuple(untied)
