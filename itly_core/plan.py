"""The resolved plan as the run time reads it: `_plan.json` of a generated package, and nothing else.

No YAML, no provider, no format rules here: those belong to pulling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from .encoding import text
from .errors import PlanError
from .validation import Check, Formats, compile_schema, is_typed_throughout

PLAN_FILE = "_plan.json"
FORMAT = 1  # the version of _plan.json this code reads


class _Unset:
    """The argument was left out; None is a value of its own."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = _Unset()
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True)
class Section:
    """One event, or what may stand in a context, identify, group or page call.

    kind: "track" for events, else the section's name. nullable: wire names whose schema accepts null. constants: wire name -> value filled in. user_id_property: the
    property that carries the call's user id. plan_json: what destinations are told of the plan, as JSON.
    """

    kind: str
    name: str
    version: str
    schema: Mapping[str, Any]
    nullable: frozenset[str]
    constants: Mapping[str, Any]
    user_id_property: str | None
    formats: Formats
    plan_json: bytes

    @cached_property
    def head(self) -> bytes:
        """How the line of every call of this section begins: up to the message id, which comes next."""
        named = b'"name":%b,' % orjson.dumps(self.name) if self.kind == "track" else b""
        return b'{"kind":"%b",%b"plan":%b,"message_id":"' % (self.kind.encode(), named, self.plan_json)

    @cached_property
    def refuses_nan(self) -> bool:
        """Whether the verdict alone proves that no number is NaN or infinite, which the encoder would hide as null."""
        return is_typed_throughout(self.schema)

    @cached_property
    def check(self) -> Check:
        """Compiled at the first call: a plan may have thousands of events and a process use few of them."""
        return compile_schema(self.schema, formats=self.formats)

    def properties(
        self, given: Mapping[str, Any], extra: Mapping[str, Any] = _NOTHING, user_id: object = None
    ) -> Mapping[str, Any]:
        """What the caller gave, as the plan spells it: unset arguments left out, None where null is not allowed left
        out, constants and the user id filled in. `given` itself, where there is nothing to change."""
        added = {**extra, **self.constants} if extra or self.constants else _NOTHING
        if user_id is not None and self.user_id_property is not None:
            added = {**added, self.user_id_property: self._planned_id(user_id)}
        for value in given.values():
            if value is None or value is UNSET:
                break
        else:
            return {**given, **added} if added else given
        nullable = self.nullable
        kept = {
            key: value for key, value in given.items() if value is not UNSET and (value is not None or key in nullable)
        }
        return {**kept, **added}

    def _planned_id(self, user_id: object) -> object:
        """The user id as this section's property: text, as destinations get it, unless the plan has it as a number."""
        if not self._has_numeric_id:
            return text(user_id)
        return int(user_id) if isinstance(user_id, str) and user_id.isascii() and user_id.isdigit() else user_id

    @cached_property
    def _has_numeric_id(self) -> bool:
        planned = self.schema.get("properties", {}).get(self.user_id_property, {})
        kinds = planned.get("type", ()) if isinstance(planned, Mapping) else ()
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        return bool(kinds & {"integer", "number"}) and "string" not in kinds


@dataclass(frozen=True)
class Plan:
    """A plan, resolved. `sections` has the context, identify, group and page that the plan describes."""

    name: str = ""
    version: str = ""
    source: str = ""
    events: Mapping[str, Section] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)

    @property
    def info(self) -> dict[str, str]:
        """What destinations are told: {name, version, source}."""
        return {"name": self.name, "version": self.version, "source": self.source}

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan of the package in that directory.

        Raises:
            PlanError: the file is missing, unreadable, or of a later format.
        """
        file = path / PLAN_FILE
        try:
            document = orjson.loads(file.read_bytes())
        except (OSError, ValueError) as exc:
            raise PlanError(f"cannot be read: {exc}; run `itly pull` again", location=str(file)) from exc
        if not isinstance(document, dict) or document.get("itly") != FORMAT:
            raise PlanError("was written by another version of itly; run `itly pull` again", location=str(file))
        return cls.resolve(document)

    @classmethod
    def resolve(cls, document: Mapping[str, Any]) -> Plan:
        """The plan of a `_plan.json` document."""
        info = {key: str(document["plan"].get(key) or "") for key in ("name", "version", "source")}
        formats = document.get("formats", "warn")

        def section(kind: str, name: str, given: Mapping[str, Any]) -> Section:
            version = str(given.get("version") or "")
            about = {key: value for key, value in {**info, "event_version": version}.items() if value}
            return Section(
                kind=kind,
                name=name,
                version=version,
                schema=given["schema"],
                nullable=frozenset(given.get("nullable", ())),
                constants=given.get("constants", {}),
                user_id_property=given.get("user_id"),
                formats=formats,
                plan_json=orjson.dumps(about),
            )

        return cls(
            **info,
            events={name: section("track", name, given) for name, given in document["events"].items()},
            sections={
                name: section(name, name, document[name])
                for name in ("context", "identify", "group", "page")
                if document.get(name)
            },
        )
