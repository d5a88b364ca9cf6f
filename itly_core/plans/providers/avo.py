"""Avo: the export of a branch, by its API, from Settings > Export, or as the webhook sends it.

https://www.avo.app/docs/public-api/export-tracking-plan
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import schemas
from ..document import Plan
from ..raw import Raw
from ..server import Server, step
from ..syntax import Part
from .assembly import KINDS, Entry, Kind, assembled, section, text, texts


def fetch(server: Server, table: Mapping[str, str]) -> list[Raw]:
    """One branch of a workspace; `plan` is the workspace's id. The whole plan is one answer."""
    branch = table.get("branch", "main")
    export = server.raw(table["plan"], f"/workspaces/{step(table['plan'])}/branches/{step(branch)}/export/v1")
    server.watch("export", 1, 1)
    server.understood(export, lambda value: value["events"][:0])
    return [export]


def recognises(raws: Sequence[Raw]) -> bool:
    return all(_export(raw) is not None for raw in raws)


def _export(raw: Raw) -> Part | None:
    if not isinstance(raw.value, dict):
        return None
    root = raw.document.root
    for part in (root, root.get("trackingPlan")):
        events = part.value.get("events") if isinstance(part.value, dict) else None
        if isinstance(events, list) and all(isinstance(event, dict) and "rules" in event for event in events):
            return part
    return None


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: an event cannot be used.
    """
    entries: list[Entry] = []
    name = ""
    for raw in raws:
        part = _export(raw) or raw.document.root
        part.members()
        name = name or text(part.value.get("name"))
        entries += [_of_event(event) for event in part.get("events").elements()]
    return assembled("avo", entries, name=name)


def _of_event(event: Part) -> Entry:
    event.members()
    rules = event.get("rules")
    rules.members()
    kind = _kind(texts(event.value.get("actions")))
    holder = rules.get("properties").value
    inner = holder.get("properties") if isinstance(holder, dict) else None
    schema = {**(inner if isinstance(inner, dict) else {"type": "object"})}
    if "$schema" in rules.value:
        schema["$schema"] = rules.value["$schema"]
    made = section(
        text(event.value.get("name")) if kind == "track" else kind,
        schemas.rewritten(schemas.moved(schema, "#/properties/properties", "#"), _cleaned),
        rules,
        draft="6",
        description=text(event.value.get("description")),
        tags=texts(event.value.get("tags")),
        sources=texts(event.value.get("sources"), lambda one: one.get("name") if isinstance(one, dict) else None),
        origin={"id": text(event.value.get("id"))},
    )
    return Entry(kind, made, rules)


def _kind(actions: Sequence[str]) -> Kind:
    """What the event is sent as. One that is also logged, whatever else it does, is an event."""
    kinds = {KINDS[action] for action in actions if action in ("page", "identify", "group")}
    return kinds.pop() if len(kinds) == 1 and len(set(actions)) == 1 else "track"


def _cleaned(schema: dict[str, Any]) -> dict[str, Any]:
    """Without Avo's own keys; other names that a property has at destinations are kept for people to see."""
    bare = {key: value for key, value in schema.items() if key not in ("id", "nameMapping")}
    mapping = schema.get("nameMapping")
    renames = {
        text(one.get("destinationId")): text(one.get("name"))
        for one in (mapping if isinstance(mapping, list) else ())
        if isinstance(one, dict)
    }
    return {**bare, "x-destinations": {"rename": renames}} if renames else bare
