"""The resolved plan: what every provider yields, and what code is generated from.

Nothing of a document's own spelling is left here: types from the library are in place, `required: true` is a list, and
every schema stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Formats = Literal["off", "warn", "strict"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One event, or what the plan says of context, identify, group or page.

    name: an event's exact wire name; of a section its own name, as `context`.
    schema: the JSON Schema of the properties object, self-contained, `$schema` one of the canonical addresses.
    status: draft, active, deprecated or removed. since, expires: ISO dates, empty when not said.
    sources: the sources the event belongs to; empty: all of them.
    python_name: the function's name, where the plan chooses one.
    user_id_property: the property that also is the call's user id.
    no_lint: ids of the lint rules that do not apply here.
    origin: what its vendor calls it, as `{"id": "ev_1"}`; counts for nothing.
    """

    name: str
    schema: Mapping[str, Any]
    description: str = ""
    version: str = ""
    owner: str = ""
    status: str = "active"
    since: str = ""
    expires: str = ""
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    python_name: str | None = None
    user_id_property: str | None = None
    examples: tuple[Mapping[str, Any], ...] = ()
    no_lint: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A tracking plan, events sorted by name.

    source: the name it was pulled under. formats: whether JSON Schema's `format` counts.
    origin: where it came from, as `{"provider": "file"}`; nothing that differs between machines.
    """

    name: str
    version: str
    source: str
    owner: str = ""
    formats: Formats = "warn"
    events: tuple[Section, ...] = ()
    context: Section | None = None
    identify: Section | None = None
    group: Section | None = None
    page: Section | None = None
    origin: Mapping[str, str] = field(default_factory=dict)
