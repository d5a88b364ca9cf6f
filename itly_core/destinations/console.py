"""The console: one line a call, for people. What development prints when no destination is configured."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import orjson

from ..call import Call
from ..encoding import one_line


@dataclass(frozen=True, kw_only=True)
class ConsoleOptions:
    """Prints calls. stream: where to; None: whatever is standard output at the time."""

    disabled: bool = False
    stream: TextIO | None = None

    def build(self, plan: Mapping[str, Any], environment: str) -> Console:
        return Console(self.stream)


@dataclass(frozen=True)
class Console:
    """A destination that prints."""

    stream: TextIO | None = None

    def send(self, calls: Sequence[Call]) -> None:
        stream = self.stream or sys.stdout
        text = "".join(f"{format_call(call)}\n" for call in calls)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))  # not every terminal speaks UTF-8
        stream.flush()

    def flush(self) -> None:
        """Nothing is kept back."""

    def shutdown(self) -> None:
        """The stream is not ours to close."""


def format_call(call: Call) -> str:
    """One line: `itly track "Process Started" user=u-1 {"cpu":4}`, and what breaks the plan.

    No value can break the line or move the terminal's cursor.
    """
    data = call.traits if call.kind in ("identify", "group") else call.properties
    parts = ["itly", call.kind, *_subject(call)]
    if call.user_id is not None:
        parts.append(f"user={_word(call.user_id)}")
    if call.anonymous_id is not None:
        parts.append(f"anonymous={_word(call.anonymous_id)}")
    if data:
        parts.append(one_line(orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS).decode()))
    if call.violations:
        parts.append("INVALID " + "; ".join(one_line(str(violation)) for violation in call.violations))
    return " ".join(parts)


def _subject(call: Call) -> list[str]:
    """What the call is about, by kind."""
    if call.kind == "group":
        return [f"{_word(call.group_type or 'group')}={_word(call.group_id or '')}"]
    if call.kind == "alias":
        return [f"previous={_word(call.previous_id or '')}"]
    return [_quoted(text) for text in (call.category, call.name) if text is not None]


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace('"', '\\"') + '"'


def _word(text: str) -> str:
    """An id as it is where it can be read as one word, else quoted."""
    plain = text.isprintable() and text and not any(mark in text for mark in ' "=\\')
    return text if plain else _quoted(text)
