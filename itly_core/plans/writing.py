"""From a plan to a document of our format: what `itly convert` makes of every other format.

A schema is written as `properties:` where that says the same, and as itself where not. Whether it says the same is asked of
the reader of the format, so that nothing can be lost here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..errors import PlanError
from ..validation import Draft, draft_of
from . import schemas
from .document import Plan, Section
from .providers import itly
from .raw import Raw

USUAL_DRAFT: Draft = "2020-12"


def document(plan: Plan) -> dict[str, Any]:
    """The plan as a document of our format, which reads as the same plan.

    The same: every verdict and every text. Not the order of `required`, nor what a schema says that is so anyway.
    """
    sections = [section for section in (plan.context, plan.identify, plan.group, plan.page) if section is not None]
    drafts = Counter(draft_of(section.schema) or USUAL_DRAFT for section in (*sections, *plan.events))
    draft = max(drafts, key=lambda one: (drafts[one], one == USUAL_DRAFT, one)) if drafts else USUAL_DRAFT
    about = {key: value for key in ("name", "version", "owner", "source") if (value := getattr(plan, key))}
    origin = {key: value for key, value in plan.origin.items() if value}
    defaults = {
        **({"formats": plan.formats} if plan.formats != "warn" else {}),
        **({"draft": draft} if draft != USUAL_DRAFT else {}),
    }
    return {
        "itly": itly.FORMAT,
        "plan": {**about, **({"x-origin": origin} if origin and origin != {"provider": "itly"} else {})},
        **({"defaults": defaults} if defaults else {}),
        **{section.name: _section(section, defaults) for section in sections},
        "events": {event.name: _section(event, defaults, is_event=True) for event in plan.events},
    }


def _section(section: Section, defaults: Mapping[str, Any], is_event: bool = False) -> dict[str, Any]:
    properties = section.schema.get("properties")
    has_user_id = isinstance(properties, Mapping) and "user_id" in properties
    identity = section.user_id_property if section.user_id_property != ("user_id" if has_user_id else None) else None
    about: dict[str, Any] = {
        "description": section.description,
        "version": section.version,
        "owner": section.owner,
        "tags": list(section.tags),
        "examples": [dict(example) for example in section.examples],
        "no_lint": list(section.no_lint),
        "x-origin": dict(section.origin),
    }
    if is_event:
        about |= {
            "status": "" if section.status == "active" else section.status,
            "since": section.since,
            "expires": section.expires,
            "sources": list(section.sources),
            "python_name": section.python_name,
            "identity": {"user_id": identity} if identity else {},
        }
    said = {key: value for key, value in about.items() if value}
    simple = _object(section.schema, section)
    if simple is not None and _reads_as(simple, section, defaults):
        return {**said, **simple}
    return {**said, "schema": dict(section.schema)}


def _reads_as(entry: Mapping[str, Any], section: Section, defaults: Mapping[str, Any]) -> bool:
    """Whether the reader of our format makes the section's schema of an entry."""
    text = json.dumps({"itly": itly.FORMAT, "defaults": defaults, "events": {"event": entry}})
    try:
        read = itly.parse([Raw("event.json", "event", text.encode())])
    except PlanError:
        return False
    return bool(essence(read.events[0].schema) == essence(_bare(section.schema, section)))


def essence(schema: Any) -> Any:
    """A schema without what makes no difference: the order of `required`, and what is so where nothing is said."""

    def change(one: dict[str, Any]) -> dict[str, Any]:
        kept = dict(one)
        if isinstance(kept.get("required"), list):
            kept["required"] = sorted(map(str, kept["required"]))
        for keyword, usual in (("required", []), ("properties", {}), ("additionalProperties", True)):
            if keyword in kept and kept[keyword] == usual and type(kept[keyword]) is type(usual):
                del kept[keyword]
        return kept

    return schemas.rewritten(schema, change)


def _bare(schema: Mapping[str, Any], section: Section) -> dict[str, Any]:
    """A section's schema without the texts that the section itself has."""
    same = {"description": section.description, "title": section.name}
    return {key: value for key, value in schema.items() if key not in same or value != same[key]}


def _object(schema: Mapping[str, Any], section: Section) -> dict[str, Any] | None:
    """An event's schema as `properties` and `additional_properties`; None where these cannot say it."""
    bare = _bare(schema, section)
    if bare.get("type") != "object" or not bare.keys() <= {
        "$schema", "type", "properties", "required", "additionalProperties",
    }:  # fmt: skip
        return None
    return _members(bare)


def _members(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list) or not set(required) <= properties.keys():
        return None
    entries: dict[str, Any] = {}
    for name, below in properties.items():
        entry = _value(below)
        if entry is None:
            return None
        entries[name] = {**entry, "required": True} if name in required else entry
    additional = schema.get("additionalProperties", True)
    others = additional if isinstance(additional, bool) else _value(additional)
    if others is None:
        return None
    return {
        **({"properties": entries} if entries else {}),
        **({"additional_properties": others} if others is not False else {}),
    }


def _value(schema: Any) -> dict[str, Any] | None:
    """A property's schema in the words of our format; None where it has none for it."""
    if not isinstance(schema, dict):
        return None
    entry: dict[str, Any] = {}
    kind = schema.get("type")
    for key, value in schema.items():
        if key == "type":
            entry["type"] = value
        elif key == "x-pii":
            entry["pii"] = value
        elif key in itly.PASSED or key.startswith("x-"):
            entry[key] = value
        elif key == "items":
            entry["items"] = _value(value)
        elif key not in ("properties", "required", "additionalProperties"):
            return None
    if entry.get("items", {}) is None:
        return None
    if isinstance(kind, list) and len(kind) == 2 and kind[1] == "null" and not {"enum", "const"} & schema.keys():
        entry |= {"type": kind[0], "nullable": True}
    if {"properties", "required", "additionalProperties"} & schema.keys():
        members = _members(schema)
        if members is None:
            return None
        # Without either of them an object is not said to be one whose properties are known.
        entry |= members or {"additional_properties": False}
    return entry
