"""The one order and style of plan files: what `itly fmt` makes of a file. Names keep the order their author chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from ..errors import PlanError
from . import yaml_text
from .providers.itly import SECTIONS
from .syntax import read
from .yaml_text import Node, Path

Kind = Literal["document", "plan", "defaults", "events", "types", "section", "properties", "value", "other"]

_VALUE = (
    "type", "required", "nullable", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items", "minItems", "maxItems", "uniqueItems",
    "minProperties", "maxProperties", "title", "description", "default", "example", "examples", "pii", "deprecated",
    "properties", "additional_properties",
)  # fmt: skip
ORDER: dict[Kind, Sequence[str]] = {
    "document": ("itly", "plan", "defaults", "types", *SECTIONS, "events"),
    "plan": ("name", "version", "owner", "source"),
    "defaults": ("additional_properties", "formats", "draft"),
    "section": (
        "itly", "name", "description", "version", "owner", "status", "since", "expires", "tags", "sources",
        "python_name", "identity", "examples", "no_lint", "properties", "additional_properties", "schema",
    ),
    "value": _VALUE,
}  # fmt: skip
_SCHEMA_MAPS = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")


def formatted(name: str, data: bytes) -> bytes:
    """A plan file in the one style. What it says is the same, and so are its comments.

    Raises:
        PlanError: it is no YAML or JSON.
    """
    document = read(name, data)
    if data.lstrip()[:1] == b"{" and not name.lower().endswith((".yaml", ".yml")):
        return json_text(document.value)
    text = yaml_text.parse(data.decode("utf-8-sig").replace("\r\n", "\n"))
    is_event = _is_event(document.value)
    if not text.root.has_anchors():  # else an alias could come before its anchor
        _sort(text.root, (), is_event)
    written = yaml_text.write(text, lambda path: _is_open(path, is_event)).encode()
    if read(name, written).value != document.value:
        raise PlanError("cannot be written in the one style without a change of what it says", location=name)
    return written


def yaml_of(value: Any) -> bytes:
    """A plan document as YAML."""
    text = yaml_text.Text(yaml_text.of_value(value))
    is_event = _is_event(value)
    _sort(text.root, (), is_event)
    return yaml_text.write(text, lambda path: _is_open(path, is_event)).encode()


def json_text(value: Any) -> bytes:
    """A plan document as JSON."""
    node = yaml_text.of_value(value)
    _sort(node, (), _is_event(value))
    return (json.dumps(_plain(node), indent=2, ensure_ascii=False) + "\n").encode()


def _plain(node: Node) -> Any:
    if node.kind == "object":
        return {key: _plain(child) for key, child in node.entries}
    return [_plain(item) for item in node.items] if node.kind == "list" else node.value


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value and not {"plan", "events"} & value.keys()


def kind_at(path: Path, is_event: bool) -> Kind:
    """What stands at a path of a document. is_event: the document is one event's."""
    kind: Kind = "section" if is_event else "document"
    for key in path:
        kind = _below(kind, key)
    return kind


def _below(kind: Kind, key: str | int) -> Kind:
    if kind == "document":
        if key in SECTIONS:
            return "section"
        return {"plan": "plan", "defaults": "defaults", "events": "events", "types": "types"}.get(str(key), "other")  # type: ignore[return-value]
    if kind in ("events", "types", "properties"):
        return "section" if kind == "events" else "value"
    if kind in ("section", "value"):
        if key == "properties":
            return "properties"
        return "value" if key in ("items", "additional_properties") else "other"
    return "other"


def _is_open(path: Path, is_event: bool) -> bool:
    """Whether a line for each entry is easier to read and to merge, even where one line held them."""
    if "schema" in path and kind_at(path[: path.index("schema")], is_event) == "section":
        inside = path[path.index("schema") + 1 :]
        return not inside or (inside[-1] in _SCHEMA_MAPS and (len(inside) < 2 or inside[-2] not in _SCHEMA_MAPS))
    return kind_at(path, is_event) in ("document", "events", "types", "section", "properties")


def _sort(node: Node, path: Path, is_event: bool) -> None:
    order = ORDER.get(kind_at(path, is_event))
    if order is not None and node.kind == "object":
        ranks = {key: number for number, key in enumerate(order)}
        node.entries.sort(key=lambda entry: ranks.get(entry[0], len(ranks)))
    pairs: list[tuple[str | int, Node]] = list(node.entries) if node.kind == "object" else list(enumerate(node.items))
    for key, child in pairs:
        _sort(child, (*path, key), is_event)
