"""RudderStack's rudder-cli: a project of YAML files, which is the source of truth, since rudder-cli only pushes.

`kind: tp` of version rudder/0.1 refers by `$ref: "#/properties/<group>/<id>"`, `kind: tracking-plan` of rudder/v1 by
`property: "#property:<id>"`; both spellings are read. https://www.rudderstack.com/docs/rudder-cli/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import PlanError
from ..document import Plan
from ..raw import Raw
from ..syntax import Part
from .assembly import KINDS, Entry, assembled, section, text, words

KIND_NAMES = ("properties", "events", "categories", "custom-types", "tp", "tracking-plan")
DRAFT = "https://json-schema.org/draft/2019-09/schema"  # what RudderStack's API gives for the same plans
_LISTS = {"properties": "properties", "events": "events", "categories": "categories", "custom-types": "types"}
_SINGULAR = {"property": "properties", "event": "events", "category": "categories", "custom-type": "custom-types"}
_CONFIG = {
    "min_length": "minLength", "max_length": "maxLength", "exclusive_minimum": "exclusiveMinimum",
    "exclusive_maximum": "exclusiveMaximum", "multiple_of": "multipleOf", "min_items": "minItems",
    "max_items": "maxItems", "unique_items": "uniqueItems",
}  # fmt: skip
_KEPT = frozenset(
    {
        "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
    }
)  # fmt: skip


@dataclass
class _Catalogue:
    """Everything a project defines, by what references call it: (`properties`, group, id)."""

    things: dict[tuple[str, str, str], Part] = field(default_factory=dict)
    plans: list[Part] = field(default_factory=list)

    def find(self, reference: Part) -> Part:
        """What `#/properties/group/id` or `#property:id` leads to.

        Raises:
            PlanError: nothing of the project.
        """
        kind, group, id_ = _reference(reference)
        for key, thing in self.things.items():
            if key[0] == kind and key[2] == id_ and group in ("", key[1]):
                return thing
        raise reference.error(
            f"{reference.value!r} leads to nothing in these files: pull the project's whole directory"
        )


def recognises(raws: Sequence[Raw]) -> bool:
    documents = [document for raw in raws for document in _documents_of(raw.value)]
    return bool(documents) and all(
        isinstance(document, dict)
        and document.get("kind") in KIND_NAMES
        and text(document.get("version")).startswith("rudder/")
        for document in documents
    )


def _documents_of(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def parse(raws: Sequence[Raw]) -> Plan:
    """The tracking plans of the project. Where there are several, each event's `sources` are the plans it is in; where
    there is none, its events may have any properties.

    Raises:
        PlanError: there is no event, something in it cannot be used, or an event is in two plans and not the same.
    """
    catalogue = _catalogue(raws)
    entries: list[Entry] = []
    if not catalogue.plans:
        events = [thing for (kind, _, _), thing in catalogue.things.items() if kind == "events"]
        if not events:
            raise PlanError("holds neither a tracking plan (`kind: tracking-plan`) nor events", location=raws[0].name)
        entries = [_of_event(event, {"$schema": DRAFT, "type": "object"}, event, catalogue) for event in events]
        return assembled("rudder-cli", entries)
    for spec in catalogue.plans:
        sources = (text(spec.value.get("id")),) if len(catalogue.plans) > 1 else ()
        for rule in spec.get("rules").elements() if "rules" in spec.value else ():
            _add(entries, _of_rule(rule, catalogue, sources))
    first = catalogue.plans[0].value
    return assembled(
        "rudder-cli",
        entries,
        name=text(first.get("display_name")) if len(catalogue.plans) == 1 else "",
        origin={"id": text(first.get("id"))} if len(catalogue.plans) == 1 else {},
    )


def _catalogue(raws: Sequence[Raw]) -> _Catalogue:
    catalogue = _Catalogue()
    for raw in raws:
        root = raw.document.root
        for document in root.elements() if isinstance(root.value, list) else [root]:
            document.members()
            spec, kind = document.get("spec"), text(document.value.get("kind"))
            spec.members()
            if kind in ("tp", "tracking-plan"):
                catalogue.plans.append(spec)
                continue
            group = text(document.get("metadata", "name").value)
            if kind not in _LISTS:
                raise document.get("kind").error(f"unknown kind {kind!r}")
            for thing in spec.get(_LISTS[kind]).elements() if _LISTS[kind] in spec.value else ():
                thing.members()
                key = (kind, group, text(thing.value.get("id")))
                if key in catalogue.things:
                    raise thing.error(f"{key[2]!r} is already given in {catalogue.things[key].location}")
                catalogue.things[key] = thing
    return catalogue


def _add(entries: list[Entry], entry: Entry) -> None:
    """An event that two plans agree on belongs to both."""
    own = entry.section
    for number, known in enumerate(entries):
        other = known.section
        if (known.kind, other.name) == (entry.kind, own.name) and other.schema == own.schema and other.sources:
            sources = tuple(dict.fromkeys([*other.sources, *own.sources]))
            entries[number] = Entry(known.kind, replace(other, sources=sources), known.part)
            return
    entries.append(entry)


def _reference(part: Part) -> tuple[str, str, str]:
    """Kind, group (empty where references need none) and id."""
    reference = part.text()
    old = re.fullmatch(r"#/([a-z-]+)/([^/]+)/([^/]+)", reference)
    if old:
        return old[1], old[2], old[3]
    new = re.fullmatch(r"#([a-z-]+):(.+)", reference)
    if new and new[1] in _SINGULAR:
        return _SINGULAR[new[1]], "", new[2]
    raise part.error(f"{reference!r} is no reference, such as #property:id")


def _of_rule(rule: Part, catalogue: _Catalogue, sources: tuple[str, ...]) -> Entry:
    rule.members()
    given = rule.get("event")
    is_old = isinstance(given.value, dict)
    event = catalogue.find(given.get("$ref") if is_old else given)
    is_open = given.value.get("allow_unplanned") if is_old else rule.value.get("additional_properties")
    builder = _Builder(catalogue)
    schema = {"$schema": DRAFT, **builder.of_properties(rule, is_open=is_open is True)}
    if builder.types:
        schema["$defs"] = dict(sorted(builder.types.items()))
    return _of_event(event, schema, rule, catalogue, sources)


def _of_event(
    event: Part, schema: dict[str, Any], part: Part, catalogue: _Catalogue, sources: tuple[str, ...] = ()
) -> Entry:
    said = text(event.value.get("event_type")) or "track"
    kind = KINDS.get(said)
    if kind is None or kind == "context":
        raise event.get("event_type").error(f"unknown type of event {said!r}")
    made = section(
        text(event.value.get("name")) if kind == "track" else kind,
        schema,
        part,
        description=text(event.value.get("description")),
        tags=_category(event.get("category"), catalogue) if event.value.get("category") is not None else (),
        sources=sources,
        origin={"id": text(event.value.get("id"))},
    )
    return Entry(kind, made, part)


def _category(part: Part, catalogue: _Catalogue) -> tuple[str, ...]:
    """The category's name as a tag; its id where the file that names it is not among these."""
    kind, _, id_ = _reference(part.get("$ref") if isinstance(part.value, dict) else part)
    names = [
        text(thing.value.get("name")) for key, thing in catalogue.things.items() if (key[0], key[2]) == (kind, id_)
    ]
    return (names[0] if names else id_,)


@dataclass
class _Builder:
    """Makes one event's schema. types: the custom types it uses, by the name they have in it."""

    catalogue: _Catalogue
    types: dict[str, Any] = field(default_factory=dict)

    def of_properties(self, holder: Part, *, is_open: bool) -> dict[str, Any]:
        """The schema of an object from its `properties` and `variants`."""
        schema = self._listed(holder)
        variants = list(holder.get("variants").elements()) if "variants" in holder.value else []
        if variants:
            schema["allOf"] = [condition for variant in variants for condition in self._variant(variant)]
        # Properties of a variant's cases are planned as well, which `additionalProperties` cannot know.
        return {"type": "object", **schema, ("unevaluatedProperties" if variants else "additionalProperties"): is_open}

    def _listed(self, holder: Part, key: str = "properties") -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required: list[str] = []
        for entry in holder.get(key).elements() if key in holder.members() else ():
            entry.members()
            thing = self._target(entry)
            name = text(thing.value.get("name")) or text(thing.value.get("id"))
            properties[name] = self._of_property(thing, entry)
            if entry.value.get("required") is True:
                required.append(name)
        return {"properties": properties, **({"required": sorted(required)} if required else {})}

    def _target(self, entry: Part) -> Part:
        for key in ("$ref", "property"):
            if key in entry.value:
                return self.catalogue.find(entry.get(key))
        raise entry.error("names no property")

    def _of_property(self, thing: Part, entry: Part) -> dict[str, Any]:
        about = {"description": thing.value["description"]} if text(thing.value.get("description")) else {}
        if "properties" in entry.value:  # nested in the tracking plan, not in the catalogue
            is_open = entry.value.get("additional_properties") is True
            return {**self.of_properties(entry, is_open=is_open), **about}
        return {**self._of_type(thing), **about}  # since 2019-09 a reference lets other keywords stand beside it

    def _of_type(self, thing: Part) -> dict[str, Any]:
        """The schema of a property or custom type from its `type` and its configuration."""
        value = thing.value
        named = value.get("types", value.get("type"))
        names = list(words(named)) if isinstance(named, str) else named if isinstance(named, list) else []
        if len(names) == 1 and str(names[0]).startswith("#"):
            at = thing.get("types", 0) if "types" in value and isinstance(value["types"], list) else thing.get("type")
            return self._custom(at)
        config = next((thing.get(key) for key in ("config", "propConfig") if isinstance(value.get(key), dict)), None)
        schema: dict[str, Any] = {"type": names[0] if len(names) == 1 else names} if names else {}
        for key, setting in config.value.items() if config is not None else ():
            spelled = _CONFIG.get(key, key)
            if spelled in _KEPT:
                schema[spelled] = setting
        items = self._items(thing, config)
        return {**schema, **({"items": items} if items else {})}

    def _items(self, thing: Part, config: Part | None) -> dict[str, Any]:
        for holder, key in ((config, "itemTypes"), (config, "item_types"), (thing, "item_types"), (thing, "item_type")):
            if holder is None or key not in holder.value:
                continue
            part = holder.get(key)
            elements = part.elements() if isinstance(part.value, list) else [part]
            found = [
                self._custom(element) if element.text().startswith("#") else {"type": element.text()}
                for element in elements
            ]
            if len(found) == 1:
                return found[0]
            if all(set(one) == {"type"} for one in found):
                return {"type": [one["type"] for one in found]}
            return {"anyOf": found}
        return {}

    def _custom(self, reference: Part) -> dict[str, Any]:
        thing = self.catalogue.find(reference)
        name = text(thing.value.get("name")) or text(thing.value.get("id"))
        if name not in self.types:
            self.types[name] = {}  # a type may hold itself
            about = {"description": thing.value["description"]} if text(thing.value.get("description")) else {}
            if "properties" in thing.value or "variants" in thing.value:
                self.types[name] = {**self.of_properties(thing, is_open=False), **about}
            else:
                self.types[name] = {**self._of_type(thing), **about}
        return {"$ref": f"#/$defs/{name.replace('~', '~0').replace('/', '~1')}"}

    def _variant(self, variant: Part) -> Iterator[dict[str, Any]]:
        """Conditions: in each case its properties, and those of the default where no case applies."""
        given = variant.get("discriminator")
        thing = self.catalogue.find(given) if given.text().startswith("#") else None
        name = text(thing.value.get("name")) if thing is not None else given.text()
        matched: list[Any] = []
        for case in variant.get("cases").elements():
            values = case.get("match").value
            matched += values if isinstance(values, list) else [values]
            yield {"if": _is_one_of(name, values if isinstance(values, list) else [values]), "then": self._listed(case)}
        default = variant.value.get("default")
        if default:
            holder = variant if isinstance(default, list) else variant.get("default")
            rest = self._listed(holder, "default" if isinstance(default, list) else "properties")
            yield {"if": {"not": _is_one_of(name, matched)}, "then": rest}


def _is_one_of(name: str, values: Sequence[Any]) -> Mapping[str, Any]:
    return {"properties": {name: {"enum": list(values)}}, "required": [name]}
