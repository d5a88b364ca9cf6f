"""RudderStack: the catalog API's tracking plans, and the `plan.json` that RudderTyper keeps.

API: https://www.rudderstack.com/docs/api/data-catalog-api/, `/catalog/tracking-plans/{id}`, its `/events`, and each of
these as a schema. A rule's schema is one of the whole message; `identitySection` says where the traits are in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import schemas
from ..document import Plan
from ..raw import Raw
from ..server import Server, step
from ..syntax import Part
from .assembly import KINDS, Entry, assembled, section, text

_PLACES = {"properties": ("properties",), "traits": ("traits",), "context.traits": ("context", "traits")}
_USUAL = {"identify": ("traits", "context.traits"), "group": ("traits",)}


def fetch(server: Server, table: Mapping[str, str]) -> list[Raw]:
    """The plan, and each of its events as a schema."""
    plan = f"/catalog/tracking-plans/{step(table['plan'])}"

    def page(number: str | int | None) -> Raw:
        return server.raw("events", f"{plan}/events", {"page": number or 1})

    head = server.raw(table["plan"], plan)
    server.understood(head, lambda value: value["name"])
    ids = [id_ for raw in server.pages("pages of events", page, _next) for id_ in server.understood(raw, _ids)]
    raws = [head]
    for number, id_ in enumerate(ids, 1):
        event = server.raw(f"events/{id_}", f"{plan}/events/{step(id_)}", {"format": "schema"})
        server.understood(event, lambda value: value["rules"]["type"])
        raws.append(event)
        server.watch("events", number, len(ids))
    return raws


def _ids(page: Any) -> list[str]:
    return [str(event["id"]) for event in page["data"]]


def _next(page: Any) -> int | None:
    if not page["data"] or "total" not in page:
        return None
    is_last = page["currentPage"] * page["pageSize"] >= page["total"]
    return None if is_last else int(page["currentPage"]) + 1


def recognises(raws: Sequence[Raw]) -> bool:
    return all(_is_plan(raw.value) or _is_event(raw.value) for raw in raws)


def _is_plan(value: Any) -> bool:
    return isinstance(value, dict) and ("workspaceId" in value or "creationType" in value) and "rudder" not in value


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and "eventType" in value and isinstance(value.get("rules"), dict)


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: an event cannot be used.
    """
    entries: list[Entry] = []
    head: Mapping[str, Any] = {}
    for raw in raws:
        root = raw.document.root
        root.members()
        if _is_event(root.value):
            entries.append(_of_event(root))
            continue
        head = root.value
        for event in root.get("rules", "events").elements() if isinstance(root.value.get("rules"), dict) else ():
            entries.append(_of_event(event))
    version = head.get("version")
    return assembled(
        "rudderstack",
        entries,
        name=text(head.get("name")),
        version=str(version) if isinstance(version, int) else text(version),
        origin={"id": text(head.get("id"))},
    )


def _of_event(event: Part) -> Entry:
    event.members()
    said = text(event.value.get("eventType")) or "track"
    kind = KINDS.get(said)
    if kind is None or kind == "context":
        raise event.get("eventType").error(f"unknown type of event {said!r}")
    part = event.get("rules")
    part.members()
    id_ = text(event.value.get("id"))
    return Entry(
        kind,
        section(
            text(event.value.get("name")) if kind == "track" else kind,
            _unwrapped(part.value, _place(part.value, kind, text(event.value.get("identitySection")))),
            part,
            description=text(event.value.get("description")),
            origin={"id": id_} if id_ else {},
        ),
        part,
    )


def _place(schema: Mapping[str, Any], kind: str, said: str) -> tuple[str, ...]:
    """Where in a message's schema the properties or traits are."""
    if said in _PLACES:
        return _PLACES[said]
    for place in _USUAL.get(kind, ()):
        if _at(schema, _PLACES[place]) is not None:
            return _PLACES[place]
    return _PLACES["properties"]


def _at(schema: Any, place: Sequence[str]) -> Any:
    for name in place:
        properties = schema.get("properties") if isinstance(schema, dict) else None
        schema = properties.get(name) if isinstance(properties, dict) else None
    return schema


def _unwrapped(schema: Mapping[str, Any], place: Sequence[str]) -> dict[str, Any]:
    inner = _at(schema, place)
    shared = {key: schema[key] for key in ("$schema", "definitions", "$defs") if key in schema}
    path = "#" + "".join(f"/properties/{name}" for name in place)
    own = dict(inner) if isinstance(inner, dict) else {}
    return {**shared, "type": "object", **schemas.moved(own, path, "#")}
