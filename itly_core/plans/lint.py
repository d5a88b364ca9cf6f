"""What is doubtful about a plan that could be pulled, and what keeps one from being pulled, by rule.

Rules stand in rules/. Here is what is common to them: reading, places, severities, exceptions.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, get_args

from ..errors import ConfigError
from ..suggest import unknown
from ..validation import Draft, draft_of, path_text
from . import schemas as drafts
from .document import Plan, Section
from .loading import Reference, read, source_table
from .providers import itly
from .raw import Raw
from .rules import RULES
from .rules.rule import SCHEMA, Case, Entry, Inspection, Severity
from .rules.rule import Path as Steps
from .rules.schemas import REFUSED
from .server import Limits, Watch, unwatched
from .syntax import Document, Part

SECTIONS = ("context", "identify", "group", "page")
SETTINGS = frozenset({"case", "rules", "exceptions"})


@dataclass(frozen=True, kw_only=True)
class LintOptions:
    """What a project says of the rules.

    case: the style of event names. rules: severities other than the usual, by rule. exceptions: event, or `context` and so
    on -> rules that do not apply to it, each maybe with a reason: `N004: as the vendor has it`.
    """

    case: Case | None = None
    rules: Mapping[str, Severity] = field(default_factory=dict)
    exceptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def severity(self, rule: str) -> Severity:
        return self.rules.get(rule, RULES[rule].severity)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule says of one place. path: as `events.Order Placed.properties.total`. line: 0 where not known."""

    rule: str
    severity: Severity
    message: str
    path: str
    file: str
    line: int

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity} {self.rule} {self.path}: {self.message}"


@dataclass(frozen=True)
class Linted:
    """The findings by place, and how many events were looked at."""

    findings: tuple[Finding, ...]
    events: int


def lint(
    reference: Reference,
    options: LintOptions | None = None,
    *,
    base: Path | None = None,
    today: datetime.date | None = None,
    limits: Limits | None = None,
    watch: Watch = unwatched,
) -> Linted:
    """Look at the plan of a file, a directory, an address or a vendor's API. All its events, whatever their source.

    today: what dates in the plan are compared with, in place of the day it is.

    Raises:
        ConfigError, PlanError, PullError: there is no plan to look at, as when pulling.
    """
    options = options or LintOptions()
    raws, provider = read(source_table(reference), base or Path(), limits, watch)
    places: _Places
    refused: Sequence[_Found] = ()
    if provider.name == "itly":
        roots = [raw.document.root for raw in raws]
        places = _OwnPlaces(roots)
        mended, refused = _mended(roots)
        plan = itly.parse_parts(mended)
    else:
        plan = provider.parse(raws)
        places = _ForeignPlaces(raws, plan)
    entries = tuple(Entry(kind, section, is_raw=places.is_raw(kind, section.name)) for kind, section in _sections(plan))
    inspection = Inspection(plan, entries, today or datetime.date.today(), options.case)
    found = [*refused, *_judged(inspection, options)]
    return Linted(tuple(_placed(found, places, options)), len(inspection.events))


def read_options(given: Mapping[str, Any], setting: str) -> LintOptions:
    """The options of a mapping, keys in either case. setting: what users know it as.

    Raises:
        ConfigError: an unknown key, rule, case or severity.
    """
    entries = {str(key).lower(): value for key, value in given.items()}
    for key in entries:
        if key not in SETTINGS:
            raise ConfigError(f"{setting}: unknown key {key!r}; {unknown(key, SETTINGS)}", key=key)
    case = entries.get("case")
    if case is not None and case not in get_args(Case):
        raise ConfigError(f"{setting}: case must be one of {', '.join(get_args(Case))}, got {case!r}", key="case")
    severities = _mapping(entries, "rules", setting)
    for rule, severity in severities.items():
        _check_rule(rule, f"{setting}: rules", "rules")
        if severity not in get_args(Severity):
            levels = ", ".join(get_args(Severity))
            raise ConfigError(f"{setting}: rules: {rule} must be one of {levels}, got {severity!r}", key="rules")
    exceptions = {}
    for name, rules in _mapping(entries, "exceptions", setting).items():
        if not isinstance(rules, list | tuple) or not all(isinstance(rule, str) for rule in rules):
            raise ConfigError(f"{setting}: exceptions: {name} must be a list of rules, got {rules!r}", key="exceptions")
        for rule in rules:
            _check_rule(_rule_of(rule), f"{setting}: exceptions: {name}", "exceptions")
        exceptions[name] = tuple(rules)
    return LintOptions(case=case, rules=severities, exceptions=exceptions)


def _mapping(entries: Mapping[str, Any], key: str, setting: str) -> dict[str, Any]:
    value = entries.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{setting}: {key} must be a table, got {value!r}", key=key)
    return dict(value)


def _check_rule(rule: str, where: str, key: str) -> None:
    if rule not in RULES:
        raise ConfigError(f"{where}: unknown rule {rule!r}; {unknown(rule, RULES)}", key=key)


def _rule_of(text: str) -> str:
    """`N004: the vendor's name` -> `N004`."""
    return text.partition(":")[0].strip()


# --- judging


@dataclass(frozen=True)
class _Found:
    rule: str
    kind: str
    name: str
    path: Steps
    message: str


def _sections(plan: Plan) -> Iterator[tuple[str, Section]]:
    """What is looked at: nobody cares any more what a removed event was like."""
    for kind in SECTIONS:
        section = getattr(plan, kind)
        if section is not None:
            yield kind, section
    yield from (("event", event) for event in plan.events if event.status != "removed")


def _judged(inspection: Inspection, options: LintOptions) -> Iterator[_Found]:
    """What the rules find and nothing silences, and what silences nothing."""
    for entry in inspection.entries:
        section = entry.section
        silenced = {*map(_rule_of, section.no_lint), *map(_rule_of, options.exceptions.get(section.name, ()))}
        used = set()
        for rule in RULES.values():
            if rule.find is None or options.severity(rule.id) == "off":
                continue
            for path, message in rule.find(entry, inspection):
                if rule.id in silenced:
                    used.add(rule.id)
                else:
                    yield _Found(rule.id, entry.kind, section.name, path, message)
        for index, text in enumerate(section.no_lint):
            name = _rule_of(text)
            if name not in RULES:
                message = f"{name!r} is no rule; {unknown(name, RULES)}"
                yield _Found("U002", entry.kind, section.name, ("no_lint", index), message)
            elif RULES[name].is_refused:
                message = f"{name} cannot be silenced: `itly pull` accepts no such plan"
                yield _Found("U001", entry.kind, section.name, ("no_lint", index), message)
            elif name not in used and options.severity(name) != "off":
                message = f"{name} would find nothing here: leave it out"
                yield _Found("U001", entry.kind, section.name, ("no_lint", index), message)


def _placed(found: Sequence[_Found], places: _Places, options: LintOptions) -> list[Finding]:
    """Findings by place. What is said of a shared type is said once."""
    placed: dict[tuple[str, str, str, str], Finding] = {}
    for one in found:
        severity = "error" if RULES[one.rule].is_refused else options.severity(one.rule)
        if severity != "off":
            path, file, line = places.place(one)
            finding = Finding(rule=one.rule, severity=severity, message=one.message, path=path, file=file, line=line)
            placed.setdefault((one.rule, path, file, one.message), finding)
    return sorted(placed.values(), key=lambda item: (item.file, item.line, item.path, item.rule, item.message))


# --- what a pull would refuse


def _mended(roots: Sequence[Part]) -> tuple[list[Part], list[_Found]]:
    """The documents without what a pull refuses, so that the rest can be judged as well, and what that was."""
    copies = [_copied(root) for root in roots]
    outline = itly.gathered(copies)
    default = _default_draft(outline.parts.get("defaults"))
    found = []
    named = [("event", name, part) for name, part in outline.events.items()]
    for kind, name, part in [*named, *((kind, kind, part) for kind, part in outline.parts.items() if kind in SECTIONS)]:
        schema = part.get(SCHEMA).value
        if not isinstance(schema, dict):
            continue
        draft = draft_of(schema) if "$schema" in schema else default
        for rule, find in REFUSED.items():
            for path, message in list(find(schema, draft)):
                found.append(_Found(rule, kind, name, path, message))
                below = part.get(*path[:-1]).value
                del below[path[-1]]
                if rule == "S006":
                    below.setdefault("allOf", [{}])  # it did say what the value is, elsewhere
    return copies, found


def _copied(root: Part) -> Part:
    value = copy.deepcopy(root.value)
    return Part(Document(root.document.name, value, root.document.lines), value)


def _default_draft(part: Part | None) -> Draft:
    draft = part.get("draft") if part is not None else None
    return drafts.draft_named(draft) if draft is not None and draft.value is not None else "7"


# --- places


class _Places(Protocol):
    """Where in the documents a path into a section is."""

    def is_raw(self, kind: str, name: str) -> bool:
        """Whether the section's schema was written as JSON Schema."""
        ...

    def place(self, found: _Found) -> tuple[str, str, int]:
        """Path, file and line."""
        ...


class _OwnPlaces:
    """In our own format, where every part knows its line."""

    def __init__(self, roots: Sequence[Part]) -> None:
        self._outline = itly.gathered(roots)

    def is_raw(self, kind: str, name: str) -> bool:
        return self._part(kind, name).get(SCHEMA).value is not None

    def place(self, found: _Found) -> tuple[str, str, int]:
        part = self._part(found.kind, found.name)
        home: Steps = ("events", found.name) if found.kind == "event" else (found.kind,)
        steps = found.path
        if steps[:1] == (SCHEMA,) and not self.is_raw(found.kind, found.name):
            steps = tuple("additional_properties" if step == "additionalProperties" else step for step in steps[1:])
            if len(steps) > 1 and steps[0] in ("$defs", "definitions"):
                part, home, steps = self._outline.types[str(steps[1])], ("types", steps[1]), steps[2:]
        there = part.at(*steps)
        file, _, line = there.location.rpartition(":")
        return path_text((*home, *there.path[len(part.path) :])), file, int(line)

    def _part(self, kind: str, name: str) -> Part:
        return self._outline.events[name] if kind == "event" else self._outline.parts[kind]


class _ForeignPlaces:
    """In a vendor's format: the line on which the section's name stands first, if it does."""

    def __init__(self, raws: Sequence[Raw], plan: Plan) -> None:
        self._file = raws[0].name if len({raw.name for raw in raws}) == 1 else ""
        names = {section.name for _, section in _sections(plan)}
        self._lines: dict[str, tuple[str, int]] = {}
        for raw in raws:
            for name, line in _mentions(raw, names):
                self._lines.setdefault(name, (raw.name, line))

    def is_raw(self, kind: str, name: str) -> bool:
        return True

    def place(self, found: _Found) -> tuple[str, str, int]:
        home: Steps = ("events", found.name) if found.kind == "event" else (found.kind,)
        steps = found.path[1:] if found.path[:1] == (SCHEMA,) else found.path
        return path_text((*home, *steps)), *self._lines.get(found.name, (self._file, 0))


def _mentions(raw: Raw, names: set[str]) -> Iterator[tuple[str, int]]:
    """Names that stand in a file as a key or as a whole value, and their lines."""
    if raw.is_table:
        yield from ((cell, row.line) for row in raw.rows for cell in row.cells.values() if cell in names)
    elif raw.is_code:
        for number, line in enumerate(raw.text.splitlines(), 1):
            yield from ((text, number) for text in _QUOTED.findall(line) if text in names)
    else:
        document = raw.document
        yield from ((str(path[-1]), line) for path, line in document.lines.items() if path and path[-1] in names)
        for path, text in _texts(document.value):
            if text in names:
                yield text, int(document.location(path).rpartition(":")[2])


_QUOTED = re.compile(r"""(?<=["'])[^"']+(?=["'])""")


def _texts(value: Any, path: Steps = ()) -> Iterator[tuple[Steps, str]]:
    if isinstance(value, str):
        yield path, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in members:
        yield from _texts(below, (*path, key))
