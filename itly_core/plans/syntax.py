"""Text in, plain values and their lines out: the YAML and JSON that plans are written in, and nothing a plan means.

YAML is read as version 1.2 has it (`no` and `on` are text, dates are text), without tags. Text of a plan is data:
nothing is evaluated, and what a small text may grow to is bounded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import yaml

from ..errors import PlanError
from ..suggest import unknown
from ..validation import path_text
from .garbage import collections_paused

MAX_DEPTH = 100  # real schemas nest to 10
MAX_VALUES = 500_000  # with aliases written out; the largest public plans have some 20,000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One file's plain values. lines: the line each path begins at, counted from 1.

    name: the file as messages call it.
    """

    name: str
    value: Any
    lines: Mapping[Path, int]

    @property
    def root(self) -> Part:
        return Part(self, self.value)

    def location(self, path: Path) -> str:
        """`file:line` of a path, or of the nearest thing around it whose line is known."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


@dataclass(frozen=True)
class Part:
    """A value within a document, that knows where it stands."""

    document: Document
    value: Any
    path: Path = ()

    def error(self, message: str) -> PlanError:
        return PlanError(message, path=path_text(self.path), location=self.location)

    @property
    def location(self) -> str:
        return self.document.location(self.path)

    def at(self, *path: str | int) -> Part:
        """What stands at a path below, or as far down that path as the document goes."""
        part = self
        for key in path:
            holds = isinstance(part.value, dict) and key in part.value
            if not holds and not (isinstance(part.value, list) and isinstance(key, int) and key < len(part.value)):
                break
            part = Part(self.document, part.value[key], (*part.path, key))
        return part

    def get(self, *path: str | int) -> Part:
        """What stands at a path below; nothing where the document does not go that far."""
        part = self.at(*path)
        there = len(part.path) == len(self.path) + len(path)
        return part if there else Part(self.document, None, (*self.path, *path))

    def members(self, known: frozenset[str] | None = None) -> dict[str, Part]:
        """The entries of an object, of which only known keys and `x-…` are allowed if `known` is given."""
        if not isinstance(self.value, dict):
            raise self.error(f"must be an object (`key: value` lines), not {kind_of(self.value)}")
        entries = {key: Part(self.document, value, (*self.path, key)) for key, value in self.value.items()}
        for key, entry in entries.items():
            if known is not None and key not in known and not key.startswith("x-"):
                raise entry.error(f"unknown key {key!r}; {unknown(key, known)}")
        return entries

    def elements(self) -> list[Part]:
        if not isinstance(self.value, list):
            raise self.error(f"must be a list, not {kind_of(self.value)}")
        return [Part(self.document, value, (*self.path, index)) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """A text. A whole number is taken as its digits; a fraction is not, since 1.10 would become 1.1."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        if not isinstance(self.value, str):
            hint = ": write it in quotes" if isinstance(self.value, float) else ""
            raise self.error(f"must be text, not {kind_of(self.value)}{hint}")
        return self.value

    def texts(self) -> tuple[str, ...]:
        return tuple(element.text() for element in self.elements())

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.error(f"must be true or false, not {self.value!r}")
        return self.value


def kind_of(value: Any) -> str:
    """A value's kind in the words of the format."""
    kinds = {type(None): "nothing", bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "an object")


def read(name: str, data: bytes) -> Document:
    """Parse a file. `.json`, `.yaml` or `.yml` says which syntax; without one of these the first character does.

    `.itlyrc` is JSON5, of which Iteratively wrote no more than YAML can read as well.

    Raises:
        PlanError: it is not UTF-8, not well-formed, has a duplicate key or a tag, or grows beyond bounds.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise PlanError("is not UTF-8 text", location=f"{name}:{line}") from exc
    lowered = name.lower()
    is_json = lowered.endswith(".json") or (
        not lowered.endswith((".yaml", ".yml", ".itlyrc")) and text.lstrip()[:1] in ("{", "[")
    )
    with collections_paused():
        return _build(name, _json_events(name, text) if is_json else _yaml_events(name, text))


class _Event(NamedTuple):
    """One step through a text.

    text: a scalar as written, which is what it is as a key. problem: why the value cannot be used.
    """

    kind: Literal["scalar", "object", "list", "end", "alias"]
    line: int
    value: Any = None
    text: str | None = None
    anchor: str | None = None
    problem: str | None = None


@dataclass
class _Open:
    """An object or list whose end has not come yet."""

    value: Any
    path: Path
    started: int
    anchor: str | None
    key: str | None = None


def _build(name: str, events: Iterator[_Event]) -> Document:
    """Values from steps, without recursion, so that depth costs an error message and not the stack."""
    lines: dict[Path, int] = {}
    anchors: dict[str, tuple[Any, int]] = {}  # name -> value, how many values it holds
    stack: list[_Open] = []
    root: Any = None
    count = 0

    def fail(message: str, path: Path, line: int) -> PlanError:
        return PlanError(message, path=path_text(path), location=f"{name}:{line}")

    for event in events:
        top = stack[-1] if stack else None
        if event.kind == "end":
            assert top is not None
            if top.anchor is not None:
                anchors[top.anchor] = (top.value, count - top.started)
            stack.pop()
            continue
        if top is not None and isinstance(top.value, dict) and top.key is None:
            if event.kind != "scalar" or event.text is None:
                raise fail("a key must be text", top.path, event.line)
            if event.problem is not None:
                raise fail(event.problem, top.path, event.line)
            path = (*top.path, event.text)
            if event.text in top.value:
                raise fail(f"duplicate key {event.text!r}, first on line {lines[path]}", path, event.line)
            _refuse_surrogates(event.text, fail, path, event.line)
            top.key = event.text
            top.value[event.text] = None
            lines[path] = event.line
            continue

        if top is None:
            path = ()
        elif isinstance(top.value, dict):
            path = (*top.path, str(top.key))
        else:
            path = (*top.path, len(top.value))
        size = 1
        if event.kind == "alias":
            if event.text not in anchors:
                raise fail(f"*{event.text} refers to nothing that is complete above it", path, event.line)
            value, size = anchors[event.text]
        else:
            value = {"object": dict, "list": list}[event.kind]() if event.kind != "scalar" else event.value
        if event.problem is not None:
            raise fail(event.problem, path, event.line)
        if isinstance(value, str):
            _refuse_surrogates(value, fail, path, event.line)
        if isinstance(value, float) and not math.isfinite(value):
            raise fail("is not a finite number", path, event.line)
        count += size
        if count > MAX_VALUES:
            raise fail(f"holds more than {MAX_VALUES} values, aliases written out", path, event.line)
        if top is None:
            root = value
        elif isinstance(top.value, dict):
            top.value[str(top.key)] = value
            top.key = None
        else:
            top.value.append(value)
        lines.setdefault(path, event.line)
        if event.kind in ("object", "list"):
            if len(stack) >= MAX_DEPTH:
                raise fail(f"is nested deeper than {MAX_DEPTH} levels", path, event.line)
            stack.append(_Open(value, path, count - 1, event.anchor))
        elif event.anchor is not None:
            anchors[event.anchor] = (value, size)
    return Document(name, root, lines)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _refuse_surrogates(text: str, fail: Any, path: Path, line: int) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise fail("holds half of a surrogate pair, which no UTF-8 file can", path, line)


# --- YAML -------------------------------------------------------------------------------------------------------------

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where there; only its events are used

# https://yaml.org/spec/1.2.2/#103-core-schema
_NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_MAYBE_NO_TEXT = re.compile(r"[-+.~0-9nNtTfF]|\Z")  # how everything below begins
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _yaml_events(name: str, text: str) -> Iterator[_Event]:
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise PlanError(f"holds the control character U+{ord(bad.group()):04X}", location=f"{name}:{line}")
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            mark = event.start_mark
            line = mark.line + 1 if mark else 1
            tag = getattr(event, "tag", None)
            problem = None if tag is None else f"tags are not allowed, found {tag!r}"
            if isinstance(event, yaml.ScalarEvent):
                try:
                    value = core_value(event.value) if event.implicit[0] else event.value
                except ValueError:  # Python refuses to read thousands of digits
                    value, problem = None, "is a number of too many digits"
                yield _Event("scalar", line, value, event.value, event.anchor, problem)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise PlanError("holds a second document after `---`: one a file", location=f"{name}:{line}")
            elif isinstance(event, yaml.MappingStartEvent):
                yield _Event("object", line, anchor=event.anchor, problem=problem)
            elif isinstance(event, yaml.SequenceStartEvent):
                yield _Event("list", line, anchor=event.anchor, problem=problem)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                yield _Event("end", line)
            elif isinstance(event, yaml.AliasEvent):
                yield _Event("alias", line, text=event.anchor)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        said = [getattr(exc, "context", None), getattr(exc, "problem", None)]
        message = ", ".join(text for text in said if text) or str(exc)
        line = mark.line + 1 if mark else 1
        raise PlanError(f"is not well-formed YAML: {message}", location=f"{name}:{line}") from exc


@lru_cache(maxsize=1000)  # plans say the same few words again and again
def core_value(text: str) -> Any:
    """What a plain scalar is in YAML 1.2's core schema."""
    if not _MAYBE_NO_TEXT.match(text):
        return text
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return int(text)
    if _OCTAL_OR_HEX.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if _NOT_FINITE.match(text):
        return math.nan
    return text


# --- JSON -------------------------------------------------------------------------------------------------------------

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')


def _json_events(name: str, text: str) -> Iterator[_Event]:
    """Steps through JSON. The standard library decides what is JSON; it tells no lines, so its pieces are walked."""
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        raise PlanError(f"is not well-formed JSON: {exc.msg}", location=f"{name}:{exc.lineno}") from exc
    except RecursionError as exc:
        raise PlanError(f"is nested deeper than {MAX_DEPTH} levels", location=f"{name}:1") from exc
    except ValueError as exc:  # Python refuses to read thousands of digits
        raise PlanError("holds a number of too many digits", location=f"{name}:1") from exc
    line = 1
    for piece in _PIECE.findall(text):
        if piece == "\n":
            line += 1
        elif piece == "{":
            yield _Event("object", line)
        elif piece == "[":
            yield _Event("list", line)
        elif piece in "}]":
            yield _Event("end", line)
        elif piece not in ",:":
            value = json.loads(piece)
            yield _Event("scalar", line, value, value if isinstance(value, str) else None)
