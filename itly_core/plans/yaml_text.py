"""YAML as `itly fmt` and `itly convert` write it: one style, comments kept. Nothing here knows what a plan means.

A text is read into nodes that remember their comments, reordered by whoever knows the meaning, and written anew. Objects
whose comments allow it stand on one line where `is_open` says so and the line holds them.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from .syntax import core_value

WIDTH = 110
INDENT = "  "

Path = tuple[str | int, ...]


@dataclass
class Node:
    """A value and the comments around it, or an alias.

    before: comments on lines of their own above it. beside: the one at the end of its first line. after: those below it
    that are indented as it is, at the end of a block. has_gap: an empty line is above. value: of a scalar, or an alias's name.
    """

    kind: Literal["scalar", "object", "list", "alias"]
    value: Any = None
    entries: list[tuple[str, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    anchor: str | None = None
    before: list[str] = field(default_factory=list)
    beside: str = ""
    after: list[str] = field(default_factory=list)
    has_gap: bool = False
    line: int = -1
    column: int = -1
    last_line: int = -1
    top: int = -1

    @property
    def children(self) -> list[Node]:
        return [child for _, child in self.entries] if self.kind == "object" else self.items

    def has_comments(self) -> bool:
        """Whether there is one inside it."""
        return any(child.before or child.beside or child.after or child.has_comments() for child in self.children)

    def has_anchors(self) -> bool:
        return self.kind == "alias" or self.anchor is not None or any(child.has_anchors() for child in self.children)


@dataclass
class Text:
    """A whole text. head, tail: comments before and after everything."""

    root: Node
    head: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)


def of_value(value: Any) -> Node:
    """A value as a node without comments."""
    if isinstance(value, dict):
        return Node("object", entries=[(key, of_value(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return Node("list", items=[of_value(item) for item in value])
    return Node("scalar", value)


# --- reading ----------------------------------------------------------------------------------------------------------


def parse(text: str) -> Text:
    """A text that `syntax.read` has accepted, with its comments."""
    spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
    nodes: list[Node] = []  # every entry and item, as they come
    root = _node(_Events(yaml.parse(text, Loader=yaml.SafeLoader), spans), nodes)
    lines = text.split("\n")
    tail = _attach(_comments(lines, spans), nodes)
    for node in nodes:
        begins_line = not lines[node.line][: node.column].strip(" -")
        node.has_gap = begins_line and node.top > 0 and not lines[node.top - 1].strip()
    head: list[str] = []
    if root.children:  # what stands above everything stays there, whatever comes first
        head, root.children[0].before = root.children[0].before, []
    return Text(root, head, tail)


class _Events:
    """Events of the one document, with the places of scalars noted."""

    def __init__(self, events: Iterator[Any], spans: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
        self._events = events
        self._spans = spans

    def next(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.ScalarEvent):
                start, end = event.start_mark, event.end_mark
                assert start is not None
                assert end is not None
                self._spans.append(((start.line, start.column), (end.line, end.column)))
            if not isinstance(
                event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentStartEvent | yaml.DocumentEndEvent
            ):
                return event
        return None


def _node(events: _Events, nodes: list[Node], event: Any = None) -> Node:
    event = event if event is not None else events.next()
    if event is None:
        return Node("scalar")
    if isinstance(event, yaml.AliasEvent):
        return Node("alias", event.anchor, last_line=_last(event))
    if isinstance(event, yaml.ScalarEvent):
        value = core_value(event.value) if event.implicit[0] else event.value
        return Node("scalar", value, anchor=event.anchor, last_line=_last(event))
    node = Node("object" if isinstance(event, yaml.MappingStartEvent) else "list", anchor=event.anchor)
    while not isinstance(first := events.next(), yaml.MappingEndEvent | yaml.SequenceEndEvent):
        assert first is not None
        if node.kind == "object":
            place = len(nodes)
            nodes.append(node)  # the key comes before what is inside its value
            child = _node(events, nodes)
            nodes[place] = child
            node.entries.append((first.value, child))
        else:
            place = len(nodes)
            nodes.append(node)
            child = _node(events, nodes, first)
            nodes[place] = child
            node.items.append(child)
        child.line, child.column = first.start_mark.line, first.start_mark.column
        child.top = child.line
    node.last_line = _last(first)
    return node


def _last(event: Any) -> int:
    return int(event.end_mark.line)


def _comments(
    lines: Sequence[str], spans: Sequence[tuple[tuple[int, int], tuple[int, int]]]
) -> Iterator[tuple[int, int, bool, str]]:
    """Each comment: line, column, whether nothing else is on its line, and its text."""
    position = 0
    for number, line in enumerate(lines):
        for found in re.finditer(r"(?:(?<=[ \t])|(?<=^))#", line):
            at = (number, found.start())
            while position < len(spans) and spans[position][1] <= at:
                position += 1
            inside = position < len(spans) and spans[position][0] <= at
            if not inside:
                yield number, at[1], not line[: at[1]].strip(" \t-"), line[at[1] :].rstrip()
                break


def _attach(comments: Iterator[tuple[int, int, bool, str]], nodes: Sequence[Node]) -> list[str]:
    """Give each comment to the node it is about; what is left comes after everything."""
    tail: list[str] = []
    following = 0
    for line, column, alone, text in comments:
        while following < len(nodes) and (nodes[following].line, nodes[following].column) < (line, column):
            following += 1
        earlier = nodes[following - 1] if following else None
        later = nodes[following] if following < len(nodes) else None
        if not alone and earlier is not None:
            whole = (node for node in nodes[:following] if node.line == line == node.last_line)
            about = next(whole, earlier)  # the outermost that the comment comes after
            about.beside = f"{about.beside} {text}".strip()
        elif (ended := _ended(nodes[:following], column, -1 if later is None else later.column)) is not None:
            ended.after.append(text)
        elif later is not None:
            later.before.append(text)
            later.top = min(later.top, line)
        else:
            tail.append(text)
    return tail


def _ended(nodes: Sequence[Node], column: int, outer: int) -> Node | None:
    """The last node of the block that a comment at this column ends; None where it belongs to what comes next, which
    stands at the column `outer`."""
    inside = []
    for node in reversed(nodes):
        if node.column <= outer:
            break
        inside.append(node)
    deepest = max((node.column for node in inside if 0 < node.column <= column), default=None)
    return next((node for node in inside if node.column == deepest), None)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(text: Text, is_open: Callable[[Path], bool]) -> str:
    """The text in the one style.

    is_open: whether the object or list at a path has a line for each of its entries, even where one line held them.
    """
    lines = list(_block(text.root, "", (), is_open)) if _is_block(text.root, (), is_open, 0) else [_inline(text.root)]
    return "\n".join([*text.head, *lines, *text.tail]) + "\n"


def _is_block(node: Node, path: Path, is_open: Callable[[Path], bool], taken: int) -> bool:
    """Whether a value takes lines of its own. taken: the characters that stand before it on its line."""
    if not node.children:
        return False
    return (
        is_open(path) or node.has_comments() or _holds_block(node, path, is_open) or taken + len(_inline(node)) > WIDTH
    )


def _holds_block(node: Node, path: Path, is_open: Callable[[Path], bool]) -> bool:
    pairs: list[tuple[str | int, Node]] = list(node.entries) if node.kind == "object" else list(enumerate(node.items))
    return any(
        (child.kind == "scalar" and isinstance(child.value, str) and _is_literal(child.value))
        or (bool(child.children) and (is_open((*path, key)) or _holds_block(child, (*path, key), is_open)))
        for key, child in pairs
    )


def _block(node: Node, indent: str, path: Path, is_open: Callable[[Path], bool]) -> Iterator[str]:
    """The lines of an object or list that has a line for each of its entries."""
    pairs: list[tuple[str | int, Node]] = list(node.entries) if node.kind == "object" else list(enumerate(node.items))
    for (_, one), (_, following) in itertools.pairwise(pairs):  # what ended a block may no longer come last in it
        following.before[:0] = one.after
        one.after = []
    for number, (key, child) in enumerate(pairs):
        below = (*path, key)
        if child.has_gap and number:
            yield ""
        yield from (f"{indent}{comment}" for comment in child.before)
        head = indent + (f"{scalar(str(key))}:" if node.kind == "object" else "-")
        anchor = f" &{child.anchor}" if child.anchor else ""
        beside = f"  {child.beside}" if child.beside else ""
        if child.kind == "scalar" and isinstance(child.value, str) and _is_literal(child.value):
            keep = "" if child.value.endswith("\n") else "-"
            yield f"{head}{anchor} |{keep}{beside}"
            yield from (
                f"{indent}{INDENT}{line}" if line else "" for line in child.value.removesuffix("\n").split("\n")
            )
        elif _is_block(child, below, is_open, len(head) + 1):
            inner = list(_block(child, indent + INDENT, below, is_open))
            if node.kind == "list" and not anchor and not beside and not inner[0].lstrip().startswith("#"):
                yield f"{head} {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield f"{head}{anchor}{beside}"
                yield from inner
        else:
            yield f"{head}{anchor} {_inline(child, is_flow=bool(child.children), with_anchor=False)}{beside}".rstrip()
        yield from (f"{indent}{comment}" for comment in child.after)


def _inline(node: Node, is_flow: bool = True, with_anchor: bool = True) -> str:
    anchor = f"&{node.anchor} " if node.anchor and with_anchor else ""
    if node.kind == "alias":
        return f"*{node.value} "  # a colon or comma right after it would be taken for a part of the name
    if node.kind == "object":
        return (
            anchor
            + "{"
            + ", ".join(f"{scalar(key, is_flow=True)}: {_inline(child)}" for key, child in node.entries)
            + "}"
        )
    if node.kind == "list":
        return anchor + "[" + ", ".join(_inline(item) for item in node.items) + "]"
    return anchor + scalar(node.value, is_flow=is_flow)


# Texts that another reader, one of YAML 1.1, would not take for text.
_DOUBTFUL = re.compile(
    r"(?:y|n|yes|no|on|off|true|false|null|~)\Z|[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?\Z|0[box][0-9a-f_]+\Z", re.I
)
_PLAIN_FLOW = re.compile(r"[\w$/(][\w $/()+;=<>.'^~@-]*\Z")
_PLAIN = re.compile(r"[\w$/(](?:[\w $/()+;=<>.'^~@,\[\]{}?!&*|%-]|:(?=[\w/]))*\Z")
_UNSAFE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def scalar(value: Any, is_flow: bool = False) -> str:
    """A scalar on one line, in quotes only where it must be."""
    if not isinstance(value, str):
        assert not (isinstance(value, float) and not math.isfinite(value))
        return json.dumps(value)
    plain = (_PLAIN_FLOW if is_flow else _PLAIN).match(value)
    if (
        plain
        and value == value.strip()
        and isinstance(core_value(value), str)
        and not _DOUBTFUL.match(value)
        and not _UNSAFE.search(value)
    ):
        return value
    quoted = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
    return _UNSAFE.sub(_escaped, quoted)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _is_literal(value: str) -> bool:
    """Whether a text reads best over several lines, and can stand so: nothing in it but lines that begin with no space."""
    body = value.removesuffix("\n")
    return (
        "\n" in body
        and not _UNSAFE.search(value)
        and "\t" not in value
        and not value.startswith(("\n", " "))
        and not body.endswith("\n")
        and all(line == line.rstrip() for line in body.split("\n"))
    )
