"""From what a source is called to its resolved plan."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PlanError
from ..suggest import unknown
from . import fetch
from .document import Plan
from .providers import PROVIDERS, Provider
from .raw import Raw

SOURCE_KEYS = frozenset({"plan", "provider", "token_env"})

Reference = str | os.PathLike[str] | Mapping[str, Any]


def load(reference: Reference, *, source: str = "", base: Path | None = None) -> Plan:
    """The plan of a file, a directory or an address.

    reference: its path or address, or a table of a source: `plan`, and maybe `provider` (the format, where it shall not
    be recognised) and `token_env` (the environment variable that holds a bearer token).
    source: the name it is pulled under, instead of the one in the plan; events of other sources are left out.
    base: the directory that relative paths count from; the working directory if None.

    Raises:
        ConfigError: the reference itself is wrong.
        PlanError: there is no usable document at it.
        PullError: a server did not answer with a document.
    """
    table = source_table(reference)
    provider = _provider(table)
    raws = _read(table, base or Path())
    plan = (provider or _recognised(raws)).parse(raws)
    source = source or plan.source
    events = (event for event in plan.events if not source or not event.sources or source in event.sources)
    plan = dataclasses.replace(
        plan,
        name=plan.name or source or (raws[0].key if len(raws) == 1 else "plan"),
        source=source,
        events=tuple(sorted(events, key=lambda event: event.name)),
    )
    return plan if plan.version else dataclasses.replace(plan, version=fingerprint(plan))


def source_table(reference: Reference) -> dict[str, str]:
    """A source's value as a table, checked.

    Raises:
        ConfigError: an unknown key, no `plan`, or a value that is no text.
    """
    table: dict[str, Any] = dict(reference) if isinstance(reference, Mapping) else {"plan": reference}
    for key, value in table.items():
        if key not in SOURCE_KEYS:
            raise ConfigError(f"unknown key {key!r} in a source; {unknown(str(key), SOURCE_KEYS)}", key=str(key))
        if isinstance(value, os.PathLike):
            table[key] = value = os.fspath(value)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{key} of a source must be text, got {value!r}", key=key)
    if "plan" not in table:
        raise ConfigError("a source needs `plan`: a file, a directory or an address", key="plan")
    return table


def is_remote(reference: Reference) -> bool:
    """Whether loading it needs the network."""
    return fetch.is_url(source_table(reference)["plan"])


def fingerprint(plan: Plan) -> str:
    """A version for a plan that has none: twelve hexadecimal digits that change when its content does."""
    content = json.dumps(
        dataclasses.asdict(dataclasses.replace(plan, name="", source="", origin={})), sort_keys=True, ensure_ascii=True
    )
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _provider(table: Mapping[str, str]) -> Provider | None:
    name = table.get("provider")
    if name is None:
        return None
    if name not in PROVIDERS:
        raise ConfigError(f"unknown provider {name!r}; {unknown(name, PROVIDERS)}", key="provider")
    return PROVIDERS[name]


def _read(table: Mapping[str, str], base: Path) -> Sequence[Raw]:
    where = table["plan"]
    if fetch.is_url(where):
        variable = table.get("token_env")
        if variable is not None and not os.environ.get(variable):
            raise ConfigError(f"the environment variable {variable} holds no token", key="token_env")
        return fetch.from_url(where, token=os.environ[variable] if variable else None)
    if "://" in where:
        raise ConfigError(f"{where!r} is neither a path nor an https address", key="plan")
    path = base / where
    try:
        shown = str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or relative as given
        shown = str(path)
    return fetch.from_disk(path, shown)


def _recognised(raws: Sequence[Raw]) -> Provider:
    for provider in PROVIDERS.values():
        if provider.recognises(raws):
            return provider
    root = raws[0].document.root
    looks_ours = isinstance(root.value, dict) and {"plan", "events"} & set(root.value)
    raise PlanError(
        "is a plan without its first line: write `itly: 1`"
        if looks_ours
        else "is no plan that is known here: neither an itly plan (`itly: 1`) nor JSON Schemas by event name",
        location=root.location,
    )
