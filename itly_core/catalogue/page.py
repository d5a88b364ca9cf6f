"""The page: a plan's events, what every event carries, and the types that they share.

One file that asks nothing of anybody: style and script are inside, and nothing else may run or be loaded. It reads the
same without the script, which only filters. The same plan gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from ..codegen.render import Kind, Read, read_sections
from ..codegen.safety import lines_of
from ..plans.document import Plan
from .call import call
from .fields import Field, Reader, TypeName
from .markup import Html, element, joined, linked, prose, text

MARKER = '<meta name="generator" content="itly docs">'
MAX_VALUES = 30  # of an enumeration, before it folds
_TITLES = {
    Kind.CONTEXT: "Context",
    Kind.IDENTIFY: "Identify",
    Kind.GROUP: "Group",
    Kind.PAGE: "Page",
}
_SAYS = {
    Kind.CONTEXT: "What every event carries.",
    Kind.IDENTIFY: "Who a user is.",
    Kind.GROUP: "That a user belongs to a group, and what the group is.",
    Kind.PAGE: "That a page was seen.",
}


@dataclass(frozen=True)
class Entry:
    """An event or section as the page has it. anchor: its id. types: those that it refers to."""

    read: Read
    title: str
    anchor: str
    fields: tuple[Field, ...]
    types: dict[TypeName, tuple[Field, ...]]


def page(plan: Plan) -> bytes:
    """The catalogue of a plan.

    Raises:
        PlanError: no code could be generated from it either.
    """
    entries = [_entry(read) for read in read_sections(plan)]
    events = [entry for entry in entries if entry.read.kind is Kind.EVENT]
    sections = [entry for entry in entries if entry.read.kind is not Kind.EVENT]
    types = {name: fields for entry in entries for name, fields in entry.types.items()}
    anchors = {name: f"type-{number}" for number, name in enumerate(sorted(types, key=_order), 1)}
    removed = sorted(event.name for event in plan.events if event.status == "removed")
    body = joined(
        [
            _navigation(plan, events, sections, anchors, removed),
            element(
                "main",
                _head(plan, events),
                _group("events", "Events", (_article(entry, anchors) for entry in events)),
                _group("calls", "Other calls", (_article(entry, anchors) for entry in sections)),
                _group("types", "Types", (_type(name, types[name], anchors) for name in sorted(types, key=_order))),
                _removed(removed),
            ),
        ],
        "\n",
    )
    return _document(" ".join(part for part in (plan.name, plan.version) if part), body).encode()


def _entry(read: Read) -> Entry:
    reader = Reader(read.section.schema)
    fields = reader.fields()
    types = {name: reader.of_type(schema) for name, schema in reader.names.items()}
    is_event = read.kind is Kind.EVENT
    title = read.section.name if is_event else _TITLES[read.kind]
    anchor = f"event-{read.names.function}" if is_event else f"call-{read.kind.value}"
    return Entry(read, title, anchor, fields, types)


def _order(name: TypeName) -> tuple[str, str]:
    return name.name, name.key


def _document(title: str, body: Html) -> str:
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    head = [
        Html('<meta charset="utf-8">'),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(MARKER),
        element("title", f"{title} · tracking plan"),
        Html(f"<style>{style}</style>"),
    ]
    return (
        "\n".join(
            (
                "<!doctype html>",
                '<html lang="en">',
                "<head>",
                *head,
                "</head>",
                "<body>",
                body,
                f"<script>{script}</script>",
            )
        )
        + "\n</body>\n</html>\n"
    )


def _hash(code: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}"


# --- beside and above the events


def _navigation(
    plan: Plan, events: Sequence[Entry], sections: Sequence[Entry], types: dict[TypeName, str], removed: Sequence[str]
) -> Html:
    lists = [_links("Events", [(entry.title, entry.anchor, _is_quiet(entry)) for entry in events], is_filtered=True)]
    lists.append(_links("Other calls", [(entry.title, entry.anchor, False) for entry in sections]))
    lists.append(_links("Types", [(name.name, anchor, False) for name, anchor in types.items()]))
    count = "1 event" if len(removed) == 1 else f"{len(removed)} events"
    lists.append(_links("Removed", [(count, "removed", True)] if removed else []))
    return element(
        "nav",
        element("a", plan.name or "Tracking plan", class_="brand", href="#top"),
        _filters(events),
        *lists,
        aria_label="Contents",
    )


def _is_quiet(entry: Entry) -> bool:
    return entry.read.section.status != "active"


def _links(title: str, links: Sequence[tuple[str, str, bool]], *, is_filtered: bool = False) -> Html | None:
    if not links:
        return None
    items = (
        element("li", element("a", name, href=f"#{anchor}", class_="quiet" if is_quiet else None))
        for name, anchor, is_quiet in links
    )
    listed = element("ul", joined(items, "\n"), data_filtered=is_filtered)
    return joined([element("h2", title), listed], "\n")


def _filters(events: Sequence[Entry]) -> Html:
    """For the script, which shows them."""
    sections = [entry.read.section for entry in events]
    choices = [
        ("owner", "Every owner", {_clean(section.owner) for section in sections}),
        ("status", "Every status", {section.status for section in sections}),
        ("tag", "Every tag", {_clean(tag) for section in sections for tag in section.tags}),
    ]
    return element(
        "form",
        element("label", "Search", for_="search"),
        element("input", type="search", id="search", placeholder="Event, property, owner …", autocomplete="off"),
        *(_choice(name, title, values) for name, title, values in choices),
        element("p", id="found", role="status"),
        id="filters",
        role="search",
        hidden=True,
    )


def _choice(name: str, title: str, values: Iterable[str]) -> Html | None:
    given = sorted(value for value in values if value)
    if len(given) < 2:
        return None
    options = [element("option", title, value=""), *(element("option", value, value=value) for value in given)]
    return element("select", *options, data_choice=name, aria_label=title)


def _head(plan: Plan, events: Sequence[Entry]) -> Html:
    facts = [
        ("Version", plan.version),
        ("Owner", plan.owner),
        ("Source", plan.source),
        ("Events", str(len(events))),
        ("Formats", {"strict": "checked", "warn": "reported", "off": "not looked at"}[plan.formats]),
    ]
    return element("header", element("h1", plan.name or "Tracking plan"), _facts(facts), id="top")


def _facts(facts: Iterable[tuple[str, str | None]]) -> Html | None:
    shown = [element("div", element("dt", title), element("dd", _inline(value))) for title, value in facts if value]
    return element("dl", *shown, class_="facts") if shown else None


def _inline(value: str) -> Html:
    return value if isinstance(value, Html) else linked(_clean(value))


def _clean(value: str) -> str:
    return " ".join(lines_of(value))


def _group(anchor: str, title: str, articles: Iterable[Html]) -> Html | None:
    listed = list(articles)
    if not listed:
        return None
    return element("section", element("h2", title), joined(listed, "\n"), id=anchor)


def _removed(names: Sequence[str]) -> Html | None:
    if not names:
        return None
    listed = element("ul", *(element("li", element("code", name)) for name in names))
    says = element("p", "The plan had these events once; they are sent no more.")
    return element("section", element("h2", "Removed"), says, listed, id="removed")


# --- an event


def _article(entry: Entry, types: dict[TypeName, str]) -> Html:
    section = entry.read.section
    is_event = entry.read.kind is Kind.EVENT
    described = prose(section.description)
    missing = element("p", "No description.", class_="missing") if is_event else element("p", _SAYS[entry.read.kind])
    facts = [
        ("Version", section.version),
        ("Owner", section.owner),
        ("Since", section.since),
        ("Expires", section.expires),
        ("Sources", ", ".join(section.sources)),
        ("Tags", _tags(section.tags)),
    ]
    heading = element(
        "h3",
        element("a", entry.title, href=f"#{entry.anchor}"),
        element("span", section.status, class_=f"badge {section.status}") if section.status != "active" else None,
    )
    parts = [
        heading,
        described or missing,
        _facts(facts),
        _table(entry.fields, types, "Property", nothing="No properties.", notes=_notes(entry.read)),
        element("h4", "In Python"),
        element("pre", element("code", _code(call(entry.read, entry.fields)))),
        *_examples(section.examples),
        _folded("JSON Schema", section.schema),
    ]
    if not is_event:
        return element("article", joined([part for part in parts if part], "\n"), id=entry.anchor)
    return element(
        "article",
        joined([part for part in parts if part], "\n"),
        id=entry.anchor,
        data_search=_searched(entry),
        data_owner=json.dumps([_clean(section.owner)]),
        data_status=json.dumps([section.status]),
        data_tag=json.dumps([*map(_clean, section.tags)]),
    )


def _searched(entry: Entry) -> str:
    section = entry.read.section
    words = [section.name, entry.read.names.function, section.description, section.owner, *section.tags]
    words += [part for field in entry.fields for part in (field.path, field.description)]
    return " ".join(line for word in words for line in lines_of(word)).lower()


def _tags(tags: Sequence[str]) -> str | None:
    return joined((element("span", tag, class_="tag") for tag in tags), " ") if tags else None


def _examples(examples: Sequence[object]) -> Iterator[Html]:
    if examples:
        yield element("h4", "Example" if len(examples) == 1 else "Examples")
    for example in examples:
        yield element("pre", element("code", _code(_json(example))))


def _folded(title: str, value: object) -> Html:
    return element("details", element("summary", title), element("pre", element("code", _code(_json(value)))))


def _json(value: object, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)


def _code(plain: str) -> Html:
    """Text whose lines stay lines."""
    return joined(map(text, plain.split("\n")), "\n")


# --- properties


def _table(
    fields: Sequence[Field],
    types: dict[TypeName, str],
    title: str,
    nothing: str,
    notes: Mapping[str, Html] | None = None,
) -> Html:
    """notes: property -> what there is to know of it in Python."""
    if not fields:
        return element("p", nothing, class_="missing")
    optional = {
        "Allowed": any(field.values or field.limits for field in fields),
        "Description": any(field.description for field in fields),
        "Personal data": any(field.pii for field in fields),
    }
    columns = [title, "Type", "Required", *(column for column, is_used in optional.items() if is_used)]
    head = element("thead", element("tr", *(element("th", column, scope="col") for column in columns)))
    rows = joined((_row(field, types, (notes or {}).get(field.path), columns) for field in fields), "\n")
    table = element("table", head, element("tbody", rows))
    return element("div", table, class_="table", tabindex="0", role="region", aria_label=title)


def _row(field: Field, types: dict[TypeName, str], note: Html | None, columns: Sequence[str]) -> Html:
    required = "constant" if field.is_constant else element("strong", "required") if field.is_required else "optional"
    cells = {
        "Allowed": element("td", _allowed(field), class_="allowed"),
        "Description": element("td", prose(field.description)),
        "Personal data": element("td", element("span", field.pii, class_="badge pii") if field.pii else None),
    }
    return element(
        "tr",
        element("th", element("code", field.path or "value"), note, scope="row"),
        element("td", joined(_word(word, types) for word in field.type)),
        element("td", required),
        *(cells[column] for column in columns if column in cells),
    )


def _notes(read: Read) -> dict[str, Html]:
    renamed = {wire: name for wire, name in read.arguments.items() if name != wire}
    notes = {wire: element("small", "in Python ", element("code", name)) for wire, name in renamed.items()}
    return notes if read.caller is None else {**notes, read.caller.wire: element("small", "the call's user id")}


def _word(word: str | TypeName, types: dict[TypeName, str]) -> str:
    if isinstance(word, TypeName):
        return element("a", word.name, href=f"#{types[word]}") if word in types else word.name
    return word


def _allowed(field: Field) -> Html:
    spelled = (value if isinstance(value, str) and value else _json(value, indent=None) for value in field.values)
    values = [element("code", value) for value in spelled]
    parts: list[str] = []
    if field.is_constant:
        parts += ["always ", *values]
    elif len(values) > MAX_VALUES:
        parts.append(element("details", element("summary", f"{len(values)} values"), joined(values, " ")))
    elif values:
        parts.append(joined(values, " "))
    if field.limits:
        parts.append(element("p", ", ".join(field.limits)))
    return joined(parts)


def _type(name: TypeName, fields: Sequence[Field], types: dict[TypeName, str]) -> Html:
    heading = element("h3", element("a", name.name, href=f"#{types[name]}"))
    table = _table(fields, types, "Property" if any(field.path for field in fields) else "Value", nothing="Any value.")
    return element("article", heading, table, _folded("JSON Schema", json.loads(name.key)), id=types[name])
