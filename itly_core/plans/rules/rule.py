"""What a lint rule is, and what it looks at."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..document import Plan, Section

Severity = Literal["error", "warning", "off"]
Case = Literal["title", "snake", "object_action"]
Path = tuple[str | int, ...]
Found = tuple[Path, str]  # where within a section, and what is wrong there

SCHEMA = "schema"  # the first step of a path into a section's schema; what follows is the schema's own spelling


@dataclass(frozen=True)
class Spot:
    """A schema within a section's schema.

    path: how to get there. name: of the property that it describes, if it does. is_branch: it judges the same value as
    another schema, as those of `anyOf` and `then` do, so it need not say everything.
    """

    path: Path
    schema: Mapping[str, Any]
    name: str = ""
    is_branch: bool = False

    @property
    def types(self) -> frozenset[str]:
        given = self.schema.get("type")
        return frozenset([given] if isinstance(given, str) else given if isinstance(given, list) else ())


_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else", "not")
_NAMED = ("patternProperties", "$defs", "definitions")
_INSIDE = ("items", "additionalItems", "additionalProperties", "contains", "propertyNames", "unevaluatedProperties")


def spots(schema: Any, path: Path = (), name: str = "", is_branch: bool = False) -> Iterator[Spot]:
    """A schema and all that are inside it, where a keyword looks for schemas."""
    if not isinstance(schema, dict):
        return
    yield Spot(path, schema, name, is_branch)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for key, below in properties.items():
            yield from spots(below, (*path, "properties", key), key, is_branch)
    for keyword in _NAMED:
        named = schema.get(keyword)
        for key, below in named.items() if isinstance(named, dict) else ():
            yield from spots(below, (*path, keyword, key), "", is_branch)
    for keyword in (*_BRANCHES, "prefixItems", "items"):
        listed = schema.get(keyword)
        for index, below in enumerate(listed) if isinstance(listed, list) else ():
            yield from spots(below, (*path, keyword, index), "", is_branch or keyword in _BRANCHES)
    for keyword in (*_INSIDE, *_CONDITIONS):
        yield from spots(schema.get(keyword), (*path, keyword), "", is_branch or keyword in _CONDITIONS)


@dataclass(frozen=True)
class Entry:
    """A section of the plan under inspection. kind: `event`, or its name. is_raw: its schema was written as one."""

    kind: str
    section: Section
    is_raw: bool = False

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        return tuple(spots(self.section.schema, (SCHEMA,)))

    @property
    def properties(self) -> Iterator[Spot]:
        """The properties, at any depth."""
        return (spot for spot in self.spots if spot.name)


@dataclass(frozen=True)
class Inspection:
    """All that is inspected, and how."""

    plan: Plan
    entries: tuple[Entry, ...]
    today: datetime.date
    case: Case | None = None

    @cached_property
    def events(self) -> tuple[Section, ...]:
        return tuple(entry.section for entry in self.entries if entry.kind == "event")

    @cached_property
    def index(self) -> dict[str, Any]:
        """What rules that compare events have worked out, by rule, once for all of them."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule.

    wants: what it asks for, in a line. bad, good: plans of which it has one thing to say, and none; they are shown to
    users, and are its tests. find: what is wrong with an entry; None: the linter itself says it. case: what its examples
    are read under. is_refused: `itly pull` accepts no such plan, so nothing can silence it.
    """

    id: str
    severity: Severity
    wants: str
    bad: str
    good: str
    find: Callable[[Entry, Inspection], Iterator[Found]] | None = None
    case: Case | None = None
    is_refused: bool = False


def whole(example: str) -> str:
    """The plan that a rule's example is, with the lines that all of them begin with."""
    plan = "" if example.startswith("plan:") else "plan: {name: Shop, version: 1.0.0, owner: shop-team}\n"
    return f"itly: 1\n{plan}{example}\n"
