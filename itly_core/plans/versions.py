"""How far a version must be raised for what changed, and whether it was: semantic versions, and Snowplow's SchemaVer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

_SEMANTIC = re.compile(r"(?P<prefix>v?)(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?\Z")
_SCHEMAVER = re.compile(r"(?P<prefix>)(\d{1,9})-(\d{1,9})-(\d{1,9})\Z")


class Bump(IntEnum):
    """Which number of a version a change asks for."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


class SchemaVer(IntEnum):
    """Which number of a SchemaVer a change asks for: whether old data still is valid (all, some, none)."""

    NONE = 0
    ADDITION = 1
    REVISION = 2
    MODEL = 3

    @property
    def word(self) -> str:
        return self.name.lower() if self else ""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the changes ask of one version.

    event: whose it is; empty for the plan's. suggested: the least that is enough; empty where the old version is of no
    form that can be raised. is_enough: whether the new one is; None where that cannot be told.
    """

    event: str
    old: str
    new: str
    bump: Bump
    suggested: str = ""
    is_enough: bool | None = None


def advice(
    event: str,
    old: str,
    new: str,
    bump: Bump,
    schemaver: SchemaVer = SchemaVer.NONE,
    *,
    has_dots: bool = False,
) -> Advice:
    """has_dots: a version with dots is a SchemaVer too, which its registry spells with dashes."""
    with_dots = int(schemaver if has_dots else bump)
    for form, dot, step in ((_SEMANTIC, ".", with_dots), (_SCHEMAVER, "-", int(schemaver))):
        was, now = form.match(old), form.match(new)
        if was is None:
            continue
        least = _raised(_numbers(was), step)
        suggested = was["prefix"] + dot.join(map(str, least))
        is_enough = _numbers(now) >= least if now is not None else None
        return Advice(event=event, old=old, new=new, bump=bump, suggested=suggested, is_enough=is_enough)
    return Advice(event=event, old=old, new=new, bump=bump)


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(number) for number in match.groups()[1:])


def _raised(numbers: tuple[int, ...], step: int) -> tuple[int, ...]:
    if step == 0:
        return numbers
    at = 3 - step
    return (*numbers[:at], numbers[at] + 1, *(0 for _ in numbers[at + 1 :]))
