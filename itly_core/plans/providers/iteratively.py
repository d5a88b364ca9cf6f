"""Iteratively: what is left of a plan in users' git, its `.itlyrc` and the code it generated, which is never run.

`.itlyrc` held the events until 2020, later only ids. Generated code held each event's JSON Schema beside its name: as an
object in JavaScript and TypeScript, as a text in Python, Ruby, Java, Kotlin and Swift. A file of such schemas alone, by
name, is known by their `$id`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import PlanError
from ..document import Plan
from ..raw import Raw
from ..syntax import Document, Part
from . import schemas
from .assembly import KINDS, Entry, Kind, assembled, section, text


def recognises(raws: Sequence[Raw]) -> bool:
    return all(raw.is_code or _state(raw) is not None or _is_bundle(raw) for raw in raws)


def _is_bundle(raw: Raw) -> bool:
    return schemas.recognises([raw]) and any(
        _OUR_ID.match(str(part.value.get("$id", ""))) for _, _, part in schemas.entries([raw])
    )


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: there is no event in the files, or one that cannot be used.
    """
    entries: list[Entry] = []
    version, ids = "", {}
    for raw in raws:
        if raw.is_code:
            entries += [_of_schema(name, part) for name, part in _schemas_in(raw)]
            continue
        state = _state(raw)
        if state is None:
            entries += [_of_schema(name, part) for name, _, part in schemas.entries([raw])]
            continue
        entries += _of_state(state)
        version = version or text(state.value.get("Version"))
        ids = {"company": text(state.value.get("CompanyId")), "source": text(state.value.get("SourceId"))}
    if not entries:
        raise PlanError(
            "holds no schemas, as code of Ampli never does: export the plan from Amplitude as CSV"
            if raws[0].is_code
            else "holds no events, as since 2021: pull from the code that Iteratively generated, which has their schemas",
            location=raws[0].name,
        )
    return assembled("iteratively", entries, version=version, origin={key: id_ for key, id_ in ids.items() if id_})


_OUR_ID = re.compile(r"https://(?:iterative\.ly|data\.amplitude\.com)/")


# --- .itlyrc ----------------------------------------------------------------------------------------------------------

# Iteratively's numbers for types. 5 and 6, enumerations and constants, say all in their schema.
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "0": {"type": "string"}, "1": {"type": "number"}, "2": {"type": "boolean"}, "3": {"type": "array"},
    "4": {"type": "object"}, "5": {}, "6": {},
}  # fmt: skip


def _state(raw: Raw) -> Part | None:
    """The state in an `.itlyrc`, also where it was put into another document under that name."""
    if not isinstance(raw.value, dict):
        return None
    root = raw.document.root
    for part in (root, root.get("itlyrc")):
        if isinstance(part.value, dict) and "SourceId" in part.value and ("CompanyId" in part.value):
            return part
    return None


def _of_state(state: Part) -> Iterator[Entry]:
    """The events. Their `sources` are left out: Iteratively kept here what the one source at hand sends."""
    for event in state.get("Events").elements() if "Events" in state.value else ():
        event.members()
        properties, required = {}, []
        for part in event.get("properties").elements() if "properties" in event.value else ():
            part.members()
            name = part.get("name").text()
            properties[name] = _of_property(part)
            if part.value.get("required") is True:
                required.append(name)
        schema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": sorted(required)} if required else {}),
        }
        made = section(
            text(event.value.get("name")),
            schema,
            event,
            description=text(event.value.get("description")),
            origin={"id": text(event.value.get("id"))},
        )
        yield Entry("track", made, event)


def _of_property(part: Part) -> dict[str, Any]:
    code = str(part.value.get("type"))
    if code not in _TYPES:
        raise part.get("type").error(f"unknown type {part.value.get('type')!r}")
    own = part.value.get("schema")
    description = text(part.value.get("description"))
    return {
        **_TYPES[code],
        **(own if isinstance(own, dict) else {}),
        **({"description": description} if description else {}),
    }


# --- generated code ---------------------------------------------------------------------------------------------------

_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
# A name and, after what the languages put between a key and its value, the beginning of an object or a text.
_ENTRY = re.compile(rf"(?P<name>{_STRING}|[A-Za-z_]\w*)\s*(?::|=>|,|\bto\b)\s*(?=[{{\"'`])")
_LITERAL = re.compile(_STRING)
_JOINED = re.compile(r"\s*\+?\s*(?=[\"'`])")
_ESCAPE = re.compile(r"\\(?:u\{?([0-9a-fA-F]{4,6})\}?|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_EVENT_ID = re.compile(r"/event/([^/]+)/version/")


def _schemas_in(raw: Raw) -> Iterator[tuple[str, Part]]:
    """Each schema that stands in the code, with the name beside it."""
    code, at = raw.text, 0
    while (entry := _ENTRY.search(code, at)) is not None:
        value, end = _value(code, entry.end())
        at = end
        if _is_schema(value):
            line = code.count("\n", 0, entry.start()) + 1
            yield _unquoted(entry["name"]), Part(Document(raw.name, value, {(): line}), value)


def _value(code: str, at: int) -> tuple[Any, int]:
    """The JSON that begins here, as an object or inside a text, and where it ends; None where there is none."""
    if code[at] == "{":
        try:
            return json.JSONDecoder().raw_decode(code, at)
        except (ValueError, RecursionError):
            return None, at + 1
    pieces = []
    while (piece := _LITERAL.match(code, at)) is not None:
        pieces.append(piece.group())
        joined = _JOINED.match(code, piece.end())
        at = piece.end() if joined is None else joined.end()
        if joined is None:
            break
    if not pieces or not pieces[0][1:].lstrip().startswith("{"):
        # It may be the name of the next entry, so that only what is certainly no name is passed over.
        return None, at if not pieces else at - len(pieces[-1])
    for read in (_unquoted, _barely_unquoted):
        try:
            return json.loads("".join(map(read, pieces))), at
        except (ValueError, RecursionError):
            continue
    return None, at


def _unquoted(literal: str) -> str:
    """What a text of the code says; a name without quotes says itself."""
    if literal[0] not in "\"'`":
        return literal

    def meant(escape: re.Match[str]) -> str:
        number = escape[1] or escape[2]
        return chr(min(int(number, 16), 0x10FFFF)) if number else _CONTROL.get(escape[3], escape[3])

    return _ESCAPE.sub(meant, literal[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _barely_unquoted(literal: str) -> str:
    """The same where, as in Ruby's single quotes, a backslash stands for itself before all but itself and the quote."""
    return re.sub(rf"\\([\\{literal[0]}])", r"\1", literal[1:-1])


def _is_schema(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return "$schema" in value or (value.get("type") == "object" and isinstance(value.get("properties"), dict))


def _of_schema(name: str, part: Part) -> Entry:
    kind: Kind = KINDS[name] if name in schemas.SECTIONS else "track"
    own = part.value
    found = _EVENT_ID.search(str(own.get("$id", "")))
    schema = {
        key: value
        for key, value in own.items()
        if key not in ("$id", "description") and not (key == "title" and kind in ("track", text(value).lower()))
    }
    made = section(
        name,
        schema,
        part,
        description=text(own.get("description")),
        version=schemas.version_of(own),
        origin={"id": found[1]} if found else {},
    )
    return Entry(kind, made, part)
