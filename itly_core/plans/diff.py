"""Two plans, compared: what changed, and whom each change breaks.

Callers are the code that calls the package. A change breaks them where a call that was right no longer is, or would no
longer be what it was. Consumers are those who read the data. A change breaks them where data may come that the old plan
did not allow, or no longer comes; properties and events they do not know they leave alone. What cannot be told is
undecidable, never guessed. A possible rename is only named: it counts as one thing that went and one that came.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any

from ..errors import PlanError
from ..validation import compile_schema
from .compatibility import Difference, Direction, Members, compare, members, same
from .snapshot import SECTIONS, Entry, Snapshot
from .versions import Advice, Bump, SchemaVer, advice

Json = Mapping[str, Any]


class Verdict(Enum):
    BREAKING = "breaking"
    UNDECIDABLE = "undecidable"
    COMPATIBLE = "compatible"


BREAKING, UNDECIDABLE, COMPATIBLE = Verdict
_RANK = {BREAKING: 0, UNDECIDABLE: 1, COMPATIBLE: 2}


class View(Enum):
    """Whose verdict counts."""

    BOTH = "both"
    CALLERS = "callers"
    CONSUMERS = "consumers"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One change.

    kind: event, context, identify, group, page or plan. name: the event's. path: names of properties; `[]` for the items of
    an array, `*` for properties that are not listed; empty: the event itself.
    change: added, removed, widened, tightened, changed (both), undecidable, text. rule: what changed, as a keyword of
    JSON Schema or of the plan. message: in words.
    """

    kind: str
    name: str = ""
    path: tuple[str, ...] = ()
    change: str
    rule: str
    message: str
    callers: Verdict
    consumers: Verdict
    bump: Bump
    schemaver: SchemaVer = SchemaVer.NONE

    @property
    def subject(self) -> str:
        """What changed, for people: `Order Placed: items[].price`."""
        owner = self.name or ("plan" if self.kind == "plan" else f"({self.kind})")
        return f"{owner}: {path_text(self.path)}" if self.path else owner

    def verdict(self, view: View) -> Verdict:
        seen = {View.CALLERS: (self.callers,), View.CONSUMERS: (self.consumers,)}
        return min(seen.get(view, (self.callers, self.consumers)), key=_RANK.__getitem__)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name or None,
            "path": list(self.path),
            "change": self.change,
            "rule": self.rule,
            "message": self.message,
            "callers": self.callers.value,
            "consumers": self.consumers.value,
            "bump": self.bump.word,
            "schemaver": self.schemaver.word or None,
        }


@dataclass(frozen=True, kw_only=True)
class Rename:
    """Something that went and something that came which may be the same.

    kind, name: whose property it is, as in a line; empty where it is an event.
    """

    kind: str = ""
    name: str = ""
    old: str
    new: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Diff:
    """versions: what the changes ask of the plan's version, and of each changed event's that has one."""

    old: Snapshot
    new: Snapshot
    lines: tuple[Line, ...]
    renames: tuple[Rename, ...]
    versions: tuple[Advice, ...]

    def seen(self, view: View = View.BOTH) -> list[Line]:
        """The lines, the worst first; callers before consumers."""

        def badness(line: Line) -> tuple[int, int, int]:
            return (_RANK[line.verdict(view)], _RANK[line.callers], _RANK[line.consumers])

        return sorted(self.lines, key=badness)

    def counts(self, view: View) -> dict[str, int]:
        found = Counter(line.verdict(view) for line in self.lines)
        return {verdict.value: found[verdict] for verdict in Verdict}

    @property
    def bump(self) -> Bump:
        return max((line.bump for line in self.lines), default=Bump.NONE)

    @property
    def is_too_low(self) -> bool:
        """Whether a version is known to be less than the changes ask for."""
        return any(found.is_enough is False for found in self.versions)

    def as_json(self, view: View = View.BOTH) -> dict[str, Any]:
        plan, *events = self.versions
        return {
            "old": {"name": self.old.name, "version": self.old.version, "where": self.old.where},
            "new": {"name": self.new.name, "version": self.new.version, "where": self.new.where},
            "callers": self.counts(View.CALLERS),
            "consumers": self.counts(View.CONSUMERS),
            "version": _advice_json(plan),
            "event_versions": {found.event: _advice_json(found) for found in events},
            "changes": [line.as_json() for line in self.seen(view)],
            "possible_renames": [{key: value or None for key, value in asdict(one).items()} for one in self.renames],
        }


def _advice_json(found: Advice) -> dict[str, Any]:
    return {
        "old": found.old,
        "new": found.new,
        "bump": found.bump.word,
        "suggested": found.suggested or None,
        "is_enough": found.is_enough,
    }


def path_text(path: Sequence[str]) -> str:
    return ".".join(path).replace(".[]", "[]")


def diff(old: Snapshot, new: Snapshot) -> Diff:
    """What changed from one plan to the other. Fails for nothing that a `_plan.json` may hold."""
    pair = _Pair(old, new)
    lines = tuple(pair.lines())
    bump = max((line.bump for line in lines), default=Bump.NONE)
    return Diff(
        old=old,
        new=new,
        lines=lines,
        renames=(*_event_renames(old, new), *_property_renames(old, new, lines)),
        versions=(advice("", old.version, new.version, bump), *_event_versions(old, new, lines)),
    )


def _event_versions(old: Snapshot, new: Snapshot, lines: Iterable[Line]) -> Iterator[Advice]:
    of: dict[str, list[Line]] = {}
    for line in lines:
        if line.kind == "event":
            of.setdefault(line.name, []).append(line)
    for name, mine in of.items():
        was, now = old.events.get(name), new.events.get(name)
        if was is not None and now is not None and (was.version or now.version):
            bump, schemaver = max(line.bump for line in mine), max(line.schemaver for line in mine)
            yield advice(name, was.version, now.version, bump, schemaver, has_dots=new.has_schemaver)


# --- what changed


class _Pair:
    """The comparison of two plans. A plan's `formats` is one change; property by property it is then no rule."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.old = old
        self.new = new
        self.asserts_formats = old.formats == new.formats == "strict"

    def lines(self) -> Iterator[Line]:
        yield from self.plan()
        for kind in SECTIONS:
            was, now = self.old.sections.get(kind), self.new.sections.get(kind)
            if was is not None and now is not None:
                yield from self.entry(kind, "", was, now)
            elif now is not None:
                yield _section_added(kind, now)
            elif was is not None:
                yield _section_removed(kind, was)
        for name in sorted({*self.old.events, *self.new.events}):
            was, now = self.old.events.get(name), self.new.events.get(name)
            if was is not None and now is not None:
                yield from self.entry("event", name, was, now)
            elif now is not None:
                yield _line("event", name, "added", "event", _called("event added", now), bump=Bump.MINOR)
            elif was is not None:
                yield self.event_removed(name, was)

    def plan(self) -> Iterator[Line]:
        for rule, was, now in (("name", self.old.name, self.new.name), ("owner", self.old.owner, self.new.owner)):
            if was is not None and now is not None and was != now:
                yield _line("plan", "", "text", rule, f"{rule} {_said(was)} -> {_said(now)}")
        before, after = self.old.formats, self.new.formats
        if before == after:
            return
        message = f"formats {before} -> {after}"
        uses = any(_has_format(entry.schema) for entry in (*self.new.events.values(), *self.new.sections.values()))
        if uses and after == "strict":
            message += ": formats are a rule from now on"
            yield _line("plan", "", "tightened", "formats", message, callers=BREAKING, schemaver=SchemaVer.REVISION)
        elif uses and before == "strict":
            message += ": formats are no rule any more"
            yield _line("plan", "", "widened", "formats", message, consumers=BREAKING, bump=Bump.MINOR)
        else:
            yield _line("plan", "", "text", "formats", message)

    def event_removed(self, name: str, was: Entry) -> Line:
        message = _called("event removed", was)
        heir = next((name for name, entry in self.new.events.items() if entry.function == was.function != ""), None)
        if heir is not None:
            message += f", which is that of {_said(heir)} from now on"
        return _line("event", name, "removed", "event", message, callers=BREAKING, consumers=BREAKING)

    def entry(self, kind: str, name: str, old: Entry, new: Entry) -> Iterator[Line]:
        """What changed in what both plans have."""
        yield from _about(kind, name, old, new)
        yield from _arguments(kind, name, old, new)
        differences = self.differences(old.schema, new.schema)
        if differences is None:
            yield _unreadable(kind, name)
            return
        has_texts = old.texts is not None and new.texts is not None
        for found in differences:
            if not (has_texts and not found.path and found.rule in ("description", "title")):  # said already
                yield _judged(kind, name, found, old, new)

    def differences(self, old: Json | None, new: Json | None) -> list[Difference] | None:
        """None where one of the schemas cannot be used: somebody may have edited it, or written it for a later version."""
        try:
            if old is None or new is None:
                return [] if old is new else None
            if same(old, new):
                return []
            _refuse_unusable(old, new)
            return compare(old, new, asserts_formats=self.asserts_formats)
        except (PlanError, RecursionError):
            return None


def _line(
    kind: str,
    name: str,
    change: str,
    rule: str,
    message: str,
    *,
    path: tuple[str, ...] = (),
    callers: Verdict = COMPATIBLE,
    consumers: Verdict = COMPATIBLE,
    bump: Bump = Bump.PATCH,
    schemaver: SchemaVer = SchemaVer.NONE,
) -> Line:
    """A line; whatever may break callers asks for a major version."""
    return Line(
        kind=kind,
        name=name,
        path=path,
        change=change,
        rule=rule,
        message=message,
        callers=callers,
        consumers=consumers,
        bump=bump if callers is COMPATIBLE else Bump.MAJOR,
        schemaver=schemaver,
    )


def _unreadable(kind: str, name: str) -> Line:
    message = "cannot be compared: one of its schemas is missing or cannot be used"
    return _line(kind, name, "undecidable", "schema", message, callers=UNDECIDABLE, consumers=UNDECIDABLE)


def _about(kind: str, name: str, old: Entry, new: Entry) -> Iterator[Line]:
    """What is said of an event besides its schema."""
    for rule, was, now in (("function", old.function, new.function), ("class", old.cls, new.cls)):
        if was and now and was != now:
            yield _line(kind, name, "changed", rule, f"{rule} {was} -> {now}", callers=BREAKING)
    if old.status != new.status:
        bump = Bump.MINOR if new.status == "deprecated" else Bump.PATCH
        warned = "; type checkers warn of each call" if new.status == "deprecated" else ""
        message = f"status {old.status} -> {new.status}{warned}"
        yield _line(kind, name, "text", "status", message, bump=bump)
    if old.version != new.version:
        message = f"version {_said(old.version)} -> {_said(new.version)}"
        yield _line(kind, name, "text", "version", message, bump=Bump.NONE)
    if old.texts is None or new.texts is None:
        return
    for key in sorted({*old.texts, *new.texts}):
        before, after = old.texts.get(key), new.texts.get(key)
        if before != after:
            yield _line(kind, name, "text", key, _text_changed(key, before, after))


def _text_changed(key: str, was: Any, now: Any) -> str:
    if key in ("description", "examples"):
        return f"{key} {'added' if was is None else 'removed' if now is None else 'changed'}"
    return f"{key} {_said(was)} -> {_said(now)}"


def _arguments(kind: str, name: str, old: Entry, new: Entry) -> Iterator[Line]:
    """How the function's arguments changed where the property is in both plans."""
    for wire in sorted({*_filled(old), *old.arguments} & {*_filled(new), *new.arguments}):
        was, now = old.arguments.get(wire), new.arguments.get(wire)
        if was == now:
            continue
        if was is not None and now is not None:
            message, callers = f"argument {was} -> {now}", BREAKING
        elif was is not None:
            by = "the call's user id" if wire == new.user_id else "its constant"
            message, callers = f"no argument any more: filled from {by}", BREAKING
        else:
            must = wire in _members(new).required
            message = f"is an argument from now on{', a required one' if must else ''}: it was filled in before"
            callers = BREAKING if must else COMPATIBLE
        yield _line(kind, name, "changed", "argument", message, path=(wire,), callers=callers)


def _filled(entry: Entry) -> frozenset[str]:
    """The properties that the package fills in."""
    return entry.constants | ({entry.user_id} - {""})


# --- whom it breaks

_CHANGES = {
    Direction.WIDER: "widened",
    Direction.NARROWER: "tightened",
    Direction.OTHER: "changed",
    Direction.UNDECIDABLE: "undecidable",
    Direction.SAME: "text",
}


def _judged(kind: str, name: str, found: Difference, old: Entry, new: Entry) -> Line:
    is_named = found.rule in ("added", "removed")
    argument = _lost_argument(found, old)
    is_text = found.direction is Direction.SAME and not is_named
    return _line(
        kind,
        name,
        found.rule if is_named else _CHANGES[found.direction],
        found.rule,
        found.message if argument is None else f"{found.message}, but not by the name of its argument, {argument}",
        path=found.path,
        callers=_for_callers(found, old, new),
        consumers=_for_consumers(found),
        bump=Bump.PATCH if is_text else Bump.MINOR,
        schemaver=_schemaver(found),
    )


def _for_callers(found: Difference, old: Entry, new: Entry) -> Verdict:
    top = found.path[0] if found.path else None
    is_itself = len(found.path) == 1
    if is_itself and top in new.constants and (top in old.constants or found.rule == "added"):
        return COMPATIBLE  # the package fills it in
    if is_itself and found.rule == "removed" and top in _filled(old):
        return COMPATIBLE  # so it was
    if _lost_argument(found, old) is not None:
        return BREAKING
    if top is not None and top == new.user_id and found.direction in (Direction.NARROWER, Direction.OTHER):
        return UNDECIDABLE  # it hangs on which user ids there are, and whether every call has one
    return {
        Direction.WIDER: COMPATIBLE,
        Direction.SAME: COMPATIBLE,
        Direction.UNDECIDABLE: UNDECIDABLE,
    }.get(found.direction, BREAKING)


def _lost_argument(found: Difference, old: Entry) -> str | None:
    """The argument of a property that is not listed any more and still taken, where it would now be sent as another."""
    if found.rule != "removed" or len(found.path) != 1 or found.direction is Direction.NARROWER:
        return None
    argument = old.arguments.get(found.path[0])
    return argument if argument != found.path[0] else None


def _for_consumers(found: Difference) -> Verdict:
    if found.direction is Direction.UNDECIDABLE:
        return UNDECIDABLE
    if found.direction is Direction.SAME or found.rule == "added":
        return COMPATIBLE
    if found.rule == "removed":
        return BREAKING
    if found.rule == "additionalProperties" and found.path[-1:] != ("*",):
        return COMPATIBLE  # more or fewer properties that nobody knows
    return COMPATIBLE if found.direction is Direction.NARROWER else BREAKING


def _schemaver(found: Difference) -> SchemaVer:
    if found.spoils_all:
        return SchemaVer.MODEL
    if found.direction is Direction.SAME:
        return SchemaVer.ADDITION if found.rule == "added" else SchemaVer.NONE
    return SchemaVer.ADDITION if found.direction is Direction.WIDER else SchemaVer.REVISION


def _section_added(kind: str, now: Entry) -> Line:
    """Context: every event has it from now on. identify, group, page: what was free is bound."""
    known = _members(now)
    required = sorted(known.required - _filled(now))
    message = "added" + (f"; required: {', '.join(map(_said, required))}" if required else "")
    callers = COMPATIBLE
    if required:
        callers = BREAKING
    elif kind != "context" and known != _OPEN:
        callers = UNDECIDABLE
        message += "; until now anything was right, and whether what is sent fits is not for a comparison to say"
    return _line(kind, "", "added", kind, message, callers=callers, bump=Bump.MINOR)


def _section_removed(kind: str, was: Entry) -> Line:
    """Without a context there is no such class. identify, group, page: anything is right."""
    renamed = [wire for wire, argument in was.arguments.items() if wire != argument]
    message = "removed"
    callers = BREAKING if kind == "context" or renamed else COMPATIBLE
    if kind != "context":
        message += "; anything is right from now on"
        if renamed:
            message += f", but arguments are no longer sent as {', '.join(map(_said, sorted(renamed)))}"
    return _line(kind, "", "removed", kind, message, callers=callers, consumers=BREAKING, bump=Bump.MINOR)


_OPEN = Members({}, frozenset(), "[]")  # anything is right


# --- what may have been renamed

MAX_PAIRS = 10_000  # of names that are looked at for likeness


def _event_renames(old: Snapshot, new: Snapshot) -> Iterator[Rename]:
    gone = [name for name in sorted(old.events) if name not in new.events]
    come = [name for name in sorted(new.events) if name not in old.events]
    if not gone or not come:
        return
    functions = _grouped({name: new.events[name].function for name in come})
    shapes = _grouped({name: _shape(new.events[name]) for name in come})
    is_small = len(gone) * len(come) <= MAX_PAIRS

    def alike(name: str) -> Iterator[tuple[str, Sequence[str]]]:
        entry, shape = old.events[name], _shape(old.events[name])
        yield "the same function", functions.get(entry.function, []) if entry.function else []
        if shape and '": ' in shape:
            yield "the same properties", _nearest(name, shapes.get(shape, []), is_small)
        yield "similar names", get_close_matches(name, come, n=1, cutoff=0.8) if is_small else []

    for one, other, reason in _candidates(gone, come, alike):
        yield Rename(old=one, new=other, reason=reason)


def _property_renames(old: Snapshot, new: Snapshot, lines: Iterable[Line]) -> Iterator[Rename]:
    """Of properties at the top of an event or section."""
    of: dict[tuple[str, str], dict[str, list[str]]] = {}
    for line in lines:
        if len(line.path) == 1 and line.change in ("added", "removed"):
            of.setdefault((line.kind, line.name), {"added": [], "removed": []})[line.change].append(line.path[0])
    for (kind, name), names in of.items():
        gone, come = names["removed"], names["added"]
        if gone and come:
            was, now = (side.events[name] if name else side.sections[kind] for side in (old, new))
            before, after = _members(was).definitions, _members(now).definitions
            yield from _of_properties(
                kind, name, {one: before.get(one, "") for one in gone}, {one: after.get(one, "") for one in come}
            )


def _of_properties(kind: str, name: str, gone: Mapping[str, str], come: Mapping[str, str]) -> Iterator[Rename]:
    definitions = _grouped(come)
    is_small = len(gone) * len(come) <= MAX_PAIRS

    def alike(one: str) -> Iterator[tuple[str, Sequence[str]]]:
        yield "the same definition", _nearest(one, definitions.get(gone[one], []), is_small)

    for one, other, reason in _candidates(gone, come, alike):
        yield Rename(kind=kind, name=name, old=one, new=other, reason=reason)


def _candidates(
    gone: Iterable[str], come: Iterable[str], alike: Callable[[str], Iterator[tuple[str, Sequence[str]]]]
) -> Iterator[tuple[str, str, str]]:
    """What went, what came, and why they may be the same. alike: reasons of other kinds than the spelling."""
    spellings = _grouped({name: _folded(name) for name in come})
    for name in gone:
        reasons: dict[str, list[str]] = {}
        spelled = spellings.get(_folded(name), []) if _folded(name) else []
        for reason, others in (("names that differ in spelling only", spelled), *alike(name)):
            for other in others:
                reasons.setdefault(other, []).append(reason)
        yield from ((name, other, ", ".join(why)) for other, why in sorted(reasons.items()))


def _nearest(name: str, others: Sequence[str], is_small: bool) -> Sequence[str]:
    """Of those that are alike the only one, else the one with the nearest name."""
    if len(others) < 2:
        return others
    return get_close_matches(name, others, n=1, cutoff=0.5) if is_small else []


def _grouped(keys: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    return groups


def _shape(entry: Entry) -> str:
    """An event's properties as text, the same for equal ones."""
    found = _members(entry)
    return json.dumps([dict(found.definitions), sorted(found.required), found.additional], sort_keys=True)


def _folded(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


# --- small things


def _refuse_unusable(*schemas: Json) -> None:
    """
    Raises:
        PlanError: the run time could not use one of them either.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for schema in schemas:
            compile_schema(schema)


def _members(entry: Entry) -> Members:
    """What an entry's schema says at its top, as far as it can be read."""
    try:
        if entry.schema is not None:
            _refuse_unusable(entry.schema)
            return members(entry.schema)
    except (PlanError, RecursionError):
        pass
    return Members({}, frozenset(), "")


def _has_format(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("format"), str) or any(map(_has_format, value.values()))
    return isinstance(value, list) and any(map(_has_format, value))


def _called(message: str, entry: Entry) -> str:
    return f"{message}; its function is {entry.function}" if entry.function else message


def _said(value: Any) -> str:
    """A value of a plan as part of a sentence."""
    if value in (None, "", (), []):
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
