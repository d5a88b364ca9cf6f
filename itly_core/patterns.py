"""Regular expressions from plans: which ones could hang Python's backtracking matcher.

Used where no linear-time engine is installed, and by lint. The pattern becomes a graph of its characters; where one text
leads round a loop in two ways, every further round doubles the ways there are to fail.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

MANY = 8  # nested repetitions of up to so many rounds are written out, any more hurt like endless ones
ENDLESS = 2  # rounds an endless repetition counts for inside another
MAX_CHARACTERS = 300  # in the written-out pattern; what is larger is not analysed


def backtracks_catastrophically(pattern: str) -> bool:
    """Whether matching may take time exponential in the text.

    Errs on the side of True. Raises re.error for what is no regular expression.
    """
    graph = _Graph(_sre_parse(pattern))
    return graph.is_ambiguous or any(map(graph.has_two_ways_round, graph.loops()))


def _sre_parse(pattern: str) -> Any:
    name = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"
    return importlib.import_module(name).parse(pattern)


@dataclass(frozen=True)
class _Part:
    """A piece of the pattern.

    first, last: where its texts may begin and end. rounds: of the repetitions in it, multiplied where they are nested; 0
    where it can be read in one way only.
    """

    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    can_be_empty: bool = True
    rounds: int = 0


@dataclass
class _Graph:
    """The characters of a pattern, and which can follow which (Glushkov's automaton)."""

    parsed: Any
    labels: list[int] = field(default_factory=list)  # of each character: the samples it matches, a bit each
    follow: list[set[int]] = field(default_factory=list)
    is_ambiguous: bool = False

    def __post_init__(self) -> None:
        self._ignores_case = bool(self.parsed.state.flags & re.IGNORECASE)
        self._samples = [*range(0x250), *sorted(_codes(self.parsed))]
        self._sequence(self.parsed)

    def loops(self) -> Iterator[set[int]]:
        """The largest sets of characters that lead to one another."""
        reach = [self._reachable(start) for start in range(len(self.labels))]
        seen: set[int] = set()
        for start, ahead in enumerate(reach):
            if start in ahead and start not in seen:
                loop = {other for other in ahead if start in reach[other]}
                seen |= loop
                yield loop

    def has_two_ways_round(self, loop: set[int]) -> bool:
        """Whether one text can be read in two ways that part at a character of the loop and meet at one."""
        ahead: dict[tuple[int, int], set[tuple[int, int]]] = {}
        behind: dict[tuple[int, int], set[tuple[int, int]]] = {}
        todo = [(start, start) for start in loop]
        met = set(todo)
        while todo:
            pair = todo.pop()
            for one in self.follow[pair[0]] & loop:
                for other in self.follow[pair[1]] & loop:
                    if self.labels[one] & self.labels[other]:
                        ahead.setdefault(pair, set()).add((one, other))
                        behind.setdefault((one, other), set()).add(pair)
                        if (one, other) not in met:
                            met.add((one, other))
                            todo.append((one, other))
        # Back from where the two ways meet: is there a place on the way where they are apart?
        todo = [(end, end) for end in loop]
        seen = set(todo)
        while todo:
            for pair in behind.get(todo.pop(), ()):
                if pair[0] != pair[1]:
                    return True
                if pair not in seen:
                    seen.add(pair)
                    todo.append(pair)
        return False

    def _reachable(self, start: int) -> set[int]:
        found: set[int] = set()
        todo = [start]
        while todo:
            for after in self.follow[todo.pop()] - found:
                found.add(after)
                todo.append(after)
        return found

    def _sequence(self, items: Any) -> _Part:
        whole = _Part()
        for op, argument in items:
            whole = self._joined(whole, self._item(str(op), argument))
        return whole

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        return _Part(
            one.first | other.first if one.can_be_empty else one.first,
            one.last | other.last if other.can_be_empty else other.last,
            one.can_be_empty and other.can_be_empty,
            max(one.rounds, other.rounds),
        )

    def _item(self, op: str, argument: Any) -> _Part:
        if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeated(*argument)
        if op in ("SUBPATTERN", "ATOMIC_GROUP"):
            return self._sequence(argument[-1] if op == "SUBPATTERN" else argument)
        if op == "BRANCH":
            return self._either([self._sequence(branch) for branch in argument[1]])
        if op == "GROUPREF_EXISTS":
            return self._either([self._sequence(branch or ()) for branch in argument[1:]])
        if op in ("ASSERT", "ASSERT_NOT"):
            self._sequence(argument[1])  # read on its own, from the same place
        return self._character(op, argument)

    def _character(self, op: str, argument: Any) -> _Part:
        label = self._label(op, argument)
        if not label:
            return _Part()
        if len(self.labels) >= MAX_CHARACTERS:
            self.is_ambiguous = True
            return _Part()
        self.labels.append(label)
        self.follow.append(set())
        here = frozenset({len(self.labels) - 1})
        return _Part(here, here, can_be_empty=False)

    def _either(self, parts: list[_Part]) -> _Part:
        if sum(part.can_be_empty for part in parts) > 1:  # also what the parser makes of (a|a)
            self.is_ambiguous = True
        return _Part(
            frozenset().union(*(part.first for part in parts)),
            frozenset().union(*(part.last for part in parts)),
            any(part.can_be_empty for part in parts),
            max(1, *(part.rounds for part in parts)),
        )

    def _repeated(self, least: int, most: int, body: Any) -> _Part:
        least, most = int(least), int(most)
        before = len(self.labels)
        part = self._sequence(body)
        rounds = most * part.rounds if least == most else most * max(1, part.rounds)
        size = most * (len(self.labels) - before)
        if rounds > MANY or size > MAX_CHARACTERS // 3:
            if part.can_be_empty and least > MANY:  # each round may be had for nothing
                self.is_ambiguous = True
            self._link(part.last, part.first)
            return _Part(part.first, part.last, part.can_be_empty or least == 0, ENDLESS * max(1, part.rounds))
        whole = _Part()
        lasts: frozenset[int] = frozenset()
        for round_ in range(most):
            whole = self._joined(whole, part if round_ == 0 else self._sequence(body))
            if round_ + 1 >= least:
                lasts |= whole.last  # what it may end with; the next round follows this one only
        return _Part(whole.first, lasts, whole.can_be_empty or least == 0, rounds)

    def _link(self, lasts: Iterable[int], firsts: frozenset[int]) -> None:
        for last in lasts:
            if self.follow[last] & firsts:  # a second way from here to there; both are part of one loop
                self.is_ambiguous = True
            self.follow[last] |= firsts

    def _label(self, op: str, argument: Any) -> int:
        if op == "IN":
            negated = str(argument[0][0]) == "NEGATE"
            label = 0
            for member_op, member in argument[negated:]:
                label |= self._label(str(member_op), member)
            return ~label & ((1 << len(self._samples)) - 1) if negated else label
        tests: dict[str, Callable[[int], bool]] = {
            "LITERAL": lambda code: code == argument,
            "NOT_LITERAL": lambda code: code != argument,
            "ANY": lambda code: True,
            "RANGE": lambda code: argument[0] <= code <= argument[1],
            "CATEGORY": lambda code: _in_category(chr(code), str(argument)),
        }
        test = tests.get(op)
        if test is None:
            return 0
        label = _bits(map(test, self._samples))
        if self._ignores_case and op in ("LITERAL", "RANGE"):
            label |= _bits(test(_swapped(code)) for code in self._samples)
        return label


def _bits(answers: Iterable[bool]) -> int:
    return sum(1 << bit for bit, answer in enumerate(answers) if answer)


def _swapped(code: int) -> int:
    """The same letter in the other case."""
    swapped = chr(code).swapcase()
    return ord(swapped) if len(swapped) == 1 else code


def _codes(items: Any) -> set[int]:
    """The characters beyond the usual samples that a parsed pattern names."""
    found: set[int] = set()
    for item in items:
        if isinstance(item, int) and 0x250 <= item <= sys.maxunicode:
            found.add(item)
        elif isinstance(item, tuple | list) or hasattr(item, "data"):
            found |= _codes(item)
    return found


def _in_category(char: str, name: str) -> bool:
    kind = name.rsplit("_", 1)[-1]
    hit = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}.get(kind, True)
    return hit is not ("_NOT_" in name)
