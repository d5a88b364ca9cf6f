"""A plan is written by strangers: nothing of its text may become code.

Text reaches a generated file in two ways only, `literal` and `docstring`; names do as PythonName. `prove` then looks at
what came out. Changing any of these three has security implications (openapi-python-client CVE-2020-15141/15142 and
GHSA-5293-mq8x-g3xj are this bug).
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from .names import PythonName

T = TypeVar("T")

# Control, bidirectional, zero-width and tag characters, surrogates, non-characters: what a reader of the file would not
# see, or would see elsewhere than it is. Joiners stay, which scripts need. Spelled out, since Python versions know
# different Unicode tables.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def literal(value: str | int | bool) -> str:
    """The value as Python source, in ASCII; strings in double quotes where that needs no escape."""
    text = ascii(value)
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text


def lines_of(text: str) -> list[str]:
    """A plan's text as lines that show all they contain: stripped, without empty ones at either end."""
    lines = [" ".join(_INVISIBLE.sub("", line).split()) for line in _LINE_END.split(text)]
    return "\n".join(lines).strip("\n").split("\n") if any(lines) else []


def docstring(lines: list[str], indent: str) -> list[str]:
    """Lines of clean text as a docstring, indented by so much."""
    escaped = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in lines]
    if len(escaped) == 1 and not escaped[0].endswith('"'):
        return [f'{indent}"""{escaped[0]}"""']
    rest = [f"{indent}{line}" if line else "" for line in escaped[1:]]
    return [f'{indent}"""{escaped[0]}', *rest, f'{indent}"""']


def visible_json(text: str) -> str:
    """JSON with its invisible characters escaped."""
    return _INVISIBLE.sub(lambda match: _json_escape(match.group()), text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


# The forms we write, each with what is inside it; `ctx` only says whether a name is read or set.
_FORMS: dict[type[ast.AST], tuple[str, ...]] = {
    form: tuple(name for name in form._fields if name != "ctx")
    for form in (
        ast.Module, ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign, ast.Expr, ast.FunctionDef, ast.ClassDef,
        ast.arguments, ast.arg, ast.Attribute, ast.Call, ast.Dict, ast.List, ast.Tuple, ast.Subscript, ast.BinOp,
        ast.UnaryOp,
    )
} | dict.fromkeys((ast.alias, ast.Constant, ast.Name, ast.BitOr, ast.USub), ())  # fmt: skip
_CALLED = frozenset({"Package", "TypedDict", "_deprecated", "_given"})
_CALLED_METHODS = frozenset({"event", "identify", "group", "page"})
_NEUTRAL = "x"
_NEUTRAL_STRING = re.compile(r'""".*?"""|"[^"]*"', re.DOTALL)  # names and neutral texts need no escapes


class UnsafeCode(RuntimeError):
    """The generator wrote something it never writes. That is a bug, or an attack that this stopped."""


def prove(source: str, neutral: str) -> None:
    """That the source has only the few forms we write, and that it is the neutral one but for its strings.

    neutral: the same file, rendered with every text of the plan replaced. Python's own parser says where the strings of
    the source are; with those replaced as well the two must be equal, comments included.

    Raises:
        UnsafeCode: they are not.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as exc:
        raise UnsafeCode(f"generated code does not compile: {exc}") from exc
    strings = []
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        children = _FORMS.get(node.__class__)
        if children is None:
            raise UnsafeCode(f"generated code has a {type(node).__name__} at line {getattr(node, 'lineno', '?')}")
        for name in children:
            child = getattr(node, name)
            if isinstance(child, list):
                pending.extend(filter(None, child))  # an argument without default has None in their list
            elif isinstance(child, ast.AST):
                pending.append(child)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                strings.append(node)
        elif isinstance(node, ast.Call) and not _is_ours(node.func):
            raise UnsafeCode(f"generated code calls something else at line {node.lineno}")
    if _without(strings, source) != _NEUTRAL_STRING.sub(literal(_NEUTRAL), neutral):
        raise UnsafeCode("texts of the plan change the form of generated code")


def _is_ours(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in _CALLED
    return isinstance(called, ast.Attribute) and called.attr in _CALLED_METHODS


def _without(strings: list[ast.Constant], source: str) -> str:
    """The source with neutral strings for these."""
    lines = source.encode().split(b"\n")
    starts = list(itertools.accumulate((len(line) + 1 for line in lines), initial=0))
    data = b"\n".join(lines)
    spans = sorted(
        (starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0))
        for node in strings
    )
    kept, at = [], 0
    for start, end in spans:
        kept.append(data[at:start])
        at = end
    kept.append(data[at:])
    return literal(_NEUTRAL).encode().join(kept).decode()


def neutral(value: T) -> T:
    """The value with every text in it replaced. Safe names are another type than text, and stay."""
    return _neutral(value)  # type: ignore[no-any-return]


def _neutral(value: Any) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, PythonName) else _NEUTRAL
    if isinstance(value, tuple | list):
        return type(value)(map(_neutral, value))
    if value is None or isinstance(value, int | Enum):
        return value
    if isinstance(value, Mapping):
        return {_neutral(key): _neutral(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{name: _neutral(getattr(value, name)) for name in _field_names(type(value))})
    return value


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))
