"""A spreadsheet with a property a line, as CSV: from a file, or a shared Google Sheet's export address.

Columns are found by their names in any case: `event` (or `event name`), `property`, `type`, `required`, `description`,
`enum`, `example`, `owner` and others, see docs/plan-sources.md. An empty `event` means that of the line above.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ...suggest import unknown
from ..document import Plan
from ..raw import Raw, Row
from .assembly import KINDS, Entry, Kind, assembled, section, words
from .schemas import SECTIONS

EVENT = ("event", "event name", "event_name")
PROPERTY = ("property", "property name", "property_name", "segment name")  # segment: Countly's word
TYPE = ("type", "property type", "data type", "value type", "segment type")
REQUIRED = ("required", "presence", "property required", "segment required")
PROPERTY_DESCRIPTION = ("property description", "segment description")
EVENT_DESCRIPTION = ("event description",)
DESCRIPTION = ("description",)
ENUM = ("enum", "enum values", "allowed values", "values")
EXAMPLE = ("example", "examples", "example value")
TRUE = frozenset({"true", "yes", "y", "x", "1", "required", "always", "mandatory"})
FALSE = frozenset({"", "false", "no", "n", "0", "optional", "sometimes"})

TYPES: dict[str, dict[str, Any]] = {
    "": {}, "any": {}, "string": {"type": "string"}, "text": {"type": "string"}, "str": {"type": "string"},
    "integer": {"type": "integer"}, "int": {"type": "integer"}, "long": {"type": "integer"},
    "number": {"type": "number"}, "numeric": {"type": "number"}, "float": {"type": "number"},
    "double": {"type": "number"}, "decimal": {"type": "number"}, "boolean": {"type": "boolean"},
    "bool": {"type": "boolean"}, "object": {"type": "object"}, "map": {"type": "object"}, "dict": {"type": "object"},
    "array": {"type": "array"}, "list": {"type": "array"}, "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"}, "timestamp": {"type": "string", "format": "date-time"},
    "date-time": {"type": "string", "format": "date-time"}, "uuid": {"type": "string", "format": "uuid"},
    "email": {"type": "string", "format": "email"}, "url": {"type": "string", "format": "uri"}, "enum": {},
}  # fmt: skip
_ARRAY = re.compile(r"(?:(?P<a>.+)\[\]|(?:array|list)\s*(?:of\s+|[<(\[])(?P<b>[^>)\]]+)[>)\]]?)\Z")


def recognises(raws: Sequence[Raw]) -> bool:
    return all(raw.is_table and bool(raw.columns & set(EVENT)) for raw in raws)


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: a line cannot be used.
    """
    groups: dict[tuple[Kind, str], list[Row]] = {}
    for raw in raws:
        name = ""
        for row in raw.rows:
            name = row.get(*EVENT) or name
            if not name:
                raise row.error("names no event", "event")
            groups.setdefault((_kind(row, name), name), []).append(row)
    return assembled("csv", [_of_rows(kind, name, rows) for (kind, name), rows in groups.items()])


def _kind(row: Row, name: str) -> Kind:
    said = row.get("kind", "call", "call type", "event type").lower()
    if not said:
        return KINDS[name] if name in SECTIONS else "track"
    if said not in KINDS:
        raise row.error(f"unknown kind of call {said!r}; {unknown(said, KINDS)}", "kind")
    return KINDS[said]


def _of_rows(kind: Kind, name: str, rows: Sequence[Row]) -> Entry:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for row in rows:
        property_name = row.get(*PROPERTY)
        if not property_name:
            continue
        if property_name in properties:
            raise row.error(f"the property {property_name!r} of {name!r} is given twice", "property")
        properties[property_name] = _of_row(row)
        if is_true(row, *REQUIRED):
            required.append(property_name)
    schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": sorted(required)} if required else {}),
    }
    alone = next((row for row in rows if not row.get(*PROPERTY)), None)

    def said(*columns: str) -> str:
        return next((cell for row in rows if (cell := row.get(*columns))), "")

    about = {
        "description": said(*EVENT_DESCRIPTION) or (alone.get(*DESCRIPTION) if alone is not None else ""),
        "owner": said("owner", "event owner"),
        "version": said("version", "event version"),
        "tags": words(said("tags", "event tags"), ",;"),
        "sources": words(said("sources", "source"), ",;"),
    }
    part = rows[0].part(schema)
    return Entry(kind, section(name if kind == "track" else kind, schema, part, draft="2020-12", **about), part)


def _of_row(row: Row) -> dict[str, Any]:
    schema = _of_type(row, row.get(*TYPE).lower())
    values = row.get(*ENUM)
    if values:
        allowed = {"enum": [_as_typed(row, schema, value) for value in words(values, ",;|\n")]}
        schema = {**schema, "items": {**schema.get("items", {}), **allowed}} if schema.get("type") == "array" else {
            **schema, **allowed
        }  # fmt: skip
    description = row.get(*PROPERTY_DESCRIPTION, *DESCRIPTION)
    example, pii = row.get(*EXAMPLE), row.get("pii", "personal data")
    return {
        **schema,
        **({"description": description} if description else {}),
        **({"examples": [_as_typed(row, schema, example)]} if example else {}),
        **({"x-pii": True if pii.lower() in TRUE else pii} if pii and pii.lower() not in FALSE else {}),
    }


def _of_type(row: Row, name: str) -> dict[str, Any]:
    if name in TYPES:
        return dict(TYPES[name])
    array = _ARRAY.match(name)
    if array:
        element = (array["a"] or array["b"]).strip()
        items = _of_type(row, element if element in TYPES else element.removesuffix("s"))
        return {"type": "array", **({"items": items} if items else {})}
    raise row.error(f"unknown type {name!r}; {unknown(name, [known for known in TYPES if known])}", "type")


def _as_typed(row: Row, schema: dict[str, Any], text: str) -> Any:
    """A cell as the value it is meant to be: text, unless the type says otherwise."""
    kind = (schema.get("items", schema) if schema.get("type") == "array" else schema).get("type")
    if kind in (None, "string"):
        return text
    try:
        value = json.loads(text.lower() if kind == "boolean" else text)
    except ValueError as exc:
        raise row.error(f"{text!r} is no {kind}") from exc
    return value


def is_true(row: Row, *columns: str) -> bool:
    """A cell that says yes or no; no where it is empty.

    Raises:
        PlanError: it says something else.
    """
    said = row.get(*columns).lower()
    if said not in TRUE | FALSE:
        raise row.error(f"must be yes or no, not {said!r}", columns[0])
    return said in TRUE
