"""What is wrong with a project, as values: facts in, findings out. Pure; who gathers the facts: examination.py.

The ids are those of Django's system checks without `itly.`, and never change their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from .options import Options
from .settings import unbuildable

Severity = Literal["error", "warning"]  # events are lost, wrong or go nowhere; something may come to that

SOON_GONE = ("tmpfs", "ramfs", "overlay")  # file systems that end with the machine or its container
OLD_S = 3600.0  # a call that waits for longer than this waits for somebody to do something
FULL = 0.8  # of the bytes a spool may have


@dataclass(frozen=True, kw_only=True)
class Finding:
    """message: what would go wrong, and where. hint: what to do."""

    id: str
    severity: Severity
    message: str
    hint: str


def error(id: str, message: str, hint: str) -> Finding:
    return Finding(id=id, severity="error", message=message, hint=hint)


def warning(id: str, message: str, hint: str) -> Finding:
    return Finding(id=id, severity="warning", message=message, hint=hint)


def most_severe_first(findings: Iterable[Finding]) -> list[Finding]:
    """Each once; those of one severity in the order they were found."""
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.severity != "error")


def _in_pyproject(key: str) -> str:
    return f"tool.itly.{key.lower()}"


def _plain(command: str) -> str:
    return f"itly {command}"


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a project's people write a setting (`PACKAGE`) and a command (`pull`)."""

    setting: Callable[[str], str] = _in_pyproject
    command: Callable[[str], str] = _plain


# The spool


@dataclass(frozen=True, kw_only=True)
class SpoolFacts:
    """mode: permissions. owner, user: names, of the directory and of this process. kind: type of the file system, empty if
    unknown. room: bytes that calls may still take. survey: what a look inside gave (delivery/survey.py)."""

    directory: Path
    is_chosen: bool
    mode: int
    owner: str
    user: str
    kind: str
    room: int
    max_bytes: int
    max_age_s: float
    survey: Any


def spool_findings(facts: SpoolFacts, words: Words, *, is_development: bool) -> Iterator[Finding]:
    where = facts.directory
    if facts.room <= 0:
        text = f"The disk of the spool {where} is so full that no call is stored any more: each is counted as dropped."
        yield error("E010", text, "Make room on it.")
    elif facts.survey.bytes >= facts.max_bytes * FULL:
        text = f"The spool {where} is nearly as large as it may be, {facts.max_bytes} bytes: then no call is stored any more."
        yield error("E010", text, "See below what keeps calls from being delivered, or raise DELIVERY's max_bytes.")
    yield from _lane_findings(facts, words)
    if facts.owner != facts.user:
        text = (
            f"The spool {where} belongs to {facts.owner}, and this is {facts.user}: neither can ship the other's calls."
        )
        yield warning("W014", text, "Run the site, its commands and its worker as one user.")
    elif facts.mode & 0o077:
        text = f"The spool {where} can be read by others (mode {facts.mode:o}): it holds what users did."
        yield warning("W014", text, f"chmod 700 {where}")
    if is_development:
        return
    if facts.kind in SOON_GONE:
        text = f"The spool {where} is on {facts.kind}: what waits in it is gone with the container, or with a restart of the machine."
        yield warning("W015", text, f"Set {words.setting('SPOOL_DIR')} to a disk that stays.")
    if not facts.is_chosen:
        text = "The spool is in the working directory: a command run elsewhere has another one, and a deploy may delete it."
        yield warning("W016", text, f"Set {words.setting('SPOOL_DIR')} to a place that stays.")


def _lane_findings(facts: SpoolFacts, words: Words) -> Iterator[Finding]:
    survey = facts.survey
    for name, row in survey.destinations.items():
        waiting = row["queued"] + row["parked"] + row["in_flight"]
        age_s = row["oldest_age"]
        if row["state"] == "held":
            text = f"{name} is held: {row['reason']}. Calls wait, {waiting} of them, and none is sent."
            yield error(
                "E011", text, "Check its key and endpoint; it is tried again by itself, and at once after a restart."
            )
        elif age_s is not None and age_s > facts.max_age_s / 2:
            text = f"{name}: the oldest of {waiting} calls waits for {age_s / 3600:.0f} hours; at {facts.max_age_s / 3600:.0f} it is dropped."
            yield error("E011", text, f"See what keeps it: {words.command('stats')}")
        elif age_s is not None and age_s > OLD_S:
            text = f"{name}: the oldest of {waiting} calls waits for {age_s / 3600:.0f} hours."
            yield warning("W013", text, f"See what keeps it: {words.command('stats')}")
        if row["dead"]:
            text = f"{name} refused {row['dead']} calls for good: they are dead letters."
            yield warning("W012", text, f"See why: {words.command('dlq')} list; then replay or purge them.")
    if survey.shipper is None and any(row["queued"] or row["parked"] for row in survey.destinations.values()):
        text = f"Calls wait in {facts.directory}, and no process ships them."
        yield warning("W013", text, f"The next call of a running site does; or run {words.command('worker')}.")
    if survey.quarantined:
        text = f"{survey.quarantined} damaged lines were put aside in {facts.directory / 'quarantine'}."
        yield warning("W013", text, "A disk or a foreign hand did that: look at them, then delete them.")


# Destinations


def destination_findings(options: Options, words: Words) -> Iterator[Finding]:
    """E003, E004: nowhere to send to, or no key to do so."""
    if options.disabled:
        return
    where = words.setting("DESTINATIONS")
    for problem in unbuildable(options, where):
        yield error("E004", problem.message, "See docs/settings.md for what it takes.")
    if not options.is_development and not options.destinations.enabled():
        hint = f"Name one there, as segment with its write_key, or set {words.setting('DISABLED')}."
        yield error("E003", f"{where} has no destination that is on: events go nowhere.", hint)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """trouble: why no connection can be made; empty when one can."""

    name: str
    url: str
    trouble: str = ""


def endpoint_findings(endpoints: Iterable[Endpoint]) -> Iterator[Finding]:
    for endpoint in endpoints:
        parts = urlsplit(endpoint.url)
        if endpoint.trouble:
            text = f"{endpoint.name}: {parts.hostname} cannot be reached: {endpoint.trouble}"
            hint = "Check the endpoint, the name service, and what this host may connect to."
            yield error("E012", text, hint)
        if parts.scheme == "http" and not is_local(parts.hostname or ""):
            text = f"{endpoint.name}: key and events go to {parts.hostname} unencrypted."
            yield warning("W018", text, "Use an https:// endpoint.")


def is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


# Servers


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server or a pool of tasks of this project that runs now.

    arguments: its command line. processes: that serve. options: uWSGI's, from command line and file.
    """

    kind: str
    pid: int
    arguments: tuple[str, ...]
    processes: int = 1
    options: Mapping[str, Any] | None = None


def server_findings(servers: Sequence[Server], words: Words, *, is_memory: bool) -> Iterator[Finding]:
    serving = sum(server.processes for server in servers)
    if is_memory and serving > 1:
        names = ", ".join(f"{server.kind} ({server.processes})" for server in servers)
        text = f"Calls are kept in memory, in {serving} processes ({names}): one that is killed takes its calls along."
        yield warning("W011", text, f"Leave {words.setting('DELIVERY')}'s mode to its default, the spool.")
    for server in servers:
        if server.kind == "uwsgi":
            for problem in uwsgi_problems(server.options or {}, server.processes):
                yield warning("W004", f"{problem} (process {server.pid})", "See docs/django.md, uWSGI.")
            if uwsgi_lacks_patches(server.options or {}):
                text = f"uWSGI runs gevent without its patches (process {server.pid}): a call waits with the whole process for locks."
                yield warning("W017", text, "Add --gevent-monkey-patch.")


def greenlet_findings(version: str | None) -> Iterator[Finding]:
    """version: of greenlet, where it is installed."""
    if version is not None and version.split(".")[0] == "0":
        text = f"greenlet {version} gives all greenlets of a thread one context: calls in them have no request context."
        yield warning("W017", text, "Install greenlet 1.0 or later.")


def uwsgi_problems(options: Mapping[str, Any], workers: int) -> Iterator[str]:
    """What is wrong with uWSGI's options. Names and values are bytes or text, by its version."""
    given = _switched_on(options)
    if not given & {"enable-threads", "threads"}:
        yield "uWSGI runs without threads: add --enable-threads, or events wait until the worker ends"
    if workers > 1 and not given & {"lazy-apps", "lazy", "py-call-uwsgi-fork-hooks", "py-call-osafterfork"}:
        yield "uWSGI forks without telling Python: add --lazy-apps or --py-call-uwsgi-fork-hooks"


def uwsgi_lacks_patches(options: Mapping[str, Any]) -> bool:
    given = _switched_on(options)
    return "gevent" in given and not given & {"gevent-monkey-patch", "gevent-early-monkey-patch"}


def _switched_on(options: Mapping[str, Any]) -> set[str]:
    return {_text(name) for name, value in options.items() if _text(value) not in ("false", "0", "no")}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace").lower() if isinstance(value, bytes) else str(value).lower()


KINDS = ("gunicorn", "uvicorn", "uwsgi", "celery", "rq", "daphne", "hypercorn", "waitress-serve", "flask", "runserver")


def kind_of_server(arguments: Sequence[str]) -> str | None:
    """Which server a command line starts; None for anything else. Some servers rename themselves: `gunicorn: worker [shop]`."""
    if not arguments:
        return None
    first = Path(arguments[0].split(":")[0]).name
    if first.startswith("python"):
        rest = [argument for argument in arguments[1:4] if argument != "-m"]
        first = Path(rest[0]).name if rest else ""
        first = first.removesuffix(".cli")  # python -m rq.cli
    if first == "pyuwsgi":
        return "uwsgi"
    if first in ("manage.py", "django", "django-admin"):
        return "runserver" if "runserver" in arguments else None
    if first in ("celery", "rq") and not {"worker", "worker-pool"} & set(arguments):
        return None
    if first == "flask" and "run" not in arguments:
        return None
    return first if first in KINDS else None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process of this machine."""

    pid: int
    parent: int
    arguments: tuple[str, ...]


def servers_in(rows: Iterable[ProcessRow]) -> list[Server]:
    """The servers among processes: a parent and those of its children that are of the same kind serve together."""
    known = {row.pid: (row, kind) for row in rows if (kind := kind_of_server(row.arguments)) is not None}
    found = []
    for row, kind in known.values():
        parent = known.get(row.parent)
        if parent is not None and parent[1] == kind:
            continue
        children = [other for other, its in known.values() if other.parent == row.pid and its == kind]
        found.append(Server(kind=kind, pid=row.pid, arguments=row.arguments, processes=max(1, len(children))))
    return found


def uwsgi_options(arguments: Sequence[str], from_file: Mapping[str, str]) -> dict[str, str]:
    """The options of a uWSGI command line, and of the file that it names."""
    found = {name.lower(): value for name, value in from_file.items()}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            found[name] = value or ("true" if following.startswith("-") else following or "true")
    return found
