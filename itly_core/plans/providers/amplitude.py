"""Amplitude: the CSV files that Amplitude Data exports, and the Taxonomy API.

https://amplitude.com/docs/data/csv-import-export and https://amplitude.com/docs/apis/analytics/taxonomy. The files say
more: the API knows no constants, ranges, nor which source sends what.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..document import Plan
from ..raw import Raw, Row
from ..server import Server
from ..syntax import Part
from .assembly import Entry, assembled, section, text, texts, words
from .table import is_true

USER_PREFIX, GROUP_PREFIX = "gp:", "grp:"
_TYPES = ("string", "number", "boolean", "enum", "any")


def recognises(raws: Sequence[Raw]) -> bool:
    return all(_is_export(raw) if raw.is_table else _is_answer(raw.value) for raw in raws)


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: a line or an answer cannot be used.
    """
    files = [raw for raw in raws if raw.is_table]
    entries = [*_of_files(files), *_of_answers([raw for raw in raws if not raw.is_table])]
    return assembled("amplitude", entries)


def _object(properties: Mapping[str, Any], required: Sequence[str], *, is_open: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": is_open,
        **({"required": sorted(required)} if required else {}),
    }


# --- the files --------------------------------------------------------------------------------------------------------


def _is_export(raw: Raw) -> bool:
    return {"object type", "object name"} <= raw.columns or {"property name", "property value type"} <= raw.columns


def _of_files(raws: Sequence[Raw]) -> Iterator[Entry]:
    groups: dict[str, list[Row]] = {}  # of properties, which events take over
    events: dict[str, list[Row]] = {}
    users: list[Row] = []
    for raw in raws:
        kind = name = ""
        for row in raw.rows:
            if row.get("action").lower() in ("ignore", "remove"):
                continue
            if "object name" not in row.cells:
                users.append(row)
                continue
            kind, name = (row.get("object type") or kind), (row.get("object name") or name)
            if not name:
                raise row.error("names no event", "Object name")
            (groups if kind.lower() == "property group" else events).setdefault(name, []).append(row)
    for name, rows in events.items():
        yield _of_event_rows(name, rows, groups)
    if users:
        part = users[0].part(_object(_named(users, "property name"), (), is_open=True))
        yield Entry("identify", section("identify", part.value, part), part)


def _of_event_rows(name: str, rows: Sequence[Row], groups: Mapping[str, Sequence[Row]]) -> Entry:
    used: list[Row] = []
    for row in rows:
        for group in words(row.get("property group names")):
            if group not in groups:
                raise row.error(f"there is no property group {group!r} in these files", "Property group names")
            used += groups[group]
    used += rows
    properties = _named(used, "event property name")
    required = {
        row.get("event property name"): is_true(row, "property required")
        for row in used
        if row.get("event property name")
    }

    def said(column: str) -> str:
        return next((cell for row in rows if (cell := row.get(column))), "")

    schema = _object(properties, [key for key, value in required.items() if value], is_open=False)
    part = rows[0].part(schema)
    made = section(
        name,
        schema,
        part,
        description=said("object description"),
        owner=said("object owner"),
        tags=tuple(dict.fromkeys([*words(said("tags")), *words(said("event category"))])),
        sources=words(said("event source")),
    )
    return Entry("track", made, part)


def _named(rows: Sequence[Row], column: str) -> dict[str, Any]:
    """Properties by name. A later row takes the place of an earlier one: an event's own before its group's."""
    return {name.removeprefix(USER_PREFIX): _of_row(row) for row in rows if (name := row.get(column))}


def _of_row(row: Row) -> dict[str, Any]:
    kind = row.get("property value type").lower() or "any"
    if kind not in (*_TYPES, "const"):
        raise row.error(f"unknown type {kind!r}", "Property value type")
    value: dict[str, Any] = {} if kind in ("any", "enum", "const") else {"type": kind}
    if kind == "number" and is_true(row, "number is integer"):
        value["type"] = "integer"
    if kind == "enum":
        value["enum"] = list(words(row.get("enum values")))
    if kind == "const":
        value["const"] = _constant(row.get("const value"))
    if row.get("property regex"):
        value["pattern"] = row.get("property regex")
    for keyword, column in (
        ("minimum", "number property value min"),
        ("maximum", "number property value max"),
        ("minLength", "string property value min length"),
        ("maxLength", "string property value max length"),
    ):
        if row.get(column):
            value[keyword] = _number(row, column)
    if is_true(row, "property is array"):
        value = {"type": "array", **({"items": value} if value else {})}
        for keyword, column in (("minItems", "array min items"), ("maxItems", "array max items")):
            if row.get(column):
                value[keyword] = _number(row, column)
        if is_true(row, "array unique items"):
            value["uniqueItems"] = True
    description = row.get("property description")
    return {**value, **({"description": description} if description else {})}


def _number(row: Row, column: str) -> int | float:
    cell = row.get(column)
    try:
        number = float(cell)
    except ValueError as exc:
        raise row.error(f"must be a number, not {cell!r}", column) from exc
    return int(number) if number.is_integer() else number


def _constant(cell: str) -> Any:
    """A constant as it was meant: the file quotes no texts, so that `4` and `true` are taken for what they look like."""
    try:
        value = json.loads(cell)
    except ValueError:
        return cell
    return value if isinstance(value, int | float | bool) else cell


# --- the API ----------------------------------------------------------------------------------------------------------


def fetch(server: Server, table: Mapping[str, str]) -> list[Raw]:
    """The events, each one's properties, and those of users and groups. There are no pages, but a request an event."""
    events = server.raw("events", "/taxonomy/event")
    names = server.understood(events, lambda value: [event["event_type"] for event in value["data"]])
    raws = [events]
    for number, name in enumerate(names, 1):
        # The field is documented as a form's in the body of a GET, which servers on the way may drop.
        asked = {"event_type": name}
        answer = server.raw(f"event-property/{name}", "/taxonomy/event-property", asked, form=asked)
        server.understood(answer, lambda value: value["data"][:0])
        raws.append(answer)
        server.watch("events", number, len(names))
    group = {"group_type": table["group_type"]} if "group_type" in table else None
    for kind, query in (("user-property", None), ("group-property", group)):
        answer = server.raw(kind, f"/taxonomy/{kind}", query, form=query)
        server.understood(answer, lambda value: value["data"][:0])
        raws.append(answer)
    return raws


Item = Literal["event", "event_property", "user_property", "group_property"]


def _is_answer(value: Any) -> bool:
    data = value.get("data") if isinstance(value, dict) and "success" in value else None
    return isinstance(data, list) and all(isinstance(item, dict) and _item(item) for item in data)


def _item(item: Mapping[str, Any]) -> Item | None:
    for kind in ("event_property", "user_property", "group_property"):
        if kind in item:
            return kind
    return "event" if "event_type" in item else None


def _of_answers(raws: Sequence[Raw]) -> Iterator[Entry]:
    found: dict[str, list[Part]] = {}
    of_event: dict[str, list[Part]] = {}
    for raw in raws:
        for item in raw.document.root.get("data").elements():
            item.members()
            kind = _item(item.value) or ""
            if kind == "event_property":
                of_event.setdefault(text(item.value.get("event_type")), []).append(item)
            else:
                found.setdefault(kind, []).append(item)
    for event in found.get("event", ()):
        yield _of_event(event, of_event.get(text(event.value["event_type"]), []))
    for kind, section_name, prefix in (
        ("user_property", "identify", USER_PREFIX),
        ("group_property", "group", GROUP_PREFIX),
    ):
        items = [item for item in found.get(kind, ()) if not item.value.get("is_hidden")]
        if items:
            names = {text(item.value.get(kind)).removeprefix(prefix): _of_item(item) for item in items}
            made = section(section_name, _object(names, (), is_open=True), items[0])
            yield Entry("identify" if kind == "user_property" else "group", made, items[0])


def _of_event(event: Part, items: Sequence[Part]) -> Entry:
    properties = {
        text(item.value["event_property"]): _of_item(item) for item in items if not item.value.get("is_hidden")
    }
    required = [text(item.value["event_property"]) for item in items if item.value.get("is_required") is True]
    category = text(event.get("category", "name").value)
    made = section(
        text(event.value.get("event_type")),
        _object(properties, [name for name in required if name in properties], is_open=False),
        event,
        description=text(event.value.get("description")),
        owner=text(event.value.get("owner")),
        status="active" if event.value.get("is_active", True) else "deprecated",
        tags=tuple(dict.fromkeys([*texts(event.value.get("tags")), *([category] if category else [])])),
    )
    return Entry("track", made, event)


def _of_item(item: Part) -> dict[str, Any]:
    about = item.value
    kind = text(about.get("type")) or "any"
    if kind not in _TYPES:
        raise item.get("type").error(f"unknown type {kind!r}")
    value: dict[str, Any] = {} if kind in ("any", "enum") else {"type": kind}
    allowed = about.get("enum_values")  # answers show null; what is sent to the API is one text
    values = list(words(allowed)) if isinstance(allowed, str) else list(texts(allowed))
    if values:
        value["enum"] = values
    if text(about.get("regex")):
        value["pattern"] = about["regex"]
    if about.get("is_array_type") is True:
        value = {"type": "array", **({"items": value} if value else {})}
    if text(about.get("description")):
        value["description"] = about["description"]
    classes = texts(about.get("classifications"))
    return {**value, **({"x-pii": ", ".join(classes)} if classes else {})}
