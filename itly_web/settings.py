"""From a mapping of settings, as Django and Flask keep them, to the options of the core and of the web parts.

How a mapping is read, and what is said of mistakes: itly_core/settings.py.
"""

from __future__ import annotations

import inspect
import keyword
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, replace
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from itly_core.errors import ConfigError
from itly_core.options import DeliveryOptions, Environment, Options
from itly_core.settings import (
    BAD,
    Parser,
    Problem,
    PythonLogger,
    Spell,
    arms_of,
    dataclass_in,
    hints,
    raise_problems,
    settable,
    type_text,
    unbuildable,
)

from .reader import VisitorOptions
from .request import RequestRules

Flush = Literal["after_response", "before_response"]

# Where the process may be frozen as soon as the response is out: what is not sent by then waits for the next request.
SERVERLESS = ("AWS_LAMBDA_FUNCTION_NAME", "VERCEL", "K_SERVICE", "FUNCTION_TARGET")
AZURE = ("WEBSITE_INSTANCE_ID", "FUNCTIONS_WORKER_RUNTIME")  # the first alone is an ordinary Azure web app


@dataclass(frozen=True, kw_only=True)
class WebOptions:
    """What holds in a web framework only.

    package: import name of the generated package. sources: {name: file, folder, URL, or a mapping}, for pulling.
    lint: what `itly_lint` shall find, see docs/plan-checks.md.
    flush: when a request waits for delivery; None: never, except on a serverless host, where "before_response" is used.
    flush_timeout: most seconds it waits. after_commit: calls made in a database transaction wait for its end, and vanish
    with a rollback; Django only.
    """

    package: str = "itly"
    sources: Mapping[str, Any] = field(default_factory=dict)
    lint: Mapping[str, Any] = field(default_factory=dict)
    flush: Flush | None = None
    flush_timeout: float = 1.0
    after_commit: bool = False

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
    visitor: VisitorOptions
    options: Options


GROUPS: dict[str, type] = {"web": WebOptions, "rules": RequestRules, "visitor": VisitorOptions, "options": Options}
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
    raise_problems(problems)
    assert settings is not None  # nothing is wrong with them
    return settings


def parse(
    given: Any, *, is_debug: bool, needs_keys: bool = True, spell: Spell = in_dict
) -> tuple[Settings | None, list[Problem]]:
    """The same, with everything that is wrong as values; the settings only when nothing is."""
    if not isinstance(given, Mapping):
        return None, [Problem(kind="mapping", key="ITLY", message=f"ITLY must be a dict, got {type_text(given)}")]
    parser = Parser()
    shares: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    groups = {item.name.upper(): (name, item) for name, group in GROUPS.items() for item in settable(group)}
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
        name: parser.make(group, shares[name], {item.name: spell(item.name.upper()) for item in settable(group)})
        for name, group in GROUPS.items()
    }
    if parser.problems:
        return None, parser.problems
    settings = Settings(**made)
    if needs_keys and not settings.options.disabled:
        parser.problems.extend(unbuildable(settings.options, spell("DESTINATIONS")))
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
        for item in settable(group):
            yield from _documented(item, group, item.name.upper())
    for short, (key, name) in SHORT.items():
        yield Key(name=short, type=f"short for `{key}.{name.upper()}`", default="")


def _add_short(parser: Parser, share: dict[str, Any], given: Mapping[str, Any], spell: Spell) -> None:
    """Put the short keys where they belong."""
    for short, (key, name) in SHORT.items():
        if short not in given:
            continue
        item = next(item for item in settable(DeliveryOptions) if item.name == name)
        found: dict[str, Any] = {}
        parser.keep(found, item, DeliveryOptions, given[short], spell(short))
        base = share.get("delivery", DeliveryOptions())
        inside = given.get(key)
        if isinstance(inside, Mapping) and any(str(other).lower() == name for other in inside):
            parser.wrong(spell(short), f"is given twice, the other time in {spell(key)}")
        elif found[name] is BAD:
            share["delivery"] = BAD
        elif base is not BAD:
            try:
                share["delivery"] = replace(base, **found)
            except ConfigError as exc:
                parser.wrong(spell(short), str(exc).removeprefix(name).lstrip())
                share["delivery"] = BAD


def _documented(item: Field[Any], owner: type, name: str) -> Iterator[Key]:
    kind = hints(owner)[item.name]
    nested = dataclass_in(kind)
    if nested is None:
        yield Key(name=name, type=_kind_text(kind), default=_default_text(item))
        return
    for inner in settable(nested):
        is_lower = name.startswith("DESTINATIONS")
        yield from _documented(inner, nested, f"{name}.{inner.name if is_lower else inner.name.upper()}")


def _kind_text(kind: Any) -> str:
    arms = arms_of(kind)
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
