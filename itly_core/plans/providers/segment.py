"""Segment: the Public API's tracking plans, and the `plan.json` that Typewriter 7 and 8 keep.

API: https://docs.segmentapis.com, `/tracking-plans/{id}` and `/tracking-plans/{id}/rules`. There a rule's schema is one
of the whole message; Typewriter 8 keeps only the part about properties, and says so by `eventMetadata`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import schemas
from ..document import Plan
from ..raw import Raw
from ..server import Server, step
from ..syntax import Part
from .assembly import KINDS, Entry, assembled, section, text

PAGE_SIZE = 200  # the most that the API gives at once
NEVER = "0001-01-01"  # how a Go server writes a time that is not set
_TRAITS = ("identify", "group")


def fetch(server: Server, table: Mapping[str, str]) -> list[Raw]:
    """The plan, and every page of its rules."""
    plan = f"/tracking-plans/{step(table['plan'])}"

    def page(cursor: str | int | None) -> Raw:
        query: dict[str, str | int] = {"pagination.count": PAGE_SIZE}
        return server.raw("rules", f"{plan}/rules", query if cursor is None else {**query, "pagination.cursor": cursor})

    head = server.raw(table["plan"], plan)
    server.understood(head, lambda value: value["data"]["trackingPlan"]["name"])
    return [head, *server.pages("rules", page, _next)]


def _next(page: Any) -> Any:
    return page["data"]["pagination"].get("next") if page["data"]["rules"] else None


def recognises(raws: Sequence[Raw]) -> bool:
    return all(_is_ours(raw.value) for raw in raws)


def _is_ours(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    data = value.get("data")
    if isinstance(data, dict):
        return "trackingPlan" in data or "rules" in data
    rules = value.get("rules")
    if isinstance(rules, list):
        return all(isinstance(rule, dict) and "jsonSchema" in rule for rule in rules)
    return isinstance(rules, dict) and isinstance(rules.get("events"), list) and "workspaceId" not in value


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: a rule cannot be used.
    """
    entries: list[Entry] = []
    common: list[Part] = []
    head: dict[str, str] = {}
    for raw in raws:
        root = raw.document.root
        root.members()
        data = root.get("data") if "data" in root.value else root
        data.members()
        about = data.get("trackingPlan") if "trackingPlan" in data.value else data
        head.update({key: part.value for key, part in about.members().items() if isinstance(part.value, str)})
        rules = data.get("rules")
        if isinstance(rules.value, dict):  # Typewriter 7
            entries += _of_config_api(rules)
            common += [rules.get("global")] if isinstance(rules.value.get("global"), dict) else []
        elif "rules" in data.value:
            for rule in rules.elements():
                rule.members()
                if text(rule.value.get("type")).upper() == "COMMON":
                    common.append(rule.get("jsonSchema"))
                else:
                    entries.append(_of_rule(rule))
    return assembled(
        "segment",
        [_with_common(entry, common) for entry in entries],
        name=head.get("display_name") or head.get("name", ""),
        origin={"id": head.get("id") or head.get("name", "")},
    )


def _of_rule(rule: Part) -> Entry:
    kind = KINDS.get(text(rule.value.get("type")).lower())
    if kind is None or kind == "context":
        raise rule.get("type").error(f"unknown type of rule {rule.value.get('type')!r}")
    part = rule.get("jsonSchema")
    part.members()
    about = part.value
    place = "traits" if kind in _TRAITS else "properties"
    bare = about if "eventMetadata" in about or not _is_of_message(about) else _unwrapped(about, place)
    deprecated = text(rule.value.get("deprecatedAt"))
    return Entry(
        kind,
        section(
            text(rule.value.get("key")) if kind == "track" else kind,
            _cleaned(bare),
            part,
            description=text(about.get("description")),
            version=str(rule.value.get("version", "")),
            tags=_tags(about.get("labels")),
            status="deprecated" if deprecated and not deprecated.startswith(NEVER) else "active",
        ),
        part,
    )


def _of_config_api(rules: Part) -> Iterator[Entry]:
    """Rules as the Config API had them, which Typewriter 7 kept."""
    for event in rules.get("events").elements():
        event.members()
        about = event.get("rules")
        about.members()
        made = section(
            text(event.value.get("name")),
            _cleaned(_unwrapped(about.value, "properties")),
            about,
            description=text(event.value.get("description")),
            version=str(event.value.get("version", "")),
            tags=_tags(about.value.get("labels")),
        )
        yield Entry("track", made, about)
    for kind in ("identify", "group"):
        part = rules.get(kind)
        if isinstance(rules.value.get(kind), dict) and part.value:
            schema = _cleaned(_unwrapped(part.value, "traits"))
            yield Entry(KINDS[kind], section(kind, schema, part), part)


def _is_of_message(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is of a whole message, not of its properties."""
    properties = schema.get("properties")
    return (
        isinstance(properties, dict) and bool(properties) and properties.keys() <= {"context", "properties", "traits"}
    )


def _unwrapped(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The part of a message's schema that is about its properties or traits."""
    properties = schema.get("properties")
    inner = properties.get(place) if isinstance(properties, dict) else None
    own = dict(inner) if isinstance(inner, dict) else {}
    shared = {key: schema[key] for key in ("$schema", "definitions", "$defs") if key in schema}
    return {**shared, "type": "object", **schemas.moved(own, f"#/properties/{place}", "#")}


def _cleaned(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without Segment's own keys. `id` is a path there, which draft 4 would take for the base of references."""
    bare: dict[str, Any] = schemas.without(schema, "id")
    return {key: value for key, value in bare.items() if key not in ("eventMetadata", "labels", "description", "title")}


def _tags(labels: Any) -> tuple[str, ...]:
    return tuple(f"{key}:{labels[key]}" for key in sorted(labels)) if isinstance(labels, dict) else ()


def _with_common(entry: Entry, rules: Sequence[Part]) -> Entry:
    """The entry under the rules that hold for every call."""
    for rule in rules:
        rule.members()
        place = "traits" if entry.kind in _TRAITS else "properties"
        common = _cleaned(_unwrapped(rule.value, place))
        common = {key: value for key, value in common.items() if key not in ("$schema", "type")}
        if not common.get("properties") and not common.get("required"):
            continue
        own = entry.section
        about = {key: getattr(own, key) for key in ("description", "version", "tags", "status", "origin")}
        entry = Entry(entry.kind, section(own.name, _both(own.schema, common), rule, **about), entry.part)
    return entry


def _both(schema: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with the common properties among its own; where both say something of one, both hold."""
    own, shared = dict(schema.get("properties", {})), common.get("properties", {})
    for name, rule in shared.items():
        own[name] = rule if own.get(name, rule) == rule else {"allOf": [own[name], rule]}
    rest = {
        key: value for key, value in common.items() if key not in ("properties", "required", "additionalProperties")
    }
    required = list(dict.fromkeys([*schema.get("required", ()), *common.get("required", ())]))
    return {**rest, **schema, "properties": own, **({"required": required} if required else {})}
