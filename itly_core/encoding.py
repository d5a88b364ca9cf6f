"""Python values to JSON: the coercion table, and the encoder for what needs no coercion.

`dumps` is the fast way and refuses everything unusual with TypeError; `coerce` then turns any value into plain JSON
types, one problem per thing it had to give up, and never the loss of a sibling.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson

from .errors import Violation

MAX_DEPTH = 100  # containers in containers; deeper values are given up, so that no reader downstream can be crashed
MAX_NODES = 100_000  # values in one call: shared references can otherwise spell gigabytes in a few lines

_SURROGATES = re.compile("[\ud800-\udfff]")
FLAGS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON of plain values.

    Raises:
        TypeError: a type, key, integer, surrogate or depth that needs `coerce` first.
    """
    return orjson.dumps(value, None, FLAGS)


def dumps_plain(value: Any) -> bytes:
    """Compact UTF-8 JSON of what `coerce` returned, including integers beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def text(value: object) -> str:
    """An id or a name as text; an Enum counts as its value."""
    if type(value) is str:
        return value
    return text(value.value) if isinstance(value, Enum) else str.__str__(str(value))


def coerce(value: Any) -> tuple[Any, list[Violation]]:
    """The value in plain JSON types (dict, list, str, int, float, bool, None), and what could not be kept.

    datetime, date, time -> ISO 8601 (aware ones in UTC with Z); Decimal -> number; UUID, path, lazy string -> str;
    Enum -> its value; set, tuple, sequence, dict view -> list; dataclass, mapping -> object with string keys; NaN and
    infinities -> null and a violation; lone surrogates -> U+FFFD; anything else -> null and a violation. A key without
    a text of its own, and the second of two keys of the same text, is left out with a violation.
    """
    run = _Coercion()
    return run.plain(value, ""), run.problems


class _Coercion:
    """One walk over one value: the problems so far, and the containers we are inside of."""

    def __init__(self) -> None:
        self.problems: list[Violation] = []
        self._open: set[int] = set()
        self._nodes = 0
        self._is_full = False

    def plain(self, value: Any, path: str) -> Any:
        self._nodes += 1
        kind = type(value)
        if kind is str:
            return _SURROGATES.sub("\ufffd", value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return self._integer(value, path)
        if kind is float:
            return self._number(value, path)
        if kind is dict:
            return self._object(value, path)
        if kind is list or kind is tuple:
            return self._array(value, path)
        try:
            return self._unusual(value, path)
        except Exception as exc:  # noqa: BLE001  # the value's own code ran: a lazy string, a property, an iterator
            return self._give_up(path, f"{kind.__name__} could not be read: {_said(exc)}", "unserialisable")

    def _unusual(self, value: Any, path: str) -> Any:
        if _is_lazy_text(value):
            return self.plain(str.__str__(str(value)), path)
        for known, convert in _CONVERSIONS:
            # isinstance() follows __class__, so a lazy proxy answers as what it stands for
            if isinstance(value, known):
                return convert(self, value, path)
        if is_dataclass(value) and not isinstance(value, type):
            return self._object({item.name: getattr(value, item.name) for item in fields(value)}, path, opened=value)
        return self._give_up(path, f"{type(value).__name__} has no JSON form", "unserialisable")

    def _integer(self, value: int, path: str) -> Any:
        try:
            float(value)  # what is beyond that, few readers of JSON can read
        except OverflowError:
            return self._give_up(path, "integer with too many digits", "unserialisable")
        return value

    def _number(self, value: float, path: str) -> Any:
        return value if math.isfinite(value) else self._give_up(path, f"{value} is not a finite number", "not_finite")

    def _object(self, value: Mapping[Any, Any], path: str, opened: Any = None) -> Any:
        def build() -> dict[str, Any]:
            found: dict[str, Any] = {}
            for key, item in self._while_there_is_room(list(value.items()), path):  # a list: others may change it
                name = self._key(key, path)
                if name is None:
                    continue
                below = f"{path}.{name}" if path else name
                if name in found:
                    self._give_up(below, "is the name of two keys", "unserialisable")
                else:
                    found[name] = self.plain(item, below)
            return found

        return self._inside(value if opened is None else opened, path, build)

    def _array(self, value: Any, path: str) -> Any:
        def build() -> list[Any]:
            items = enumerate(self._while_there_is_room(value, path))
            return [self.plain(item, f"{path}[{index}]") for index, item in items]

        return self._inside(value, path, build)

    def _while_there_is_room(self, items: Iterable[Any], path: str) -> Iterator[Any]:
        """The items, until there are more values than one call may have."""
        for item in items:
            if self._nodes >= MAX_NODES:
                if not self._is_full:
                    self._is_full = True
                    self._give_up(path, f"more than {MAX_NODES} values in one call", "unserialisable")
                return
            yield item

    def _inside(self, container: Any, path: str, build: Callable[[], Any]) -> Any:
        if id(container) in self._open:
            return self._give_up(path, "refers to itself", "unserialisable")
        if len(self._open) >= MAX_DEPTH:
            return self._give_up(path, f"nested deeper than {MAX_DEPTH}", "unserialisable")
        self._open.add(id(container))
        try:
            return build()
        except RecursionError:  # called from far down the stack
            return self._give_up(path, "nested too deeply to be read here", "unserialisable")
        finally:
            self._open.discard(id(container))

    def _key(self, key: Any, path: str) -> str | None:
        if type(key) is not str:
            try:
                key = _key_text(key)
            except Exception as exc:  # noqa: BLE001  # the key's own code ran
                self._give_up(path, f"has a key that could not be read: {_said(exc)}", "unserialisable")
                return None
        return _SURROGATES.sub("\ufffd", key)

    def _give_up(self, path: str, message: str, rule: str) -> None:
        self.problems.append(Violation(path, message, rule))


def _key_text(key: Any) -> str:
    """A key of another type than str as text, spelled as the same value would be."""
    if isinstance(key, Enum):
        return _key_text(key.value)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, datetime):
        return _iso(key)
    return key.isoformat() if isinstance(key, date | time) else str.__str__(str(key))


def _said(exc: BaseException) -> str:
    """The exception in words, unless even those raise."""
    try:
        return repr(exc)
    except Exception:  # noqa: BLE001  # the exception is the value's own
        return type(exc).__name__


def _iso(moment: datetime) -> str:
    if moment.tzinfo is None or moment.utcoffset() is None:
        return moment.replace(tzinfo=None).isoformat()
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"


def _decimal(run: _Coercion, value: Decimal, path: str) -> Any:
    if not value.is_finite():
        return run._number(float("nan") if value.is_nan() else value.__float__(), path)
    if value.adjusted() > 400:  # checked first: Decimal("1e999999") would be a million digits
        return run._give_up(path, "number with too many digits", "unserialisable")
    if value == value.to_integral_value() and value.as_tuple().exponent >= 0:  # type: ignore[operator]  # finite
        return run._integer(value.__int__(), path)
    return run._number(value.__float__(), path)


def _set(run: _Coercion, value: Set[Any], path: str) -> Any:
    try:
        return run._array(sorted(value), path)  # the same set, the same bytes
    except TypeError:
        return run._array(list(value), path)


def _is_lazy_text(value: Any) -> bool:
    """Whether it is a text that a framework looks up late: Django's gettext_lazy, Babel's LazyString. Known by name,
    since neither may be imported here."""
    return any(base.__name__ in ("Promise", "LazyString", "LazyProxy", "UserString") for base in type(value).__mro__)


def _refuse(run: _Coercion, value: Any, path: str) -> None:
    run._give_up(path, f"{type(value).__name__} has no JSON form", "unserialisable")


# Order matters: an Enum that is a str is an Enum, a datetime is a date, bytes and lazy texts may be Sequences. Methods
# are called by name because a lazy proxy (Django's SimpleLazyObject) has them as attributes only.
_CONVERSIONS: tuple[tuple[Any, Callable[[_Coercion, Any, str], Any]], ...] = (
    (Enum, lambda run, value, path: run.plain(value.value, path)),
    (str, lambda run, value, path: run.plain(str.__str__(str(value)), path)),
    (bool, lambda run, value, path: bool(value)),
    (int, lambda run, value, path: run._integer(value.__int__(), path)),
    (float, lambda run, value, path: run._number(value.__float__(), path)),
    (type(None), lambda run, value, path: None),
    (datetime, lambda run, value, path: _iso(value)),
    ((date, time), lambda run, value, path: value.isoformat()),
    (Decimal, _decimal),
    ((UUID, PurePath), lambda run, value, path: run.plain(str(value), path)),
    ((bytes, bytearray, memoryview), _refuse),
    (Mapping, lambda run, value, path: run._object(value, path)),
    (Set, _set),
    ((Sequence, ValuesView), lambda run, value, path: run._array(value, path)),
)


def one_line(text: str) -> str:
    """The text with line breaks, control characters and terminal escapes written out: one message stays one line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
