"""Looks at a project, its package, its spool, its destinations and the servers that run, for findings.py to judge.

Opens nothing for writing and sends no event. Not for a running site: it reads plans, which takes YAML.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import os
import pwd
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .delivery import why_no_spool
from .delivery.shipper import MAX_BYTES
from .delivery.state import NewerState
from .delivery.survey import disk_of, survey
from .errors import ConfigError, InvalidEvent, ItlyError
from .findings import (
    Endpoint,
    Finding,
    ProcessRow,
    Server,
    SpoolFacts,
    Words,
    endpoint_findings,
    error,
    greenlet_findings,
    is_local,
    server_findings,
    servers_in,
    spool_findings,
    uwsgi_options,
    warning,
)
from .options import Options, ValidationOptions
from .package import Package, find_package
from .plan import PLAN_FILE
from .testing import Recorder

CONNECT_S = 3.0  # what an endpoint has to accept a connection


# The package


def examine_package(
    name: str, options: Options, sources: Mapping[str, Any], base: Path, words: Words
) -> Iterator[Finding]:
    """E005 to E009, W007: the generated package, its plan, and what depends on it."""
    if options.disabled:
        return
    pull = words.command("pull")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent that is missing, a module without a spec
        spec = None
    if spec is None or (spec.origin is None and not _has_plan(spec.submodule_search_locations)):
        level = warning if options.is_development else error
        yield level(
            "E007", f"There is no package {name!r}, which {words.setting('PACKAGE')} names.", f"Generate it: {pull}"
        )
        return
    try:
        package = find_package(name)
    except Exception as exc:  # noqa: BLE001  # whatever importing it does
        text = f"The package {name!r} cannot be imported: {type(exc).__name__}: {exc}"
        yield error("E005", text, f"Generate it anew: {pull}")
        return
    if package is None:
        text = f"{name!r} is {spec.origin or 'a folder'}, which itly_pull did not make: it hides the generated package."
        hint = f"Remove it, or have the package made under another name with {words.setting('PACKAGE')}."
        yield error("E008", text, hint)
        return
    try:
        plan = package.plan.info
    except ItlyError as exc:
        yield error("E005", f"The plan of the generated package cannot be used: {exc}", f"Generate it anew: {pull}")
        return
    yield from _examine_context(package, options, words)
    if options.destinations.enabled() and (reason := why_no_spool(plan, options)):
        text = f"Calls are kept in memory, and those not delivered are lost with their process: {reason}."
        hint = f"Set {words.setting('SPOOL_DIR')}, or {words.setting('DELIVERY')}'s mode to 'memory' if that is meant."
        yield warning("W007", text, hint)
    yield from _examine_freshness(package, plan.get("source", ""), sources, base, words)


def _examine_context(package: Package, options: Options, words: Words) -> Iterator[Finding]:
    """In production a wrong context is only logged: here is where somebody reads it."""
    if options.validation.disabled:
        return
    try:
        package.start(replace(options, validation=ValidationOptions(fail_on_error=True)), delivery=Recorder())
    except InvalidEvent as exc:
        broken = "; ".join(map(str, exc.violations))
        text = f"{words.setting('CONTEXT')} breaks the tracking plan: {broken}"
        yield error("E009", text, "Give what `context` in the plan asks for.")


def _examine_freshness(
    package: Package, source: str, sources: Mapping[str, Any], base: Path, words: Words
) -> Iterator[Finding]:
    """The package against its source, where that is on this machine and is what the package was made of."""
    reference = sources.get(source)
    if reference is None:
        return
    # Late, and only here: reading plans takes YAML, which a running site has no use for.
    from . import codegen
    from .plans import load
    from .plans.loading import is_remote, source_table

    named = f"{words.setting('SOURCES')}[{source!r}]"
    try:
        if is_remote(reference) or not (base / source_table(reference)["plan"]).exists():
            return  # a server is not asked, and a plan need not be deployed with the site
        files = codegen.render(load(reference, source=source, base=base))
        differences = codegen.compare(files, package.directory)
    except ItlyError as exc:
        yield error("E005", f"The plan of {named} cannot be used: {exc}", "Correct it.")
        return
    if differences:
        names = ", ".join(f"{item.name} is {item.kind}" for item in differences)
        text = f"The generated package is not what {named} gives: {names}."
        yield error("E006", text, f"Generate it anew: {words.command('pull')} {source}")


def _has_plan(directories: Any) -> bool:
    return any((Path(directory) / PLAN_FILE).is_file() for directory in directories or ())


# What runs, and what is on this machine


def examine_running(options: Options, plan: Mapping[str, str], base: Path, words: Words) -> Iterator[Finding]:
    """W004, W011, W017 and what the spool says: E010, E011, E013, W012 to W016."""
    servers = running_servers(base)
    yield from server_findings(servers, words, is_memory=options.delivery.mode == "memory")
    try:
        version = importlib.metadata.version("greenlet")
    except importlib.metadata.PackageNotFoundError:
        version = None
    yield from greenlet_findings(version)
    if options.delivery.mode == "memory" or not options.destinations.enabled() or why_no_spool(plan, options):
        return
    directory = options.delivery.spool_path
    try:
        facts = _spool_facts(directory, options)
    except (NewerState, OSError, sqlite3.Error) as exc:
        yield error("E013", f"The spool {directory} cannot be looked at: {exc}", "Set another one, or repair its disk.")
        return
    if facts is not None:
        yield from spool_findings(facts, words, is_development=options.is_development)


def _spool_facts(directory: Path, options: Options) -> SpoolFacts | None:
    """None where there is none yet.

    Raises:
        NewerState, OSError, sqlite3.Error: it cannot be read.
    """
    if not directory.is_dir():
        return None
    status, disk = directory.stat(), disk_of(directory)
    return SpoolFacts(
        directory=directory,
        is_chosen=options.delivery.spool_dir is not None,
        mode=status.st_mode & 0o777,
        owner=_user_name(status.st_uid),
        user=_user_name(os.geteuid()),
        kind=disk.kind,
        room=disk.room,
        max_bytes=options.delivery.max_bytes or MAX_BYTES,
        max_age_s=options.delivery.max_age,
        survey=survey(directory, options.destinations.enabled()),
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's
        return f"user {uid}"


def running_servers(base: Path) -> list[Server]:
    """The servers that run in this project's directory, as far as this user may see them."""
    rows = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if not Path(os.readlink(entry / "cwd")).is_relative_to(base):
                continue
            arguments = tuple((entry / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0"))
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # another user's, or gone
            continue
        rows.append(ProcessRow(int(entry.name), parent, arguments))
    return [_with_options(server, base) for server in servers_in(rows)]


def _with_options(server: Server, base: Path) -> Server:
    if server.kind != "uwsgi":
        return server
    from_file: dict[str, str] = {}
    for argument in server.arguments[1:]:
        if argument.endswith(".ini"):
            from_file.update(_read_ini(base / (argument.partition("=")[2] or argument)))
    return replace(server, options=uwsgi_options(server.arguments[1:], from_file))


def _read_ini(file: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        parser.read_string(file.read_text("utf-8"))
        return {name: value or "true" for name, value in parser["uwsgi"].items()}
    except (OSError, ValueError, KeyError, configparser.Error):  # uWSGI reads more than this
        return {}


# Destinations


def examine_endpoints(options: Options, plan: Mapping[str, str]) -> Iterator[Finding]:
    """E012, W018: whether each vendor can be reached. A connection is made and closed; nothing is sent."""
    urls: dict[str, str] = {}
    for name, chosen in options.destinations.enabled().items():
        try:
            url = getattr(chosen.build(plan, options.environment.value), "url", None)
        except ConfigError:  # said elsewhere
            continue
        if isinstance(url, str):
            urls[name] = url
    with ThreadPoolExecutor(max(1, len(urls))) as pool:
        troubles = list(pool.map(why_unreachable, urls.values()))
    found = [Endpoint(name=name, url=urls[name], trouble=trouble) for name, trouble in zip(urls, troubles, strict=True)]
    yield from endpoint_findings(found)


def why_unreachable(url: str, connect: Callable[..., socket.socket] = socket.create_connection) -> str:
    """Why no connection can be made there; empty when one can. Behind a proxy, the proxy is asked by nobody: nothing is said."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not is_local(host) and any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return ""
    try:
        with connect((host, parts.port or (443 if parts.scheme == "https" else 80)), timeout=CONNECT_S) as connection:
            if parts.scheme == "https":
                with ssl.create_default_context().wrap_socket(connection, server_hostname=host):
                    pass
    except OSError as exc:
        return str(exc) or type(exc).__name__
    return ""
