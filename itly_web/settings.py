"""From a mapping of settings, as Django and Flask keep them, to the options of the core and of the web parts.

Keys, types and defaults are those of the dataclasses' fields: a new option needs no line here. Everything that is wrong
is found in one go. A message names the key as it was written, what it got, and what would be right; it never quotes the
value of a field that its dataclass hides from `repr`, which is how a secret is marked.
"""

from __future__ import annotations

import importlib
import inspect
import keyword
import logging
import math
import os
import reprlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from itly_core import suggest
from itly_core.errors import ConfigError
from itly_core.options import DeliveryOptions, Environment, Options

from .request import RequestRules

Flush = Literal["after_response", "before_response"]
Spell = Callable[[str], str]  # "FLUSH" -> how this framework's user wrote it

# Where the process may be frozen as soon as the response is out: what is not sent by then waits for the next request.
SERVERLESS = ("AWS_LAMBDA_FUNCTION_NAME", "VERCEL", "K_SERVICE", "FUNCTION_TARGET")
AZURE = ("WEBSITE_INSTANCE_ID", "FUNCTIONS_WORKER_RUNTIME")  # the first alone is an ordinary Azure web app


@dataclass(frozen=True, kw_only=True)
class WebOptions:
    """What holds in a web framework only.

    package: import name of the generated package. sources: {name: file, folder, URL, or a mapping}, for pulling.
    flush: when a request waits for delivery; None: never, except on a serverless host, where "before_response" is used.
    flush_timeout: most seconds it waits.
    """

    package: str = "itly"
    sources: Mapping[str, Any] = field(default_factory=dict)
    flush: Flush | None = None
    flush_timeout: float = 1.0

    def __post_init__(self) -> None:
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in self.package.split(".")):
            raise ConfigError(f"package must be the import name of a package, got {self.package!r}", key="package")
        if self.flush_timeout <= 0:
            text = f"flush_timeout must be a number above 0, got {self.flush_timeout!r}"
            raise ConfigError(text, key="flush_timeout")

    def flush_when(self, environ: Mapping[str, str] = os.environ) -> Flush | None:
        """When a request waits for delivery, on this host."""
        return self.flush or ("before_response" if is_serverless(environ) else None)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked and resolved."""

    web: WebOptions
    rules: RequestRules
    options: Options


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. key: the setting's name as written; kind: which check reports it."""

    kind: Literal["mapping", "unknown", "value"]
    key: str
    message: str


GROUPS: dict[str, type] = {"web": WebOptions, "rules": RequestRules, "options": Options}
# Keys at the top that are short for one inside another.
SHORT = {"SPOOL_DIR": ("DELIVERY", "spool_dir"), "SHUTDOWN_TIMEOUT": ("DELIVERY", "shutdown_timeout")}


def in_dict(key: str) -> str:
    """As a user wrote it in the `ITLY` dictionary."""
    return f"ITLY[{key!r}]"


def read(given: Any, *, is_debug: bool, needs_keys: bool = True, spell: Spell = in_dict) -> Settings:
    """The settings of a mapping with upper-case keys.

    is_debug decides the environment where none is given. needs_keys: whether a destination without its vendor key is
    wrong; not where calls are only recorded. Callables may be objects or dotted paths; a path that leads to a class
    gives an object of it.

    Raises:
        ConfigError: it names everything that is wrong; `key` is the first.
    """
    settings, problems = parse(given, is_debug=is_debug, needs_keys=needs_keys, spell=spell)
    if settings is None:
        raise ConfigError("\n".join(problem.message for problem in problems), key=problems[0].key)
    return settings


def parse(
    given: Any, *, is_debug: bool, needs_keys: bool = True, spell: Spell = in_dict
) -> tuple[Settings | None, list[Problem]]:
    """The same, with everything that is wrong as values; the settings only when nothing is."""
    if not isinstance(given, Mapping):
        return None, [Problem(kind="mapping", key="ITLY", message=f"ITLY must be a dict, got {_type(given)}")]
    parser = _Parser()
    shares: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    groups = {item.name.upper(): (name, item) for name, group in GROUPS.items() for item in _settable(group)}
    for key, value in given.items():
        if key in groups:
            name, item = groups[key]
            parser.keep(shares[name], item, GROUPS[name], value, spell(key))
        elif key not in SHORT:
            parser.unknown(str(key), [*groups, *SHORT], spell(str(key)))
    _add_short(parser, shares["options"], given, spell)
    shares["options"].setdefault("environment", Environment.DEVELOPMENT if is_debug else Environment.PRODUCTION)
    shares["options"].setdefault("logger", PythonLogger(logging.getLogger("itly")))
    made: dict[str, Any] = {
        name: parser.make(group, shares[name], {item.name: spell(item.name.upper()) for item in _settable(group)})
        for name, group in GROUPS.items()
    }
    if parser.problems:
        return None, parser.problems
    settings = Settings(**made)
    if needs_keys and not settings.options.disabled:
        parser.problems.extend(_unbuildable(settings.options, spell))
    return (None, parser.problems) if parser.problems else (settings, [])


def is_serverless(environ: Mapping[str, str]) -> bool:
    """Whether the host may freeze the process between requests."""
    return any(environ.get(name) for name in SERVERLESS) or all(environ.get(name) for name in AZURE)


@dataclass(frozen=True, kw_only=True)
class Key:
    """One setting, for documentation: name as in `ITLY`, type and default as text."""

    name: str
    type: str
    default: str


def documented() -> Iterator[Key]:
    """Every setting there is; nested ones as `DELIVERY.MODE`, destinations' as `DESTINATIONS.amplitude.api_key`."""
    for group in GROUPS.values():
        for item in _settable(group):
            yield from _documented(item, group, item.name.upper())
    for short, (key, name) in SHORT.items():
        yield Key(name=short, type=f"short for `{key}.{name.upper()}`", default="")


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


_BAD: Any = object()
_T = TypeVar("_T")


class _Parser:
    """Collects problems while it converts; `_BAD` stands for a value that is one."""

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
        kind = _hints(owner)[item.name]
        nested = _dataclass_in(kind)
        if nested is not None and value is not None:
            found = self.nested(nested, value, key)
        else:
            try:
                found = _convert(value, kind)
            except _Wrong as exc:
                got = f" of type {type(value).__name__}" if not item.repr else f" {_short_repr(value)}"
                self.wrong(key, f"{exc}, got{' a value' if not item.repr else ''}{got}")
                found = _BAD
        share[item.name] = found

    def nested(self, kind: type[_T], value: Any, key: str) -> _T:
        """The dataclass of a mapping. Keys in either case: `MODE` and `mode`."""
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):  # not quoted: a key written in place of {"api_key": key} is a secret
            self.wrong(key, f"must be a dict of options, got {_type(value)}")
            return _BAD  # type: ignore[no-any-return]  # the mark
        by_name = {item.name: item for item in _settable(kind)}
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
        is_bad = any(value is _BAD for value in share.values())
        good = {name: value for name, value in share.items() if value is not _BAD}
        for item in _settable(kind):
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
                    return _BAD  # type: ignore[no-any-return]
                del good[name]
            except TypeError:  # a required one is wrong or missing, and said so
                return _BAD  # type: ignore[no-any-return]
            else:
                return _BAD if is_bad else made


def _add_short(parser: _Parser, share: dict[str, Any], given: Mapping[str, Any], spell: Spell) -> None:
    """Put the short keys where they belong."""
    for short, (key, name) in SHORT.items():
        if short not in given:
            continue
        item = next(item for item in _settable(DeliveryOptions) if item.name == name)
        found: dict[str, Any] = {}
        parser.keep(found, item, DeliveryOptions, given[short], spell(short))
        base = share.get("delivery", DeliveryOptions())
        inside = given.get(key)
        if isinstance(inside, Mapping) and any(str(other).lower() == name for other in inside):
            parser.wrong(spell(short), f"is given twice, the other time in {spell(key)}")
        elif found[name] is _BAD:
            share["delivery"] = _BAD
        elif base is not _BAD:
            try:
                share["delivery"] = replace(base, **found)
            except ConfigError as exc:
                parser.wrong(spell(short), str(exc).removeprefix(name).lstrip())
                share["delivery"] = _BAD


def _unbuildable(options: Options, spell: Spell) -> Iterator[Problem]:
    """Destinations that lack something in this environment: an empty key, a mapping without it."""
    for name, chosen in options.destinations.enabled().items():
        try:
            chosen.build({}, options.environment.value)
        except ConfigError as exc:
            key = f"{spell('DESTINATIONS')}[{name!r}][{exc.key!r}]"
            yield Problem(kind="value", key=key, message=f"{key} {str(exc).removeprefix(exc.key).lstrip()}")


# Types


@cache
def _hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)


def _settable(owner: type) -> tuple[Field[Any], ...]:
    return tuple(item for item in fields(owner) if item.init)


def _dataclass_in(kind: Any) -> type[Any] | None:
    """The dataclass of `D` and of `D | None`."""
    found = [arm for arm in _arms(kind) if inspect.isclass(arm) and is_dataclass(arm)]
    return found[0] if found else None


def _arms(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _convert(value: Any, kind: Any) -> Any:
    """A value as its field's type has it. Text stands for numbers and booleans where it can mean nothing else, because
    environment variables are text.

    Raises:
        _Wrong: it does not fit.
    """
    arms = _arms(kind)
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


def _type(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _short_repr(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001  # the user's own __repr__
        return f"a value of type {type(value).__name__}"


def _documented(item: Field[Any], owner: type, name: str) -> Iterator[Key]:
    kind = _hints(owner)[item.name]
    nested = _dataclass_in(kind)
    if nested is None:
        yield Key(name=name, type=_kind_text(kind), default=_default_text(item))
        return
    for inner in _settable(nested):
        is_lower = name.startswith("DESTINATIONS")
        yield from _documented(inner, nested, f"{name}.{inner.name if is_lower else inner.name.upper()}")


def _kind_text(kind: Any) -> str:
    arms = _arms(kind)
    if len(arms) > 1:
        return " or ".join(_kind_text(arm) for arm in arms if arm is not type(None))
    origin = get_origin(kind) or kind
    if origin is Literal:
        return ", ".join(repr(value) for value in get_args(kind))
    if inspect.isclass(origin) and issubclass(origin, Enum):
        return ", ".join(repr(value.value) for value in origin)
    if origin in (tuple, frozenset, list):
        return f"list of: {_kind_text(get_args(kind)[0])}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "dict"
    if origin is os.PathLike:
        return "path"
    return {bool: "bool", int: "int", float: "float", str: "str"}.get(origin, "object or dotted path")


def _default_text(item: Field[Any]) -> str:
    if item.default is MISSING:
        return "required" if item.default_factory is MISSING else repr(item.default_factory())
    value = item.default.value if isinstance(item.default, Enum) else item.default
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
