"""From what a source is called to its resolved plan."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PlanError
from ..suggest import unknown
from . import fetch
from .document import Plan
from .garbage import collections_paused
from .providers import Api, Provider, providers
from .raw import CODE_SUFFIXES, DOCUMENT_SUFFIXES, TABLE_SUFFIXES, Raw
from .server import Limits, Server, Watch, checked, is_loopback, unwatched

SOURCE_KEYS = frozenset({"plan", "provider", "token_env", "filter"})
API_KEYS = frozenset({"endpoint", "region"})

Reference = str | os.PathLike[str] | Mapping[str, Any]


def load(
    reference: Reference,
    *,
    source: str = "",
    base: Path | None = None,
    limits: Limits | None = None,
    watch: Watch = unwatched,
) -> Plan:
    """The plan of a file, a directory, a pattern, a commit, an address or a vendor's API.

    reference: its path or address, `PROVIDER:ID` for one behind an API, or a table of a source: `plan`, and maybe
    `provider` (the format, where it shall not be recognised), `token_env` (the environment variable that holds the token),
    `filter` (the name that the plan itself has for the source) and what the provider's API takes.
    source: the name it is pulled under, instead of the one in the plan; events of other sources are left out.
    base: the directory that relative paths count from; the working directory if None.

    Raises:
        ConfigError: the reference itself is wrong.
        PlanError: there is no usable document at it.
        PullError: a server did not answer with a document.
    """
    table = source_table(reference)
    raws, provider = read(table, base or Path(), limits, watch)
    return parsed(raws, provider, table, source)


def parsed(raws: Sequence[Raw], provider: Provider, table: Mapping[str, str], source: str = "") -> Plan:
    """The plan that the documents of a source are.

    Raises:
        ConfigError, PlanError: as `load`.
    """
    with collections_paused():
        plan = provider.parse(raws)
    source = source or plan.source
    plan = dataclasses.replace(
        plan,
        name=plan.name or source or (raws[0].key if len(raws) == 1 else "plan"),
        source=source,
        events=tuple(sorted(_of_source(plan, table.get("filter") or source), key=lambda event: event.name)),
    )
    return plan if plan.version else dataclasses.replace(plan, version=fingerprint(plan))


def read(
    table: Mapping[str, str], base: Path, limits: Limits | None = None, watch: Watch = unwatched
) -> tuple[Sequence[Raw], Provider]:
    """The documents of a source, and the provider whose format they are in.

    Raises:
        ConfigError, PlanError, PullError: as `load`.
    """
    provider = _provider(table)
    if provider is not None and provider.api is not None and _is_asked(table, base):
        return _from_api(provider, provider.api, table, limits, watch), provider
    raws = _from_place(table, base, limits, watch)
    return raws, provider or _recognised(raws)


def source_table(reference: Reference) -> dict[str, str]:
    """A source's value as a table, checked.

    Raises:
        ConfigError: an unknown key, no `plan`, or a value that is no text.
    """
    table: dict[str, Any] = dict(reference) if isinstance(reference, Mapping) else {"plan": reference}
    for key, value in table.items():
        if isinstance(value, os.PathLike):
            table[key] = value = os.fspath(value)
        if key in SOURCE_KEYS and (not isinstance(value, str) or not value):
            raise ConfigError(f"{key} of a source must be text, got {value!r}", key=key)
    if "provider" not in table and isinstance(table.get("plan"), str):
        table = {**table, **_named(table["plan"])}
    provider = _provider(table)
    api = provider.api if provider is not None else None
    known = SOURCE_KEYS if api is None else SOURCE_KEYS | API_KEYS | api.keys
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in a source; {unknown(str(key), known)}", key=str(key))
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{key} of a source must be text, got {value!r}", key=key)
    if "plan" not in table and (api is None or api.needs_plan):
        raise ConfigError("a source needs `plan`: a file, a directory or an address", key="plan")
    return table


def is_remote(reference: Reference, base: Path | None = None) -> bool:
    """Whether loading it needs the network."""
    table = source_table(reference)
    provider = _provider(table)
    return fetch.is_url(table.get("plan", "")) or (
        provider is not None and provider.api is not None and _is_asked(table, base or Path())
    )


def fingerprint(plan: Plan) -> str:
    """A version for a plan that has none: twelve hexadecimal digits that change when its content does."""
    content = dataclasses.asdict(dataclasses.replace(plan, name="", source="", origin={}))
    for section in (*content["events"], *(content[name] for name in ("context", "identify", "group", "page"))):
        if section is not None:
            del section["origin"]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:12]


def _of_source(plan: Plan, wanted: str) -> Sequence[Any]:
    """The events that a source sends.

    Raises:
        ConfigError: none is: the plan must have another name for it.
    """
    chosen = [event for event in plan.events if not wanted or not event.sources or wanted in event.sources]
    if plan.events and not chosen and plan.origin.get("provider") != "itly":
        names = sorted({name for event in plan.events for name in event.sources})
        message = f"no event of the plan belongs to {wanted!r}: say in `filter` which of its sources is meant: "
        raise ConfigError(message + ", ".join(names), key="filter")
    return chosen


def _named(where: str) -> dict[str, str]:
    """`segment:tp_1` as a table, where that is a provider with an API."""
    match = re.match(r"([a-z][a-z0-9-]+):(?!//)(.+)\Z", where)
    provider = providers().get(match[1]) if match else None
    return {"provider": match[1], "plan": match[2]} if match and provider and provider.api else {}


def _provider(table: Mapping[str, Any]) -> Provider | None:
    name = table.get("provider")
    if name is None:
        return None
    if name not in providers():
        raise ConfigError(f"unknown provider {name!r}; {unknown(name, providers())}", key="provider")
    return providers()[name]


def _is_asked(table: Mapping[str, str], base: Path) -> bool:
    """Whether a source of a provider with an API means the API, and no file of that format."""
    where = table.get("plan", "")
    if fetch.is_url(where) or fetch.is_git(where):
        return False
    if not where or API_KEYS & table.keys():
        return True
    looks_like_file = "/" in where or where.lower().endswith((*DOCUMENT_SUFFIXES, *TABLE_SUFFIXES, *CODE_SUFFIXES))
    return not looks_like_file and not fetch.is_pattern(where) and not (base / where).exists()


def _from_api(
    provider: Provider, api: Api, table: Mapping[str, str], limits: Limits | None, watch: Watch
) -> Sequence[Raw]:
    token, variable = _token(table, api.token_env, api.needs_token)
    with Server(
        _endpoint(provider.name, api, table),
        headers=api.headers(token) if token is not None else {},
        token_env=variable if token is not None else "",
        limits=limits,
        watch=watch,
    ) as server:
        return api.fetch(server, table)


def _endpoint(name: str, api: Api, table: Mapping[str, str]) -> str:
    """Where the API is. Never anywhere that a settings file alone could send a token to."""
    region = table.get("region")
    if region is not None and region not in api.regions:
        raise ConfigError(f"unknown region {region!r} of {name}; {unknown(region, api.regions)}", key="region")
    endpoint = table.get("endpoint")
    if endpoint is None:
        if not api.regions:
            raise ConfigError(f"a source of {name} needs `endpoint`: the address of its server", key="endpoint")
        return api.regions[region] if region else next(iter(api.regions.values()))
    host = checked(endpoint).hostname or ""
    allowed = any(host == known or host.endswith(f".{known}") for known in api.hosts)
    if api.hosts and not allowed and not is_loopback(host):
        message = f"endpoint {endpoint!r} of a source of {name} is on another host than {', '.join(api.hosts)}"
        raise ConfigError(f"{message}, and would be sent your token", key="endpoint")
    return endpoint.rstrip("/")


def _token(table: Mapping[str, str], usual: str, is_needed: bool) -> tuple[str | None, str]:
    """The token, and the variable that holds it."""
    variable = table.get("token_env", usual)
    token = os.environ.get(variable, "").strip() if variable else ""
    if not token and (is_needed or "token_env" in table):
        raise ConfigError(f"the environment variable {variable} holds no token", key="token_env")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds something that is no token", key="token_env")
    return token or None, variable


def _from_place(table: Mapping[str, str], base: Path, limits: Limits | None, watch: Watch) -> Sequence[Raw]:
    where = table["plan"]
    if fetch.is_url(where):
        token, variable = _token(table, "", False)
        return fetch.from_url(where, token=token, token_env=variable, limits=limits, watch=watch)
    if fetch.is_git(where):
        return fetch.from_git(where, base)
    if "://" in where:
        raise ConfigError(f"{where!r} is neither a path nor an https address", key="plan")
    path = base / where
    if fetch.is_pattern(where) and not path.exists():
        return fetch.from_pattern(base, where)
    try:
        shown = str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or relative as given
        shown = str(path)
    return fetch.from_disk(path, shown)


def _recognised(raws: Sequence[Raw]) -> Provider:
    for provider in providers().values():
        if provider.recognises(raws):
            return provider
    first = raws[0]
    if first.is_code or first.is_table:
        kind = "code that Iteratively generated" if first.is_code else "a table with a column `event`"
        raise PlanError(f"is not {kind}", location=first.name)
    root = first.document.root
    looks_ours = isinstance(root.value, dict) and {"plan", "events"} & set(root.value)
    raise PlanError(
        "is a plan without its first line: write `itly: 1`"
        if looks_ours
        else "is no plan that is known here: neither an itly plan (`itly: 1`), nor JSON Schemas by event name, "
        "nor what a vendor exports",
        location=root.location,
    )
