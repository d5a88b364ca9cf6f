"""Regular expressions from plans: which ones could hang Python's backtracking matcher.

Used where no linear-time engine is installed, and by lint.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any


def backtracks_catastrophically(pattern: str) -> bool:
    """Whether matching may take time exponential in the text: a repetition inside a repetition with nothing certain
    between two rounds, or repeated alternatives that can start alike.

    Errs on the side of True. Raises re.error for what is no regular expression.
    """
    return any(_is_ambiguous(body) for body in _repeated_bodies(_sre_parse(pattern)))


def _sre_parse(pattern: str) -> Any:
    name = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"
    return importlib.import_module(name).parse(pattern)


_MANY = 20  # a bounded repetition of more rounds than this hurts like an unbounded one
_SAMPLE = [chr(code) for code in range(0x250)]  # enough of Unicode to tell two character classes apart


def _flat(items: Any) -> Iterator[tuple[str, Any]]:
    """The items of a parsed pattern with groups opened, as (name of the operation, its argument)."""
    for op, argument in items:
        if str(op) in ("SUBPATTERN", "ATOMIC_GROUP"):
            yield from _flat(argument[-1] if str(op) == "SUBPATTERN" else argument)
        else:
            yield str(op), argument


def _is_open(op: str, argument: Any) -> bool:
    return op in ("MAX_REPEAT", "MIN_REPEAT") and int(argument[1]) - int(argument[0]) > _MANY


def _repeated_bodies(items: Any) -> Iterator[list[tuple[str, Any]]]:
    for op, argument in _flat(items):
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            if _is_open(op, argument):
                yield list(_flat(argument[2]))
            yield from _repeated_bodies(argument[2])
        elif op == "BRANCH":
            for branch in argument[1]:
                yield from _repeated_bodies(branch)
        elif op in ("ASSERT", "ASSERT_NOT"):
            yield from _repeated_bodies(argument[1])


def _is_ambiguous(body: list[tuple[str, Any]]) -> bool:
    for position, (op, argument) in enumerate(body):
        others = body[:position] + body[position + 1 :]
        if op == "BRANCH":
            starts = [_characters(list(_flat(branch))[:1]) for branch in argument[1]]
            if any(not start or start & later for i, start in enumerate(starts) for later in starts[i + 1 :]):
                return True
            if any(_is_ambiguous([*_flat(branch), *others]) for branch in argument[1]):
                return True
        elif _is_open(op, argument):
            repeated = _characters(list(_flat(argument[2])))
            if not any(_is_certain(item) and not _characters([item]) & repeated for item in others):
                return True
    return False


def _is_certain(item: tuple[str, Any]) -> bool:
    return item[0] in ("LITERAL", "NOT_LITERAL", "IN", "ANY")


def _characters(items: list[tuple[str, Any]]) -> frozenset[str]:
    """The sample characters that any of the items can match."""
    found: set[str] = set()
    for op, argument in items:
        if op == "LITERAL":
            found.add(chr(argument))
        elif op in ("MAX_REPEAT", "MIN_REPEAT"):
            found |= _characters(list(_flat(argument[2])))
        elif op == "BRANCH":
            for branch in argument[1]:
                found |= _characters(list(_flat(branch)))
        elif op == "IN":
            found |= {char for char in _SAMPLE if _in_class(char, argument)}
        elif op == "NOT_LITERAL":
            found |= set(_SAMPLE) - {chr(argument)}
        elif op == "ANY":
            found |= set(_SAMPLE)
    return frozenset(found)


def _in_class(char: str, members: Any) -> bool:
    names = [(str(op), argument) for op, argument in members]
    is_negated = bool(names) and names[0][0] == "NEGATE"
    hit = any(
        (op == "LITERAL" and argument == ord(char))
        or (op == "RANGE" and argument[0] <= ord(char) <= argument[1])
        or (op == "CATEGORY" and _in_category(char, str(argument)))
        for op, argument in names
    )
    return hit is not is_negated


def _in_category(char: str, name: str) -> bool:
    kind = name.rsplit("_", 1)[-1]
    hit = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}.get(kind, True)
    return hit is not ("_NOT_" in name)
