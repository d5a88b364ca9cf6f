"""From a mapping of settings to options: what settings of Django and Flask and tables of pyproject.toml have in common.

Keys, types and defaults are those of the dataclasses' fields: a new option needs no line here. Everything that is wrong
is found in one go. A message names the key as it was written, what it got, and what would be right; it never quotes the
value of a field that its dataclass hides from `repr`, which is how a secret is marked.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
import os
import reprlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from . import suggest
from .errors import ConfigError
from .options import Options

Spell = Callable[[str], str]  # "FLUSH" -> how this user wrote it


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. key: the setting's name as written; kind: which check reports it."""

    kind: Literal["mapping", "unknown", "value"]
    key: str
    message: str


def read_options(given: Mapping[str, Any], *, spell: Spell = str) -> Options:
    """Options of a mapping whose keys are the names of their fields.

    Raises:
        ConfigError: it names everything that is wrong; `key` is the first.
    """
    parser = Parser()
    known = {item.name: item for item in settable(Options)}
    share: dict[str, Any] = {}
    for key, value in given.items():
        if key in known:
            parser.keep(share, known[key], Options, value, spell(key))
        else:
            parser.unknown(key, known, spell(key))
    options = parser.make(Options, share, {name: spell(name) for name in known})
    if not parser.problems and not options.disabled:
        parser.problems.extend(unbuildable(options, spell("destinations")))
    raise_problems(parser.problems)
    return options


def raise_problems(problems: Sequence[Problem]) -> None:
    """
    Raises:
        ConfigError: there are problems; it names them all.
    """
    if problems:
        raise ConfigError("\n".join(problem.message for problem in problems), key=problems[0].key)


class PythonLogger:
    """The standard library's logging as the library's logger."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str) -> None:
        self._logger.debug("%s", message)

    def info(self, message: str) -> None:
        self._logger.info("%s", message)

    def warn(self, message: str) -> None:
        self._logger.warning("%s", message)

    def error(self, message: str) -> None:
        self._logger.error("%s", message)


# Reading


class _Wrong(Exception):
    """Its text goes on after the key: "must be ..."."""


BAD: Any = object()
_T = TypeVar("_T")


class Parser:
    """Collects problems while it converts; `BAD` stands for a value that is one."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, key: str, message: str) -> None:
        self.problems.append(Problem(kind="value", key=key, message=f"{key} {message}"))

    def unknown(self, name: str, known: Iterable[str], key: str) -> None:
        """Names the nearest known one."""
        message = f"{key} is not a setting; {suggest.unknown(name, known)}"
        self.problems.append(Problem(kind="unknown", key=key, message=message))

    def keep(self, share: dict[str, Any], item: Field[Any], owner: type, value: Any, key: str) -> None:
        """Convert one field's value into `share`."""
        kind = hints(owner)[item.name]
        nested = dataclass_in(kind)
        if nested is not None and value is not None:
            found = self.nested(nested, value, key)
        else:
            try:
                found = _convert(value, kind)
            except _Wrong as exc:
                got = f" of type {type(value).__name__}" if not item.repr else f" {_short_repr(value)}"
                self.wrong(key, f"{exc}, got{' a value' if not item.repr else ''}{got}")
                found = BAD
        share[item.name] = found

    def nested(self, kind: type[_T], value: Any, key: str) -> _T:
        """The dataclass of a mapping. Keys in either case: `MODE` and `mode`."""
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):  # not quoted: a key written in place of {"api_key": key} is a secret
            self.wrong(key, f"must be a dict of options, got {type_text(value)}")
            return BAD  # type: ignore[no-any-return]  # the mark
        by_name = {item.name: item for item in settable(kind)}
        share: dict[str, Any] = {}
        keys: dict[str, str] = {}
        for name, inner in value.items():
            written = f"{key}[{name!r}]"
            item = by_name.get(name.lower()) if isinstance(name, str) else None
            if item is None:
                cased = str.upper if any(str(other).isupper() for other in value) else str
                self.unknown(str(name), [cased(known) for known in by_name], written)
            elif item.name in share:
                self.wrong(written, f"is given twice, the other time as {keys[item.name]}")
            else:
                keys[item.name] = written
                self.keep(share, item, kind, inner, written)
        return self.make(kind, share, {name: keys.get(name, f"{key}[{name!r}]") for name in by_name})

    def make(self, kind: type[_T], share: dict[str, Any], keys: Mapping[str, str]) -> _T:
        """The dataclass, after its own checks, each of which is asked even where another field is wrong already."""
        is_bad = any(value is BAD for value in share.values())
        good = {name: value for name, value in share.items() if value is not BAD}
        for item in settable(kind):
            if item.name not in share and item.default is MISSING and item.default_factory is MISSING:
                self.wrong(keys[item.name], "is missing")
                is_bad = True
        while True:
            try:
                made = kind(**good)
            except ConfigError as exc:
                text = str(exc)
                name = exc.key
                self.wrong(keys.get(name, name), text[len(name) :].lstrip() if name and text.startswith(name) else text)
                is_bad = True
                if name not in good:
                    return BAD  # type: ignore[no-any-return]
                del good[name]
            except TypeError:  # a required one is wrong or missing, and said so
                return BAD  # type: ignore[no-any-return]
            else:
                return BAD if is_bad else made


def unbuildable(options: Options, written: str) -> Iterator[Problem]:
    """Destinations that lack something in this environment: an empty key, a mapping without it."""
    for name, chosen in options.destinations.enabled().items():
        try:
            chosen.build({}, options.environment.value)
        except ConfigError as exc:
            key = f"{written}[{name!r}][{exc.key!r}]"
            yield Problem(kind="value", key=key, message=f"{key} {str(exc).removeprefix(exc.key).lstrip()}")


# Types


@cache
def hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)


def settable(owner: type) -> tuple[Field[Any], ...]:
    return tuple(item for item in fields(owner) if item.init)


def dataclass_in(kind: Any) -> type[Any] | None:
    """The dataclass of `D` and of `D | None`."""
    found = [arm for arm in arms_of(kind) if inspect.isclass(arm) and is_dataclass(arm)]
    return found[0] if found else None


def arms_of(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _convert(value: Any, kind: Any) -> Any:
    """A value as its field's type has it. Text stands for numbers and booleans where it can mean nothing else, because
    environment variables are text.

    Raises:
        _Wrong: it does not fit.
    """
    arms = arms_of(kind)
    if len(arms) > 1:
        return _convert_union(value, arms)
    origin = get_origin(kind) or kind
    if origin in CONVERTERS:
        return CONVERTERS[origin](value)
    if origin is Literal:
        return _one_of(value, get_args(kind), get_args(kind))
    if inspect.isclass(origin) and issubclass(origin, Enum):
        return origin(_one_of(value, [item.value for item in origin], [*origin, *(item.value for item in origin)]))
    if origin in (tuple, frozenset, list):
        return origin(_several(value, get_args(kind)[0]))
    if origin is os.PathLike:
        if isinstance(value, os.PathLike):
            return value
        raise _Wrong("must be a path")
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise _Wrong("must be a dict with names as keys")
        inside = get_args(kind)[1]
        return dict(value) if inside is Any else {name: _convert(inner, inside) for name, inner in value.items()}
    return _object(value, origin)


def _convert_union(value: Any, arms: tuple[Any, ...]) -> Any:
    if value is None and type(None) in arms:
        return None
    reasons = []
    for arm in arms:
        if arm is type(None):
            continue
        try:
            return _convert(value, arm)
        except _Wrong as exc:
            reasons.append(str(exc))
    raise _Wrong(" or ".join([reasons[0], *(reason.removeprefix("must be ") for reason in reasons[1:])]))


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    if text in ("true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off"):
        return False
    raise _Wrong("must be True or False")


def _int(value: Any) -> int:
    number = _number(value, "must be a whole number")
    if not float(number).is_integer():
        raise _Wrong("must be a whole number")
    return int(number)


def _float(value: Any) -> float:
    return _number(value, "must be a number")


def _number(value: Any, wanted: str) -> float:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                raise _Wrong(wanted) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Wrong(wanted)
    return value


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):  # a key of digits, read from the environment as a number
        return str(value)
    raise _Wrong("must be a string")


def _none(value: Any) -> None:
    if value is not None:
        raise _Wrong("must be None")


CONVERTERS: dict[Any, Callable[[Any], Any]] = {bool: _bool, int: _int, float: _float, str: _str, type(None): _none}


def _one_of(value: Any, shown: Iterable[Any], allowed: Iterable[Any]) -> Any:
    for item in allowed:
        if type(item) is type(value) and item == value:
            return item
    raise _Wrong(f"must be {'one of ' if len(names := list(shown)) > 1 else ''}{', '.join(map(repr, names))}")


def _several(value: Any, kind: Any) -> list[Any]:
    """A list; text is taken as comma-separated, since a bare string is never meant letter by letter."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple | set | frozenset):
        raise _Wrong("must be a list")
    found = []
    for item in value:
        try:
            found.append(_convert(item, kind))
        except _Wrong as exc:
            raise _Wrong(f"holds {_short_repr(item)}, and each item {exc}") from exc
    return found


def _object(value: Any, kind: Any) -> Any:
    """An object, or a dotted path to it."""
    if isinstance(value, str):
        value = import_path(value)
        if inspect.isclass(value):
            try:
                value = value()
            except Exception as exc:  # the user's own constructor
                raise _Wrong(f"names a class that cannot be made: {type(exc).__name__}: {exc}") from exc
    if kind is Callable and not callable(value):
        raise _Wrong("must be a callable or a dotted path to one")
    if getattr(kind, "_is_protocol", False):
        if isinstance(value, logging.Logger):
            return PythonLogger(value)
        missing = [name for name in _methods(kind) if not callable(getattr(value, name, None))]
        if missing:
            raise _Wrong(f"must be an object with {', '.join(f'{name}()' for name in _methods(kind))}")
    return value


def _methods(protocol: type) -> list[str]:
    return [name for name, member in vars(protocol).items() if inspect.isfunction(member) and not name.startswith("_")]


def import_path(path: str) -> Any:
    """What `package.module.name` names; `package.module:name` says where the module ends.

    Raises:
        _Wrong: it cannot be imported; the cause is kept.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise _Wrong("must be an object or a dotted path to one")
    try:
        found: Any = importlib.import_module(module)
    except Exception as exc:  # whatever the user's module does
        raise _Wrong(f"cannot be imported: {type(exc).__name__}: {exc}") from exc
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as exc:
            near = get_close_matches(part, dir(found), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise _Wrong(f"cannot be imported: {module} has no {part!r}{hint}") from exc
    return found


# Words


def type_text(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _short_repr(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001  # the user's own __repr__
        return f"a value of type {type(value).__name__}"
