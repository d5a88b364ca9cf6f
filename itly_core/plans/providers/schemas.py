"""Raw JSON Schemas by event name: a file `{name: schema}`, or a folder with a schema a file.

As generated code of Iteratively's carried them (keys `context`, `identify`, `group`, `page` are the sections), and as
Iglu keeps them (`name/1-0-2`: the highest version of each name counts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...validation import Draft
from .. import schemas
from ..document import Plan, Section
from ..raw import Raw
from ..syntax import Part

SECTIONS = ("context", "identify", "group", "page")
DEFAULT_DRAFT: Draft = "7"  # what tools that left `$schema` out wrote for
_VERSION = re.compile(r"\d+[-.]\d+[-.]\d+\Z")
_VERSION_IN_ID = re.compile(r"/version/(\d+\.\d+\.\d+)\Z")  # …/event/<id>/version/1.0.0, as Iteratively wrote `$id`


def recognises(raws: Sequence[Raw]) -> bool:
    return all(
        raw.value is not None and (_is_schema(raw.value) or _bundle(raw.document.root) is not None) for raw in raws
    )


def parse(raws: Sequence[Raw]) -> Plan:
    """The plan that the schemas are together. Its name and version stay empty: schemas have none.

    Raises:
        PlanError: a schema cannot be used, or two are for the same event and version.
    """
    newest: dict[str, tuple[tuple[int, ...], Part, str]] = {}
    sections: dict[str, Section] = {}
    for name, version, part in entries(raws):
        if name in SECTIONS and not version:
            if name in sections:
                raise part.error(f"{name!r} is given twice")
            sections[name] = _section(name, version, part)
            if name == "context":  # the one section that no user id comes with
                sections[name] = replace(sections[name], user_id_property=None)
            continue
        rank = tuple(int(number) for number in re.findall(r"\d+", version))
        if name in newest and newest[name][0] == rank:
            raise part.error(f"{name!r} is already given in {newest[name][1].location}")
        if name not in newest or rank > newest[name][0]:
            newest[name] = (rank, part, version)
    events = tuple(_section(name, version, part) for name, (_, part, version) in sorted(newest.items()))
    return Plan(
        name="",
        version="",
        source="",
        events=events,
        context=sections.get("context"),
        identify=sections.get("identify"),
        group=sections.get("group"),
        page=sections.get("page"),
        origin={"provider": "schemas"},
    )


def _is_schema(value: Any) -> bool:
    """Whether an object is a JSON Schema by itself, not a table of them."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("$schema"), str) or isinstance(value.get("$ref"), str):
        return True
    kinds = value.get("type")
    if kinds and all(kind in schemas.TYPES for kind in (kinds if isinstance(kinds, list) else [kinds])):
        return True
    if any(isinstance(value.get(key), list) for key in ("allOf", "anyOf", "oneOf", "enum")):
        return True
    properties = value.get("properties")
    return isinstance(properties, dict) and not _is_schema(properties)


def _bundle(root: Part) -> Part | None:
    """The table of schemas in a file: the file itself, or its `schemas` where the rest only describes it."""
    if not isinstance(root.value, dict):
        return None
    table = root
    rest = [value for key, value in root.value.items() if key != "schemas"]
    if "schemas" in root.value and not any(isinstance(value, dict | list) for value in rest):
        table = root.at("schemas")
    if isinstance(table.value, dict) and table.value and all(_is_schema(value) for value in table.value.values()):
        return table
    return None


def entries(raws: Sequence[Raw]) -> Iterator[tuple[str, str, Part]]:
    """Every schema with its event name and version, the latter empty where not said."""
    for raw in raws:
        root = raw.document.root
        table = None if _is_schema(root.value) else _bundle(root)
        if table is not None:
            for key, part in table.members().items():
                name, _, version = key.rpartition("/")
                yield (name, version, part) if name and _VERSION.match(version) else (key, "", part)
        elif _is_schema(root.value):
            *folders, last = [step for step in raw.key.split("/") if step != "jsonschema"]
            yield (folders[-1], last, root) if folders and _VERSION.match(last) else (last, "", root)
        else:
            raise root.error("is neither a JSON Schema nor a table of them")


def _section(name: str, version: str, part: Part) -> Section:
    if not name.strip():
        raise part.error("an event's name must not be empty")
    schema = schemas.normalised(part, DEFAULT_DRAFT)
    schemas.check(schema, part)
    properties = schema.get("properties")
    description = schema.get("description")
    return Section(
        name=name,
        schema=schema,
        description=description if isinstance(description, str) else "",
        version=version.replace("-", ".") or version_of(schema),
        user_id_property="user_id" if isinstance(properties, Mapping) and "user_id" in properties else None,
    )


def version_of(schema: Mapping[str, Any]) -> str:
    """The version a schema says itself: Iglu's `self`, or the end of Iteratively's `$id`."""
    about = schema.get("self")
    said = about.get("version") if isinstance(about, Mapping) else None
    if isinstance(said, str):
        return said.replace("-", ".")
    found = _VERSION_IN_ID.search(str(schema.get("$id", "")))
    return found.group(1) if found else ""
