"""What can be compared of a plan: taken from the plan itself, or from the `_plan.json` of a package.

A `_plan.json` may be edited, or of an older shape: what cannot be read of it is left out, and nothing here fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..codegen.render import outline
from .document import Plan, Section

SECTIONS = ("context", "identify", "group", "page")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One event, or what a plan says of context, identify, group or page.

    schema: None where it cannot be read. function, cls: as the package calls them; empty for sections.
    arguments: wire name -> the argument's name. constants: wire names that the package fills in.
    user_id: the property filled from the call's user id. texts: what is for people, by key; None where it is not known.
    """

    schema: Mapping[str, Any] | None
    function: str = ""
    cls: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    constants: frozenset[str] = frozenset()
    user_id: str = ""
    version: str = ""
    status: str = "active"
    texts: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A plan as it is compared. sections: by name, those that there are. where: what people call the place it
    is from. owner: None where it is not known. has_schemaver: the events' versions are those of Snowplow's registries,
    `1-0-2`, though spelled `1.0.2`.
    """

    name: str = ""
    version: str = ""
    owner: str | None = None
    formats: str = "warn"
    events: Mapping[str, Entry] = field(default_factory=dict)
    sections: Mapping[str, Entry] = field(default_factory=dict)
    has_schemaver: bool = False
    where: str = ""

    @property
    def title(self) -> str:
        return " ".join(part for part in (self.name, self.version, f"({self.where})" if self.where else "") if part)


def of_plan(plan: Plan, where: str = "") -> Snapshot:
    """
    Raises:
        PlanError: a schema or a chosen name cannot be used.
    """
    found = of_package(outline(plan), where)
    said = {event.name: event for event in plan.events}
    sections = {name: section for name in SECTIONS if (section := getattr(plan, name)) is not None}
    return replace(
        found,
        owner=plan.owner,
        events={name: replace(entry, texts=_texts(said[name])) for name, entry in found.events.items()},
        sections={name: replace(entry, texts=_texts(sections[name])) for name, entry in found.sections.items()},
    )


def is_package(document: object) -> bool:
    """Whether it is a `_plan.json`, and no plan."""
    return isinstance(document, Mapping) and "generator" in document and isinstance(document.get("events"), Mapping)


def of_package(document: Mapping[str, Any], where: str = "") -> Snapshot:
    about = _map(document.get("plan"))
    return Snapshot(
        name=_text(about.get("name")),
        version=_text(about.get("version")),
        formats=_text(document.get("formats")) or "warn",
        events={name: _entry(_map(given)) for name, given in _map(document.get("events")).items()},
        sections={name: _entry(_map(document[name])) for name in SECTIONS if document.get(name)},
        has_schemaver=_map(document.get("origin")).get("provider") in ("iglu", "schemas"),
        where=where,
    )


def _entry(given: Mapping[str, Any]) -> Entry:
    schema = given.get("schema")
    arguments = {wire: name for name, wire in _map(given.get("arguments")).items() if isinstance(wire, str)}
    return Entry(
        schema=schema if isinstance(schema, Mapping) else None,
        function=_text(given.get("function")),
        cls=_text(given.get("class")),
        arguments=arguments,
        constants=frozenset(_map(given.get("constants"))),
        user_id=_text(given.get("user_id")),
        version=_text(given.get("version")),
        status=_text(given.get("status")) or "active",
    )


_FOR_PEOPLE = ("description", "owner", "tags", "since", "expires", "sources", "examples", "no_lint")


def _texts(section: Section) -> Mapping[str, Any]:
    return {name: value for name in _FOR_PEOPLE if (value := getattr(section, name))}


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
