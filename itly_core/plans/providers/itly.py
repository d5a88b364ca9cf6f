"""Our own plan format (docs/plan-format.md): one file, or one plan over the files of a directory."""

from __future__ import annotations

import datetime
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from ...suggest import unknown
from ...validation import Draft
from .. import schemas
from ..document import Formats, Plan, Section
from ..raw import Raw
from ..syntax import Part

FORMAT = 1
STATUSES = ("draft", "active", "deprecated", "removed")
SECTIONS = ("context", "identify", "group", "page")
PARTS = frozenset({"itly", "plan", "defaults", "types", "events", *SECTIONS})
PLAN_KEYS = frozenset({"name", "version", "owner", "source"})
DEFAULTS_KEYS = frozenset({"additional_properties", "formats", "draft"})
SECTION_KEYS = frozenset(
    {"description", "version", "owner", "tags", "examples", "no_lint", "properties", "schema", "additional_properties"}
)
EVENT_KEYS = SECTION_KEYS | {"status", "since", "expires", "sources", "python_name", "identity"}
EVENT_FILE_KEYS = EVENT_KEYS | {"itly", "name"}

# Keywords of JSON Schema that mean here what they mean there.
PASSED = frozenset(
    {
        "title", "description", "default", "examples", "deprecated", "format", "enum", "const", "pattern",
        "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
    }
)  # fmt: skip
VALUE_KEYS = PASSED | {"type", "nullable", "items", "properties", "additional_properties", "example", "pii"}
PROPERTY_KEYS = VALUE_KEYS | {"required"}

OTHER_NAMES = {
    "str": "string", "text": "string", "int": "integer", "long": "integer", "float": "number", "double": "number",
    "decimal": "number", "numeric": "number", "bool": "boolean", "list": "array", "dict": "object", "map": "object",
    "none": "null", "enum": "enum: [...] without a type", "const": "const: value without a type",
    "date": "string, with format: date", "datetime": "string, with format: date-time",
    "date-time": "string, with format: date-time", "timestamp": "string, with format: date-time",
    "uuid": "string, with format: uuid",
}  # fmt: skip


def recognises(raws: Sequence[Raw]) -> bool:
    return any(isinstance(raw.value, dict) and "itly" in raw.value for raw in raws)


def parse(raws: Sequence[Raw]) -> Plan:
    """The plan that the files are together.

    Raises:
        PlanError: something in them is not of the format.
    """
    return parse_parts([raw.document.root for raw in raws])


def parse_parts(roots: Sequence[Part]) -> Plan:
    """The same, of what was read from the files.

    Raises:
        PlanError: something in them is not of the format.
    """
    outline = gathered(roots)
    head = _members(outline.parts.get("plan"), PLAN_KEYS)
    rules = _rules(outline)
    sections = {
        name: _section(name, outline.parts[name], SECTION_KEYS, rules) for name in SECTIONS if name in outline.parts
    }
    if "context" in sections:  # the one section that no user id comes with
        sections["context"] = replace(sections["context"], user_id_property=None)
    events = tuple(_section(name, part, EVENT_KEYS, rules) for name, part in outline.events.items())
    _refuse_shared_python_names(events, outline.events)
    return Plan(
        name=_text(head, "name"),
        version=_text(head, "version"),
        owner=_text(head, "owner"),
        source=_text(head, "source"),
        formats=rules.formats,
        events=tuple(sorted(events, key=lambda event: event.name)),
        context=sections.get("context"),
        identify=sections.get("identify"),
        group=sections.get("group"),
        page=sections.get("page"),
        origin={"provider": "itly"},
    )


@dataclass(frozen=True)
class Outline:
    """The files' parts, by name, before anything is made of them."""

    parts: dict[str, Part] = field(default_factory=dict)
    events: dict[str, Part] = field(default_factory=dict)
    types: dict[str, Part] = field(default_factory=dict)


def merged(raws: Sequence[Raw]) -> dict[str, Any]:
    """The one document that the files are together. What is the user's own (`x-…`) at the top of several is the last's.

    Raises:
        PlanError: two files give the same thing.
    """
    if len(raws) == 1 and "name" not in raws[0].document.value:
        return dict(raws[0].document.value)
    outline = gathered([raw.document.root for raw in raws])
    own = {
        key: value
        for raw in raws
        if not _is_event(raw.document.value)
        for key, value in raw.document.value.items()
        if key.startswith("x-")
    }
    events = {
        name: {key: value for key, value in (part.value or {}).items() if part.path or key not in ("itly", "name")}
        for name, part in outline.events.items()
    }
    types = {name: part.value for name, part in outline.types.items()}
    return {
        "itly": FORMAT,
        **{name: part.value for name, part in outline.parts.items()},
        **({"types": types} if types else {}),
        **({"events": events} if events else {}),
        **own,
    }


def _is_event(value: Any) -> bool:
    """Whether a file's content is one event."""
    return isinstance(value, dict) and "name" in value and not {"plan", "events"} & value.keys()


def gathered(roots: Sequence[Part]) -> Outline:
    """
    Raises:
        PlanError: a key is unknown, or two files give the same thing.
    """
    outline = Outline()
    for root in roots:
        if root.value is None:
            raise root.error("is empty")
        is_event = _is_event(root.value)
        for key, part in root.members(EVENT_FILE_KEYS if is_event else PARTS).items():
            if key == "itly":
                if part.value != FORMAT or isinstance(part.value, bool):
                    raise part.error(f"unknown format version {part.value!r}: this version of itly reads {FORMAT}")
            elif is_event:
                pass
            elif key in ("events", "types"):
                for name, entry in _members(part).items():
                    _add(outline.events if key == "events" else outline.types, name, entry)
            elif not key.startswith("x-"):
                _add(outline.parts, key, part)
        if is_event:
            _add(outline.events, root.at("name").text(), root)
    return outline


def _add(to: dict[str, Part], name: str, part: Part) -> None:
    if name in to:
        raise part.error(f"{name!r} is already given in {to[name].location}")
    if not name.strip():
        raise part.error("a name must not be empty")
    to[name] = part


def _members(part: Part | None, known: frozenset[str] | None = None) -> dict[str, Part]:
    """The entries; none where the part is missing or has nothing after its colon."""
    return {} if part is None or part.value is None else part.members(known)


def _text(entries: Mapping[str, Part], key: str) -> str:
    return entries[key].text() if key in entries else ""


# --- rules of the whole plan ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rules:
    """What the plan says once for all its sections. types: name -> schema. is_closed: whether objects refuse
    properties that are not listed."""

    draft: Draft
    raw_draft: Draft
    is_closed: bool
    formats: Formats
    types: Mapping[str, Any]

    @property
    def definitions(self) -> str:
        return "$defs" if self.draft in ("2019-09", "2020-12") else "definitions"

    @property
    def ignores_beside_ref(self) -> bool:
        """Whether a `$ref` makes this draft ignore the keywords beside it."""
        return self.draft in ("4", "6", "7")


def _rules(outline: Outline) -> _Rules:
    entries = _members(outline.parts.get("defaults"), DEFAULTS_KEYS)
    draft = schemas.draft_named(entries["draft"]) if "draft" in entries else None
    is_closed = not entries["additional_properties"].flag() if "additional_properties" in entries else True
    formats: Formats = _one_of(entries["formats"], get_args(Formats)) if "formats" in entries else "warn"
    for name, part in outline.types.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in (*schemas.TYPES, "any"):
            raise part.error(f"{name!r} cannot name a type: letters, digits and _, and no type of JSON Schema")
    names = dict.fromkeys(outline.types)
    bare = _Rules(draft or "2020-12", draft or "7", is_closed, formats, names)
    types = {name: _value(part, VALUE_KEYS, bare) for name, part in outline.types.items()}
    rules = _Rules(bare.draft, bare.raw_draft, is_closed, formats, types)
    for name, part in outline.types.items():
        schemas.check(_complete(types[name], rules), part)
    return rules


def _one_of(part: Part, allowed: Sequence[str]) -> Any:
    if part.value not in allowed:
        raise part.error(f"must be one of {', '.join(allowed)}, not {part.value!r}")
    return part.value


def _complete(schema: dict[str, Any], rules: _Rules) -> dict[str, Any]:
    """The schema with its draft, and with those types of the library that it uses, directly or not."""
    used: set[str] = set()
    pending = [schema]
    while pending:
        for name in _types_in(pending.pop(), rules):
            if name not in used:
                used.add(name)
                pending.append(rules.types[name])
    types = {rules.definitions: {name: rules.types[name] for name in sorted(used)}} if used else {}
    return {"$schema": schemas.URIS[rules.draft], **schema, **types}


def _types_in(schema: Any, rules: _Rules) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.rpartition("/")[2] in rules.types:
            yield reference.rpartition("/")[2]
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _types_in(value, rules)


# --- events and sections ----------------------------------------------------------------------------------------------


def _section(name: str, part: Part, known: frozenset[str], rules: _Rules) -> Section:
    is_event_file = part.path == ()
    entries = _members(part, EVENT_FILE_KEYS if is_event_file else known)
    schema = _schema(entries, part, rules)
    properties = schema.get("properties")
    return Section(
        name=name,
        schema=schema,
        description=_text(entries, "description"),
        version=_text(entries, "version"),
        owner=_text(entries, "owner"),
        status=_one_of(entries["status"], STATUSES) if "status" in entries else "active",
        since=_date(entries, "since"),
        expires=_date(entries, "expires"),
        tags=_texts(entries, "tags"),
        sources=_texts(entries, "sources"),
        python_name=_python_name(entries.get("python_name")),
        user_id_property=_user_id(entries.get("identity"), properties if isinstance(properties, dict) else {}),
        examples=_examples(entries.get("examples")),
        no_lint=_texts(entries, "no_lint"),
        origin=_origin(entries.get("x-origin")),
    )


def _origin(part: Part | None) -> dict[str, str]:
    """What a vendor calls the section, where `itly convert` has kept it."""
    found = part.value if part is not None else None
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _schema(entries: Mapping[str, Part], part: Part, rules: _Rules) -> dict[str, Any]:
    raw = entries.get("schema")
    if raw is None:
        schema = _complete(_object(entries, rules), rules)
        schemas.check(schema, part)
        return schema
    for key in ("properties", "additional_properties"):
        if key in entries:
            raise entries[key].error("stands beside `schema`: write it inside, or leave `schema` out")
    schema = schemas.normalised(raw, rules.raw_draft)
    schemas.check(schema, raw)
    return schema


def _date(entries: Mapping[str, Part], key: str) -> str:
    if key not in entries:
        return ""
    text = entries[key].text()
    try:
        datetime.date.fromisoformat(text)
    except ValueError as exc:
        raise entries[key].error(f"must be a date such as 2026-01-31, not {text!r}") from exc
    return text


def _texts(entries: Mapping[str, Part], key: str) -> tuple[str, ...]:
    return entries[key].texts() if key in entries else ()


def _python_name(part: Part | None) -> str | None:
    if part is None:
        return None
    name = part.text()
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise part.error(f"{name!r} cannot name a Python function")
    return name


def _refuse_shared_python_names(events: Sequence[Section], parts: Mapping[str, Part]) -> None:
    owners: dict[str, str] = {}
    for event in events:
        if event.python_name is None or event.status == "removed":
            continue
        if event.python_name in owners:
            raise (
                parts[event.name]
                .at("python_name")
                .error(f"{event.python_name!r} is the name of {owners[event.python_name]!r} already")
            )
        owners[event.python_name] = event.name


def _user_id(part: Part | None, properties: Mapping[str, Any]) -> str | None:
    if part is None:
        return "user_id" if "user_id" in properties else None
    entries = part.members(frozenset({"user_id"}))
    if "user_id" not in entries:
        raise part.error("says nothing: write `identity: {user_id: NAME OF A PROPERTY}`")
    name = entries["user_id"].text()
    if name not in properties:
        raise entries["user_id"].error(f"there is no property {name!r}; {unknown(name, properties)}")
    return name


def _examples(part: Part | None) -> tuple[Mapping[str, Any], ...]:
    """Whether they are valid is for lint to say."""
    if part is None:
        return ()
    for element in part.elements():
        element.members()
    return tuple(part.value)


# --- properties -------------------------------------------------------------------------------------------------------


def _object(entries: Mapping[str, Part], rules: _Rules) -> dict[str, Any]:
    """The schema of an object from its `properties` and `additional_properties`."""
    properties = _members(entries.get("properties"))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _value(part, PROPERTY_KEYS, rules) for name, part in properties.items()},
    }
    required = sorted(name for name, part in properties.items() if part.value.get("required"))
    if required:
        schema["required"] = required
    additional = entries.get("additional_properties")
    if additional is None:
        schema["additionalProperties"] = not rules.is_closed
    elif isinstance(additional.value, bool):
        schema["additionalProperties"] = additional.value
    else:
        schema["additionalProperties"] = _value(additional, VALUE_KEYS, rules)
    return schema


def _value(part: Part, known: frozenset[str], rules: _Rules) -> dict[str, Any]:
    """The schema of one property, list item or type."""
    if part.value is None:
        raise part.error("says nothing: write `{type: string}`, or `{}` where any value is right")
    if known is VALUE_KEYS and isinstance(part.value, dict) and "required" in part.value:
        raise part.at("required").error("is for properties of an event or object: only they can be missing")
    entries = part.members(known)
    for flag in ("required", "nullable"):
        if flag in entries:
            _flag(entries[flag])
    core = _typed(entries, rules)
    rest = {key: entry.value for key, entry in entries.items() if key in PASSED or key.startswith("x-")}
    _refuse_empty_enum(entries.get("enum"))
    if "example" in entries:
        rest["examples"] = [*rest.get("examples", ()), entries["example"].value]
    if "pii" in entries:
        rest["x-pii"] = entries["pii"].value if isinstance(entries["pii"].value, bool) else entries["pii"].text()
    if "items" in entries:
        if "items" in core:
            raise entries["items"].error(f"stands beside `type: {entries['type'].value}`, which has them already")
        rest["items"] = _value(entries["items"], VALUE_KEYS, rules)
    if "properties" in entries or "additional_properties" in entries:
        rest.update({key: value for key, value in _object(entries, rules).items() if key != "type"})
    if "nullable" in entries and entries["nullable"].value:
        core, rest = _nullable(core), _nullable_values(rest)
    if rules.draft == "4" and "const" in rest:
        rest["enum"] = [rest["const"]]  # draft 4 has no const, and ignores ours
    if "$ref" in core and rest and rules.ignores_beside_ref:
        core = {"allOf": [core]}
    return {**core, **rest}


def _flag(part: Part) -> None:
    if isinstance(part.value, list):
        raise part.error("must be true or false: write `required: true` in each property instead of a list")
    part.flag()


def _refuse_empty_enum(part: Part | None) -> None:
    if part is not None and not part.elements():
        raise part.error("must not be empty: no value could ever be right")


def _typed(entries: Mapping[str, Part], rules: _Rules) -> dict[str, Any]:
    """What `type` says, or what `properties` or `items` say where it is missing."""
    given = entries.get("type")
    if given is None:
        if "properties" in entries or "additional_properties" in entries:
            return {"type": "object"}
        return {"type": "array"} if "items" in entries else {}
    if not isinstance(given.value, list):
        return _of_type(given, rules)
    alternatives = [_of_type(element, rules) for element in given.elements()]
    if not alternatives:
        raise given.error("must name a type")
    if {} in alternatives:
        return {}
    if all(set(alternative) == {"type"} for alternative in alternatives):
        return {"type": [alternative["type"] for alternative in alternatives]}
    return {"anyOf": alternatives}


def _of_type(part: Part, rules: _Rules) -> dict[str, Any]:
    name = "null" if part.value is None else part.value
    if not isinstance(name, str):
        raise part.error(f"must name a type, not {part.value!r}")
    element = name.removesuffix("[]")
    if element in schemas.TYPES:
        schema: dict[str, Any] = {"type": element}
    elif element == "any":
        schema = {}
    elif element in rules.types:
        schema = {"$ref": f"#/{rules.definitions}/{element}"}
    elif element.lower() in OTHER_NAMES:
        raise part.error(f"unknown type {element!r}; write {OTHER_NAMES[element.lower()]}")
    else:
        raise part.error(f"unknown type {element!r}; {unknown(element, [*schemas.TYPES, 'any', *rules.types])}")
    return schema if element == name else {"type": "array", "items": schema}


def _nullable(core: dict[str, Any]) -> dict[str, Any]:
    """What `type` said, or null."""
    if "type" in core:
        types = core["type"] if isinstance(core["type"], list) else [core["type"]]
        return {**core, "type": types if "null" in types else [*types, "null"]}
    if not core:
        return {}
    return {"anyOf": [*core.get("anyOf", [core]), {"type": "null"}]}


def _nullable_values(rest: dict[str, Any]) -> dict[str, Any]:
    """The allowed values, or null. Other keywords say nothing about null."""
    if "const" in rest:
        values = [rest["const"], None] if rest["const"] is not None else [None]
        return {**{key: value for key, value in rest.items() if key != "const"}, "enum": values}
    if "enum" in rest and None not in rest["enum"]:
        return {**rest, "enum": [*rest["enum"], None]}
    return rest
