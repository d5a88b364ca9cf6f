"""From what a vendor says of one call to a section of the plan: what all providers of vendors have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...validation import Draft
from .. import schemas
from ..document import Plan, Section
from ..syntax import Part

Kind = Literal["track", "identify", "group", "page", "context"]
KINDS: Mapping[str, Kind] = {
    "track": "track", "identify": "identify", "group": "group", "page": "page", "screen": "page", "context": "context",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One call as a vendor describes it. part: where, for errors."""

    kind: Kind
    section: Section
    part: Part


def section(name: str, schema: Mapping[str, Any], part: Part, *, draft: Draft = "7", **about: Any) -> Section:
    """A section of a schema that says nothing but what the properties may be.

    part: where the schema came from. draft: what it is of, where it does not say.

    Raises:
        PlanError: the schema cannot be used, or there is no name.
    """
    if not name.strip():
        raise part.error("an event's name must not be empty")
    made = Part(part.document, dict(schema), part.path)
    complete = schemas.normalised(made, draft)
    schemas.check(complete, Part(part.document, complete, part.path))
    properties = complete.get("properties")
    has_user_id = isinstance(properties, Mapping) and "user_id" in properties
    return Section(name=name, schema=complete, user_id_property="user_id" if has_user_id else None, **about)


def assembled(provider: str, entries: Iterable[Entry], **about: Any) -> Plan:
    """The plan that the entries are together. An event that is given in several versions counts in the highest.

    about: the plan's name, version and such; `origin` is completed.

    Raises:
        PlanError: an event is given twice in one version.
    """
    events: dict[str, Entry] = {}
    others: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind != "track":
            others.setdefault(entry.kind, []).append(entry)
            continue
        name = entry.section.name
        known = events.get(name)
        if known is not None and rank(known.section.version) == rank(entry.section.version):
            raise entry.part.error(f"the event {name!r} is already given in {known.part.location}")
        if known is None or rank(entry.section.version) > rank(known.section.version):
            events[name] = entry
    sections: dict[str, Section] = {kind: _either(kind, found) for kind, found in others.items()}
    if "context" in sections:  # the one section that no user id comes with
        sections["context"] = replace(sections["context"], user_id_property=None)
    about["origin"] = {"provider": provider, **about.get("origin", {})}
    return Plan(
        **{"name": "", "version": "", "source": "", **about},
        events=tuple(entry.section for _, entry in sorted(events.items())),
        context=sections.get("context"),
        identify=sections.get("identify"),
        group=sections.get("group"),
        page=sections.get("page"),
    )


def rank(version: str) -> tuple[int, ...]:
    """Numbers to compare versions by."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _either(kind: str, entries: Sequence[Entry]) -> Section:
    """One section of all that a vendor says of a call, such as its rules for single pages: any of them may hold.

    Raises:
        PlanError: they are of different drafts.
    """
    distinct: list[Entry] = []
    for entry in entries:
        if all(entry.section.schema != other.section.schema for other in distinct):
            distinct.append(entry)
    first = replace(distinct[0].section, name=kind, status="active", sources=())  # the format has these of events alone
    if len(distinct) == 1:
        return first
    draft = first.schema["$schema"]
    branches = []
    for number, entry in enumerate(distinct):
        if entry.section.schema["$schema"] != draft:
            raise entry.part.error(f"is of another draft than {distinct[0].part.location}, and both are of {kind}")
        bare = {key: value for key, value in entry.section.schema.items() if key not in ("$schema", "$id", "id")}
        branches.append(schemas.moved(bare, "#", f"#/anyOf/{number}"))
    schema = {"$schema": draft, "type": "object", "anyOf": branches}
    ids = {entry.section.user_id_property for entry in distinct}
    return Section(
        name=kind,
        schema=schema,
        description="\n".join(filter(None, dict.fromkeys(entry.section.description for entry in distinct))),
        tags=tuple(dict.fromkeys(tag for entry in distinct for tag in entry.section.tags)),
        user_id_property=ids.pop() if len(ids) == 1 else None,
    )


def words(text: str, separators: str = ",") -> tuple[str, ...]:
    """A list that is written in one text."""
    return tuple(word for word in (word.strip() for word in re.split(f"[{re.escape(separators)}]", text)) if word)


def texts(value: Any, of: Callable[[Any], Any] = lambda item: item) -> tuple[str, ...]:
    """Those of a list's items that are, or hold, a text that is not empty."""
    found = (of(item) for item in value) if isinstance(value, list) else ()
    return tuple(item for item in found if isinstance(item, str) and item)


def text(value: Any) -> str:
    """A text, or nothing."""
    return value if isinstance(value, str) else ""
