"""What is wrong with the arguments of a call, as far as they are written in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...errors import PlanError, Violation
from ...plan import Section
from ...suggest import unknown
from ...validation import compile_schema, path_text

Problem = tuple[ast.AST, str]  # where, and what

_JUDGE_THE_WHOLE = frozenset(
    {
        "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "const", "enum", "uniqueItems", "contains", "dependencies",
        "dependentSchemas", "dependentRequired", "propertyNames", "minContains", "maxContains",
    }
)  # fmt: skip
_BRANCHES = ("allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependencies", "$ref", "$dynamicRef")
UNREAD = "\0 what the code gives here"


@dataclass(frozen=True)
class Callee:
    """A function or class of the package.

    title: as users write it. section: what the plan says of it. arguments: argument -> wire name. takes: what may be given
    by position. own: what else it takes by name, that is no property.
    """

    title: str
    section: Section
    arguments: Mapping[str, str]
    takes: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()

    def problems(self, call: ast.Call) -> Iterator[Problem]:
        """What is wrong with a call of it."""
        is_spread = any(isinstance(argument, ast.Starred) for argument in call.args)
        if not is_spread and len(call.args) > len(self.takes):
            allowed = (
                f"only {' and '.join(self.takes)} may be given without a name" if self.takes else "give each by name"
            )
            yield call.args[len(self.takes)], f"{self.title} takes {len(self.takes)} arguments by position: {allowed}"
        given: dict[str, ast.expr] = {}
        for keyword in call.keywords:
            if keyword.arg is not None and keyword.arg not in {*self.takes, *self.own}:
                given[self.arguments.get(keyword.arg, keyword.arg)] = keyword.value
        yield from self.wrong(call, given, is_whole=all(keyword.arg is not None for keyword in call.keywords))

    def wrong(self, call: ast.AST, given: Mapping[str, ast.expr], *, is_whole: bool) -> Iterator[Problem]:
        """What is wrong with properties, by wire name. is_whole: there can be no others."""
        written = _Written()
        values = {name: written.value(node, (name,)) for name, node in given.items()}
        filled = self.section.user_id_property
        if filled is not None and filled not in values:
            values[filled] = written.unread((filled,))
        sent = self.section.properties(values)
        if is_whole:
            yield from ((call, self._is_missing(name, name in values)) for name in self._required() if name not in sent)
        said: set[tuple[str, str]] = set()
        for name, node in given.items():
            if name in sent and self._is_unplanned(name):
                yield node, f"{self.title} has no {self._spelled(name)!r} in the plan; {unknown(name, self.arguments)}"
            elif name in sent and name not in self.section.constants:
                for violation in self._violations(name, sent[name], written):
                    said.add((violation.path, violation.rule))
                    path = violation.path.replace(name, self._spelled(name), 1)
                    yield node, f"{self.title}: {path} {violation.message}"
        if is_whole and not written.unread_paths and self._is_judged_as_a_whole:
            said |= {
                (name, rule) for name in (*given, *self._required()) for rule in ("required", "additionalProperties")
            }
            for violation in self.section.check.violations(sent):
                if (violation.path, violation.rule) not in said:
                    yield call, f"{self.title}: {violation.path} {violation.message}".replace(":  ", ": ")

    def _required(self) -> list[str]:
        required = self.section.schema.get("required")
        return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []

    def _is_missing(self, name: str, was_given: bool) -> str:
        spelled = self._spelled(name)
        if was_given:
            return f"{self.title} needs {spelled!r}, and None is not allowed there"
        return f"{self.title} needs {spelled!r}, which is not given"

    def _spelled(self, wire: str) -> str:
        return next((argument for argument, name in self.arguments.items() if name == wire), wire)

    @cached_property
    def _is_judged_as_a_whole(self) -> bool:
        return any(keyword in self.section.schema for keyword in _BRANCHES)

    def _is_unplanned(self, name: str) -> bool:
        schema = self.section.schema
        is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
        return is_closed and name not in (schema.get("properties") or {}) and name not in self.section.constants

    def _violations(self, name: str, value: Any, written: _Written) -> Iterator[Violation]:
        """What is wrong with one property by itself: what is unread elsewhere in the call says nothing about it."""
        root = self.section.schema
        others = None if "patternProperties" in root else root.get("additionalProperties")
        schema = (root.get("properties") or {}).get(name, others)
        if not isinstance(schema, dict):
            return
        unread = [path for path in written.unread_paths if path[0] == name]
        if unread and any(keyword in part for part in _parts(schema) for keyword in _BRANCHES[:-2]):
            return
        shared = {key: root[key] for key in ("$schema", "$defs", "definitions") if key in root}
        wrapped = {"type": "object", "properties": {name: schema}, **shared}
        try:
            check = compile_schema(wrapped, formats=self.section.formats)
        except PlanError:  # it refers to another place of the section's schema
            return
        for violation in check.violations({name: value}):
            if not any(_is_about(violation, path_text(path)) for path in unread):
                yield violation


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for below in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _parts(below)


def _is_about(violation: Violation, unread: str) -> bool:
    """Whether what is unread may be why something is wrong."""
    path = violation.path
    if path == unread or path.startswith((f"{unread}.", f"{unread}[")):
        return True
    return unread.startswith((f"{path}.", f"{path}[")) and violation.rule in _JUDGE_THE_WHOLE


@dataclass
class _Written:
    """Reads the values that are written in code. unread_paths: where something else stands."""

    unread_paths: list[tuple[str | int, ...]] = field(default_factory=list)

    def unread(self, path: tuple[str | int, ...]) -> str:
        self.unread_paths.append(path)
        return UNREAD

    def value(self, node: ast.expr, path: tuple[str | int, ...]) -> Any:
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            return -number if isinstance(number, int | float) else self.unread(path)
        if isinstance(node, ast.List | ast.Tuple) and not any(isinstance(one, ast.Starred) for one in node.elts):
            return [self.value(element, (*path, index)) for index, element in enumerate(node.elts)]
        if isinstance(node, ast.Dict):
            return self._object(node, path)
        return self.unread(path)

    def _object(self, node: ast.Dict, path: tuple[str | int, ...]) -> Any:
        read: dict[str, Any] = {}
        for key, below in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                return self.unread(path)
            read[key.value] = self.value(below, (*path, key.value))
        return read
