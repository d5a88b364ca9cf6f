"""Rules about names: N001 to N005."""

from __future__ import annotations

import keyword
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ...codegen.names import snake
from ...codegen.render import CALLER, RESERVED_FUNCTIONS, Kind
from ..document import Section
from .rule import SCHEMA, Entry, Found, Inspection, Rule, Spot

_TITLE = re.compile(r"[A-Z0-9][^\s_]*(?: (?:[A-Z0-9][^\s_]*|of|in|on|to|for|by|at|and|or|the|a|an|with|from))*\Z")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")
_PARTICLES = frozenset({"In", "Out", "Up", "Down", "On", "Off", "Over", "Away", "Back", "Through"})
_PAST = frozenset(
    {
        "Became", "Began", "Begun", "Bought", "Bound", "Broken", "Built", "Caught", "Chosen", "Cut", "Done", "Drawn",
        "Driven", "Fallen", "Felt", "Forgotten", "Found", "Frozen", "Given", "Gone", "Got", "Grown", "Heard", "Held",
        "Hidden", "Hit", "Kept", "Known", "Left", "Lent", "Let", "Lost", "Made", "Met", "Overridden", "Paid", "Put",
        "Read", "Rebuilt", "Reset", "Rewritten", "Run", "Seen", "Sent", "Set", "Shown", "Shut", "Sold", "Spent", "Split",
        "Spread", "Taken", "Thrown", "Told", "Undone", "Unsent", "Upset", "Withdrawn", "Won", "Written",
    }
)  # fmt: skip


def _style(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    name = entry.section.name
    if entry.kind != "event":
        return
    if inspection.case == "snake" and not _SNAKE.match(name):
        yield (), "is not in snake case, as order_placed is"
    elif inspection.case in ("title", "object_action") and not _TITLE.match(name):
        yield (), "is not in title case, as Order Placed is"
    elif inspection.case == "object_action" and not _is_object_action(name):
        yield (), "is not an object and what was done to it, as Order Placed is"


def _is_object_action(name: str) -> bool:
    words = name.split()
    while len(words) > 2 and words[-1] in _PARTICLES:
        words.pop()
    return len(words) > 1 and (words[-1].endswith("ed") or words[-1] in _PAST)


def _share_a_source(one: Section, other: Section) -> bool:
    return not one.sources or not other.sources or bool({*one.sources} & {*other.sources})


def _collision(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    if entry.kind == "event":
        if "N002" not in inspection.index:
            inspection.index["N002"] = wanted = defaultdict(list)
            for event in inspection.events:
                wanted[_function(event)].append(event)
        section = entry.section
        same = [
            event.name
            for event in inspection.index["N002"][_function(section)]
            if event is not section and _share_a_source(event, section)
        ]
        if same and section.python_name is None:
            yield (
                ("python_name",),
                f"wants the Python name {_function(section)}, as does {_listed(same)}: the names get digits of a "
                "hash; choose one with python_name",
            )
    for spot in entry.spots:
        wires = defaultdict(list)
        named = spot.schema.get("properties")
        for wire in named if isinstance(named, dict) and spot.path == (SCHEMA,) else ():
            wires[snake(wire, prefix="prop")].append(wire)
        for name, same in wires.items():
            for wire in same if len(same) > 1 else ():
                others = _listed([other for other in same if other != wire])
                yield (
                    (*spot.path, "properties", wire),
                    f"wants the Python name {name}, as does {others}: the names get digits of a hash",
                )


def _function(event: Section) -> str:
    return event.python_name or snake(event.name, prefix="event")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _similar(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    if entry.kind != "event":
        return
    if "N003" not in inspection.index:
        inspection.index["N003"] = near = defaultdict(list)
        for event in inspection.events:
            for key in _shortened(_letters(event.name)):
                near[key].append(event)
    section = entry.section
    letters = _letters(section.name)
    others = {
        event.name
        for key in _shortened(letters)
        for event in inspection.index["N003"][key]
        if _is_one_slip_away(letters, _letters(event.name)) and _share_a_source(event, section)
    }
    if others:
        yield (), f"is easily taken for {_listed(others)}"


MIN_LETTERS = 6  # of shorter names many differ in one letter
MAX_LETTERS = 100


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())[:MAX_LETTERS]


def _shortened(letters: str) -> set[str]:
    """The name, and the name without each of its letters: two that are one slip apart share one of these."""
    if len(letters) < MIN_LETTERS:
        return set()
    return {letters, *(letters[:place] + letters[place + 1 :] for place in range(len(letters)))}


def _is_one_slip_away(one: str, other: str) -> bool:
    """Whether a letter was added, left out, changed, or swapped with its neighbour. Digits are no slips: step1, step2."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    first, second = one[start : len(one) - end], other[start : len(other) - end]
    if any(char.isdigit() for char in first + second):
        return False
    return max(len(first), len(second)) == 1 or (len(first) == len(second) == 2 and first == second[::-1])


_MEASURES = frozenset(
    {
        "duration",
        "elapsed",
        "latency",
        "timeout",
        "delay",
        "uptime",
        "weight",
        "distance",
        "speed",
        "temperature",
        "size",
    }
)
_UNITS = re.compile(
    r"\b(?:ns|us|µs|ms|s|secs?|min|mins|h|hrs?|(?:nano|micro|milli)?seconds?|minutes?|hours?|days?|weeks?|months?|years?|"
    r"bytes?|[kmgt]i?b|(?:kilo|mega|giga)bytes?|bits?|k?m|[cm]m|(?:kilo|centi|milli)?met(?:er|re)s?|miles?|feet|inch(?:es)?|"
    r"k?g|(?:kilo)?grams?|lbs?|pounds?|ounces?|kmh|mph|knots?|celsius|fahrenheit|kelvin|degrees?|px|pixels?|rows?|lines?|"
    r"count|items?|elements?|entries|people|persons?|employees|members|seats|users|characters|words|percent|pages|records)\b"
)


def _unit(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.properties:
        words = snake(spot.name, prefix="prop").split("_")
        if words[-1] in _MEASURES and spot.types & {"integer", "number"}:
            said = f"{' '.join(words)} {spot.schema.get('description', '')}".casefold()
            if not _UNITS.search(said) and "%" not in said:
                yield (
                    spot.path,
                    f"measures in which unit? Say it in the name, as {'_'.join(words)}_{_unit_of(words[-1])}",
                )


def _unit_of(measure: str) -> str:
    return {"weight": "kg", "distance": "km", "speed": "kmh", "temperature": "celsius", "size": "bytes"}.get(
        measure, "ms"
    )


_VENDORS_OWN = frozenset({"distinct_id", "insert_id", "device_id"})


def _reserved(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    if entry.kind == "event":
        yield from (((), reason) for reason in _reasons_against(entry.section.name))
        name = snake(entry.section.name, prefix="event")
        if entry.section.python_name is None and (name in RESERVED_FUNCTIONS or keyword.iskeyword(name)):
            owner = "Python" if keyword.iskeyword(name) else "the package"
            yield ("python_name",), f"has a name that {owner} has for itself, {name}: choose another with python_name"
    for spot in entry.properties:
        for reason in (*_reasons_against(spot.name), *_reasons_against_argument(entry, spot)):
            yield spot.path, reason


def _reasons_against(name: str) -> Iterator[str]:
    if name.startswith(("$", "[Amplitude]", "mp_")) or name in _VENDORS_OWN:
        yield "has a name that vendors keep for themselves"


def _reasons_against_argument(entry: Entry, spot: Spot) -> Iterator[str]:
    if spot.path[:-1] != (SCHEMA, "properties") or spot.name == entry.section.user_id_property:
        return
    name = snake(spot.name, prefix="prop")
    if name in ("options", "self", *CALLER[Kind(entry.kind)]):
        yield f"has a name that the function has for itself: its argument is {name}_"
    elif keyword.iskeyword(name):
        yield f"has a name that is a word of Python: its argument is {name}_"


RULES = (
    Rule(
        id="N001",
        severity="warning",
        wants="Event names are in the style that `case` asks for: `title`, `snake` or `object_action`. Off without it.",
        case="object_action",
        bad="events: {Place Order: {description: Somebody paid.}}",
        good="events: {Order Placed: {description: Somebody paid.}}",
        find=_style,
    ),
    Rule(
        id="N002",
        severity="warning",
        wants="No two events, and no two properties of an event, want the same Python name.",
        bad=(
            "events: {Order Placed: {description: Somebody paid.}, "
            "order-placed: {description: The old one., python_name: order_placed}}"
        ),
        good=(
            "events: {Order Placed: {description: Somebody paid., python_name: order_paid}, "
            "order-placed: {description: The old one., python_name: order_placed}}"
        ),
        find=_collision,
    ),
    Rule(
        id="N003",
        severity="warning",
        wants="No two event names differ in one letter only.",
        bad=(
            "events: {Trial Started: {description: The first day.}, "
            "Trail Started: {description: A hike., no_lint: [N003]}}"
        ),
        good="events: {Trial Started: {description: The first day.}, Hike Started: {description: A hike.}}",
        find=_similar,
    ),
    Rule(
        id="N004",
        severity="warning",
        wants="A measure says its unit, in its name or its description.",
        bad="events: {Page Drawn: {description: A page is there., properties: {duration: {type: number}}}}",
        good="events: {Page Drawn: {description: A page is there., properties: {duration_ms: {type: number}}}}",
        find=_unit,
    ),
    Rule(
        id="N005",
        severity="warning",
        wants="Names are free: no `$`, no word of Python, nothing the package or a vendor has for itself.",
        bad="events: {Order Placed: {description: Somebody paid., properties: {$price: {type: number}}}}",
        good="events: {Order Placed: {description: Somebody paid., properties: {price: {type: number}}}}",
        find=_reserved,
    ),
)
