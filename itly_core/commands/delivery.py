"""`itly worker`, `itly dlq`, `itly stats`: the spool's commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from ..delivery import make_worker
from ..delivery.shipper import SHIPPER_LOCK, Role
from ..delivery.state import STATE_FILE, UNREADABLE, DeadLetter, State
from ..delivery.survey import Survey, survey
from ..delivery.worker import End, Report
from ..errors import ConfigError
from ..log import Log
from . import terminal
from .common import FINDINGS, OK, WRONG, ProjectOf, command, format_option, say, say_json

spool_dir_option = click.option(
    "--spool-dir", metavar="DIRECTORY", help="The spool to look at.  [default: the one in the settings]"
)
destination_option = click.option("--destination", metavar="NAME", help="Only of this destination.")


@click.command()
@click.option("--once", is_flag=True, help="Ship what is there and end; exit 1 if something cannot be shipped now.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="End by then.")
@format_option("text", "json")
@click.pass_obj
@command
def worker(project_of: ProjectOf, once: bool, timeout: float | None, output: str) -> int:
    """Ship the calls that the project's processes accept.

    Takes over from the process that ships within a second, or as soon as its request is answered, and gives back when it
    ends. SIGTERM and SIGINT end it after the requests in hand; a second one ends it at once. Nothing is lost either way.

    Exits 0 when it was told to end, or shipped everything with --once; 1 when --once leaves something behind because a
    destination refuses its key, fails for a minute, asks for patience, or the time is up, or when the spool is deleted under
    way; 2 when another worker is at work or the settings are wrong.
    """
    project = project_of()
    options = project.options()
    directory = options.delivery.spool_path
    with terminal.screen() as screen:
        worker = make_worker(project.plan().info, options, Log(terminal.worker_logger(options.logger, screen)))
        screen.say(f"shipping from {directory} to {', '.join(worker.destinations)}")
        with _trouble_with(directory):
            report = worker.run(once=once, timeout_s=timeout, watch=screen.update)
        code = _exit_code(report, once)
        for line in _how_it_ended(report, once):
            screen.say(line)
    if output == "json":
        accounts = {name: asdict(account) for name, account in report.accounts.items()}
        end = {"ended": report.end.value, "spool": str(directory), "destinations": accounts}
        say_json({"ok": code == OK, "exit_code": code, **end})
    else:
        for line in terminal.report_lines(report):
            say(line)
    return code


@click.group()
def dlq() -> None:
    """Dead letters: calls that a destination finally refused."""


@dlq.command("list")
@destination_option
@spool_dir_option
@format_option("text", "json")
@click.pass_obj
@command
def list_letters(project_of: ProjectOf, destination: str | None, spool_dir: str | None, output: str) -> int:
    """What was refused, by whom and why. Never what users did: `show` does."""
    letters = _letters(_spool(project_of, spool_dir), destination)
    rows = [terminal.letter_row(letter, _call(letter)) for letter in letters]
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "dead_letters": rows})
    else:
        for line in terminal.letter_lines(rows):
            say(line)
    return OK


@dlq.command()
@click.argument("id", type=int)
@spool_dir_option
@format_option("text", "json")
@click.pass_obj
@command
def show(project_of: ProjectOf, id: int, spool_dir: str | None, output: str) -> int:
    """The dead letter ID in full: the vendor's words and the call with its property values."""
    (letter,) = _chosen(_spool(project_of, spool_dir), [id], False, None)
    call = _call(letter)
    row = {**terminal.letter_row(letter, call), "detail": letter.detail}
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "dead_letter": {**row, "call": call}})
        return OK
    for key, value in row.items():
        say(f"{key.replace('_', ' ')}: {'-' if value is None else value}")
    for line in orjson.dumps(call, option=orjson.OPT_INDENT_2).decode().splitlines():
        say(line)
    return OK


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@destination_option
@spool_dir_option
@format_option("text", "json")
@click.pass_obj
@command
def replay(
    project_of: ProjectOf,
    ids: Sequence[int],
    everything: bool,
    destination: str | None,
    spool_dir: str | None,
    output: str,
) -> int:
    """Have dead letters tried again, with the message ids they had. Who ships notices within a second."""
    directory = _spool(project_of, spool_dir)
    letters = _chosen(directory, ids, everything, destination)
    moved = _change(directory, State.replay, letters)
    shipper = Role(directory / SHIPPER_LOCK).holder() if moved else None
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "replayed": moved, "shipper": shipper})
    else:
        who = f"process {shipper or '?'} ships them" if shipper is not None else "nobody ships now: `itly worker` does"
        say(f"{moved} of {len(letters)} will be tried again" + (f"; {who}" if moved else ""))
    return OK


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@destination_option
@spool_dir_option
@format_option("text", "json")
@click.pass_obj
@command
def purge(
    project_of: ProjectOf,
    ids: Sequence[int],
    everything: bool,
    yes: bool,
    destination: str | None,
    spool_dir: str | None,
    output: str,
) -> int:
    """Delete dead letters for good. They stay counted as dead."""
    directory = _spool(project_of, spool_dir)
    letters = _chosen(directory, ids, everything, destination)
    if letters and not yes:
        if output == "json" or not sys.stdin.isatty():
            raise ConfigError(f"{len(letters)} dead letters would be deleted for good: add --yes", key="--yes")
        if not click.confirm(f"Delete {len(letters)} dead letters for good?", err=True):
            return FINDINGS
    gone = _change(directory, State.purge, letters)
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "purged": gone})
    else:
        say(f"{gone} deleted")
    return OK


@click.command()
@spool_dir_option
@format_option("text", "json")
@click.pass_obj
@command
def stats(project_of: ProjectOf, spool_dir: str | None, output: str) -> int:
    """The whole spool: what became of every call, for each destination.

    accepted = delivered + dead + dropped + parked + queued + in flight. Calls that could not be stored are known only to
    the process that made them: `itly.stats()` there. A spool that does not exist yet has accepted nothing; that is no error.
    """
    names: Sequence[str] = ()
    if spool_dir is None:
        names = list(project_of().options().destinations.enabled())
    directory = _spool(project_of, spool_dir)
    with _trouble_with(directory):
        found = survey(directory, names)
    if output == "json":
        say_json({"ok": True, "exit_code": OK, **_survey_json(directory, found)})
    else:
        for line in terminal.survey_lines(str(directory), found):
            say(line)
    return OK


def _exit_code(report: Report, once: bool) -> int:
    match report.end:
        case End.TAKEN:
            return WRONG
        case End.STUCK | End.GONE:
            return FINDINGS
        case End.TIME if once:
            return FINDINGS
        case _:
            return OK


def _how_it_ended(report: Report, once: bool) -> Iterator[str]:
    match report.end:
        case End.TAKEN:
            yield f"another worker is at work here (process {report.holder or '?'}); one is enough for a spool"
        case End.GONE:
            yield "somebody deleted the spool; start again to ship from a new one"
        case End.EMPTY:
            yield "everything is shipped"
        case End.TIME if once:
            yield "the time is up; what is left stays in the spool"
        case End.STUCK:
            for name, account in report.accounts.items():
                if account.state == "held":
                    yield f"{name} is held: {account.reason}. Check its key and endpoint; every call is kept"
                elif account.state == "failing":
                    yield f"{name} takes nothing now: {account.reason}. Every call is kept, for the next time"
                elif account.parked:
                    yield f"{name} wants {account.parked} calls later than --once waits; they are kept"
        case _:
            yield "ended"


def _spool(project_of: ProjectOf, spool_dir: str | None) -> Path:
    if spool_dir is not None:
        return Path(spool_dir).absolute()
    options = project_of().options()
    if options.delivery.mode == "memory":
        raise ConfigError("there is no spool: delivery's mode is 'memory'", key="mode")
    return options.delivery.spool_path


def _letters(directory: Path, destination: str | None = None) -> list[DeadLetter]:
    if not (directory / STATE_FILE).exists():
        return []
    with _trouble_with(directory):
        state = State(directory, Log(), is_reader=True)
        try:
            return state.dead_letters(destination)
        finally:
            state.close()


def _chosen(directory: Path, ids: Sequence[int], everything: bool, destination: str | None) -> list[DeadLetter]:
    """The dead letters a command names.

    Raises:
        ConfigError: it names none, names them in two ways, or names one that is not there.
    """
    if bool(ids) == everything:
        raise ConfigError("say which: ids as `itly dlq list` shows them, or --all", key="ids")
    letters = _letters(directory, destination)
    if everything:
        return letters
    by_id = {letter.id: letter for letter in letters}
    missing = [str(wanted) for wanted in ids if wanted not in by_id]
    if missing:
        of = f" of {destination}" if destination else ""
        raise ConfigError(f"no dead letter{of} has the id {', '.join(missing)}; see `itly dlq list`", key="ids")
    return [by_id[wanted] for wanted in dict.fromkeys(ids)]


def _change(directory: Path, change: Callable[[State, Sequence[int]], int], letters: Sequence[DeadLetter]) -> int:
    if not letters:
        return 0
    with _trouble_with(directory):
        state = State(directory, Log())
        try:
            return change(state, [letter.id for letter in letters])
        finally:
            state.close()


@contextmanager
def _trouble_with(directory: Path) -> Iterator[None]:
    """
    Raises:
        ConfigError: in place of what says that the spool cannot be used.
    """
    try:
        yield
    except UNREADABLE as exc:
        raise ConfigError(f"the spool {directory} cannot be used: {exc}", key="spool_dir") from exc


def _call(letter: DeadLetter) -> Mapping[str, Any]:
    try:
        found = orjson.loads(letter.line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _survey_json(directory: Path, found: Survey) -> dict[str, Any]:
    figures = ("exists", "bytes", "files", "orphans", "quarantined", "free_bytes", "oldest_age")
    return {
        "spool": {"directory": str(directory), **{name: getattr(found, name) for name in figures}},
        "shipper": None if found.shipper is None else {"pid": found.shipper, "is_worker": found.is_worker},
        "destinations": found.destinations,
    }
