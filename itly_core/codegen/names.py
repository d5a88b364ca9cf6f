"""Names of a plan -> names of Python. What has been made safe is another type.

A name depends on the set of names it stands among, never on their order, and on no table that changes between Python
versions: letters newer than Unicode 3.2, the one database every Python carries unchanged, are spelled by code point.
"""

from __future__ import annotations

import hashlib
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

_HASH_DIGITS = 6
_REMEMBERED = 10_000  # names that are made once: a plan has the same properties in event after event
_CASE_CHANGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Letters, letter numbers, marks, digits. No connectors but `_`: U+30FB became one for identifiers in Unicode 15.1.
_IN_NAMES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd"})


class PythonName(str):
    """The name of a function or an argument: an identifier, no keyword, no leading underscore."""

    __slots__ = ()

    def __new__(cls, text: str) -> PythonName:
        if not is_safe(text):
            raise ValueError(f"{text!a} cannot be a name in generated code")
        return super().__new__(cls, text)


class ClassName(PythonName):
    """The name of a class; no function of the same package has it."""

    __slots__ = ()


@dataclass(frozen=True)
class EventNames:
    """What one event is called in Python."""

    function: PythonName
    cls: ClassName


@lru_cache(_REMEMBERED)
def is_safe(text: str) -> bool:
    """Whether every Python takes the text for exactly this name. Leading underscores are the package's own."""
    return (
        text.isidentifier()
        and not keyword.iskeyword(text)
        and not text.startswith("_")
        and unicodedata.normalize("NFKC", text) == text
        and all(map(_may_stand_in_names, text))
    )


@lru_cache(_REMEMBERED)
def snake(text: str, *, prefix: str) -> str:
    """The text in snake case; an identifier, but perhaps a keyword: `Process Started` -> `process_started`.

    prefix: what stands before a leading digit, and alone when nothing of the text can be spelled.
    """
    old = unicodedata.ucd_3_2_0.normalize("NFKC", "".join(map(_spell_new, text)))
    split = _CASE_CHANGE.sub("_", unicodedata.normalize("NFKC", old))
    lower = unicodedata.normalize("NFKC", split.lower())
    name = _joined(char if _may_stand_in_names(char) else "_" for char in lower)
    if not name:  # symbols only
        name = _joined(f"_u{ord(char):x}_" for char in old if unicodedata.ucd_3_2_0.category(char)[0] in "PS")
    if not name:
        return prefix
    return name if name.isidentifier() else f"{prefix}_{name}"


def camel(name: str) -> str:
    """A snake-case name as a class spells it: `process_started` -> `ProcessStarted`."""
    return unicodedata.normalize("NFKC", "".join(map(_capitalised, name.split("_"))))


def argument_names(wire_names: Iterable[str], fixed: Collection[str]) -> dict[str, PythonName]:
    """Wire name -> argument, for one signature. fixed: the parameters it has anyway, as `options`."""

    def wanted(wire: str) -> str:
        name = snake(wire, prefix="prop")
        return f"{name}_" if name in fixed or keyword.iskeyword(name) else name

    names = distinct(
        {wire: wanted(wire) for wire in wire_names}, owns=lambda wire, name: wire == name.removesuffix("_")
    )
    return {wire: PythonName(name) for wire, name in names.items()}


def event_names(
    events: Mapping[str, str | None], *, functions: Collection[str], classes: Collection[str]
) -> dict[str, EventNames]:
    """Wire name -> names. events: wire name -> the name its plan chose, or None.

    functions, classes: the package's own names; an event never takes one: `load` -> `load_event`, `Options` ->
    `OptionsEvent`. A chosen name goes before one that was made.

    Raises:
        ValueError: a chosen name is not safe, is the package's own, or was chosen twice.
    """
    chosen = {wire: name for wire, name in events.items() if name is not None}
    _check_chosen(chosen, frozenset({*functions, *classes}))
    choices = frozenset(chosen.values())
    plain = {wire: chosen.get(wire) or snake(wire, prefix="event") for wire in events}

    def function(wire: str) -> str:
        name = plain[wire]
        if name in functions:
            return f"{name}_event"
        return f"{name}_" if keyword.iskeyword(name) else name

    wanted = {wire: function(wire) for wire in events}
    named = distinct(
        wanted,
        owns=lambda wire, name: wire in chosen if name in choices else wire == name.removesuffix("_"),
    )
    taken = frozenset({*functions, *classes, *named.values()})

    def cls(wire: str) -> str:
        name = camel(plain[wire])
        if keyword.iskeyword(name):
            return f"{name}_"
        while name in taken:  # the package's own, or a function's where letters have no case
            name += "Event"
        return name

    class_names = distinct(
        {wire: cls(wire) for wire in events}, owns=lambda wire, _: named[wire] == wanted[wire], taken=taken
    )
    return {wire: EventNames(PythonName(named[wire]), ClassName(class_names[wire])) for wire in events}


def _check_chosen(chosen: Mapping[str, str], reserved: Collection[str]) -> None:
    for wire, name in chosen.items():
        if not is_safe(name) or name in reserved:
            raise ValueError(f"python_name {name!a} of event {wire!a} cannot be the name of its function")
    for name, times in Counter(chosen.values()).items():
        if times > 1:
            raise ValueError(f"python_name {name!a} is chosen by {times} events")


def distinct(
    wanted: Mapping[str, str], *, owns: Callable[[str, str], bool], taken: Collection[str] = ()
) -> dict[str, str]:
    """The wanted names, made different from each other and from `taken`. Keys decide, not their order.

    Of several that want one name, the one that owns it keeps it; the others get `_` and digits of the hash of their key.
    """
    claims: dict[str, list[str]] = {}
    for key, name in wanted.items():
        claims.setdefault(name, []).append(key)
    names: dict[str, str] = {}
    for name, keys in claims.items():
        owners = keys if len(keys) == 1 else [key for key in keys if owns(key, name)]
        if len(owners) == 1:
            names[owners[0]] = name
    # A hostile plan may hold a name that looks hashed, or two with the same digits: hash again until all differ.
    salts = {key: 0 for key in wanted if key not in names}
    while True:
        hashed = {key: _hashed(wanted[key], key, salt) for key, salt in salts.items()}
        uses = Counter(hashed.values())
        clashing = [key for key, name in hashed.items() if uses[name] > 1 or name in claims or name in taken]
        if not clashing:
            return {**names, **hashed}
        for key in clashing:
            salts[key] += 1


def _hashed(name: str, key: str, salt: int) -> str:
    text = f"{key}\0{salt}" if salt else key
    return f"{name.rstrip('_')}_{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"


@lru_cache(_REMEMBERED)
def _may_stand_in_names(char: str) -> bool:
    return char == "_" or (unicodedata.ucd_3_2_0.category(char) in _IN_NAMES and ("a" + char).isidentifier())


def _spell_new(char: str) -> str:
    return f" u{ord(char):x} " if unicodedata.ucd_3_2_0.category(char) == "Cn" else char


def _joined(parts: Iterable[str]) -> str:
    return re.sub(r"_+", "_", "".join(parts)).strip("_")


def _capitalised(word: str) -> str:
    upper = word[:1].upper()  # of a letter that got its capital after Unicode 3.2, as Georgian, there is none here
    return upper + word[1:] if all(map(_may_stand_in_names, upper)) else word
