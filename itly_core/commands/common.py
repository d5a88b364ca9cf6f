"""What every command has in common: its exit codes, its errors, and how it speaks."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeVar

import click

from ..errors import ItlyError, PlanError, PullError
from ..project import Project

OK, FINDINGS, WRONG, UNREACHABLE, STALE = range(5)  # exit codes of every command

ProjectOf = Callable[[], Project]
Command = TypeVar("Command", bound=Callable[..., Any])


def command(run: Command) -> Command:
    """What is common to all commands: errors of ours become a message and the exit code they stand for.

    A command has an option --format, named `output`; errors are JSON where that is `json`. The code is given by ctx.exit,
    not by a return value, which click drops under another group such as Flask's.
    """

    @functools.wraps(run)
    def guarded(*args: Any, output: str, **kwargs: Any) -> NoReturn:
        try:
            code = run(*args, output=output, **kwargs)
        except ItlyError as exc:
            code = UNREACHABLE if isinstance(exc, PullError) else WRONG
            _complain(exc, code, output)
        click.get_current_context().exit(code)

    return guarded  # type: ignore[return-value]  # same options, another result


def format_option(*formats: str) -> Callable[[Command], Command]:
    """The option --format; the first is the default."""
    return click.option(
        "--format", "output", type=click.Choice(formats), default=formats[0], show_default=True, help="How to say it."
    )


def _complain(exc: ItlyError, code: int, output: str) -> None:
    if output != "json":
        lines = [str(exc)] if isinstance(exc, PlanError) else str(exc).splitlines()
        for line in lines:
            say(line, err=True)
        return
    details = {
        name: value
        for name in ("key", "location", "path", "url", "status")
        if (value := getattr(exc, name, None)) not in (None, "")
    }
    message = exc.message if isinstance(exc, PlanError) else str(exc)
    say_json({"ok": False, "exit_code": code, "error": {"type": type(exc).__name__, "message": message, **details}})


def say(line: str, err: bool = False) -> None:
    """Print a line, some of which may come from plans and calls."""
    click.echo(printable(line, sys.stderr if err else sys.stdout), err=err)


def printable(line: str, stream: Any) -> str:
    """The line such that nothing in it steers the terminal, begins another line, or stops a stream that is not UTF-8."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def annotation(level: Literal["error", "warning", "notice"], message: str, *, title: str, file: str, line: int) -> str:
    """A line that GitHub shows beside the code, where a workflow prints it. line: 0 where it is not known."""
    about = {"file": file, **({"line": str(line)} if line else {}), "title": title} if file else {"title": title}
    values = ",".join(f"{key}={_of_workflow(value, ':', ',')}" for key, value in about.items())
    return f"::{level} {values}::{_of_workflow(message)}"


def _of_workflow(text: str, *more: str) -> str:
    for char in ("%", "\r", "\n", *more):
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def say_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=True))
