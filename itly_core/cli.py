"""The commands, in every spelling: `itly …`, `python -m itly_core …`, `flask itly …`, `manage.py itly_…`.

A command takes its project from the click context, whose object is a function that makes it: it is called when the
command runs, so that `--help` works in a project that is broken.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import click

from .errors import ItlyError, PlanError, PullError
from .project import Project, project_from_pyproject
from .version import VERSION

__all__ = ["Project", "itly", "main", "project_from_pyproject", "pull"]

OK, FINDINGS, WRONG, UNREACHABLE, STALE = range(5)  # exit codes of every command

Format = Literal["text", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("itly")
@click.version_option(VERSION, message="itly %(version)s")
@click.pass_context
def itly(ctx: click.Context) -> None:
    """Tracking plan and delivery of analytics events."""
    if ctx.obj is None:
        ctx.obj = project_from_pyproject


def main(
    argv: Sequence[str] | None = None,
    project: Callable[[], Project] = project_from_pyproject,
    prog_name: str = "itly",
) -> int:
    """Run a command and return its exit code, without leaving the process.

    argv: without the program's name; the process's own if None. project: called when a command needs it.
    """
    try:
        code = itly.main(args=argv, prog_name=prog_name, obj=project, standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return FINDINGS
    return code if isinstance(code, int) else OK


def _command(run: Command) -> Command:
    """What is common to all commands: errors of ours become a message and the exit code they stand for.

    The code is given by ctx.exit, not by a return value, which click drops under another group such as Flask's.
    """

    @functools.wraps(run)
    def guarded(*args: Any, output: Format, **kwargs: Any) -> NoReturn:
        try:
            code = run(*args, output=output, **kwargs)
        except ItlyError as exc:
            code = UNREACHABLE if isinstance(exc, PullError) else WRONG
            _complain(exc, code, output)
        click.get_current_context().exit(code)

    return guarded  # type: ignore[return-value]  # same options, another result


def _complain(exc: ItlyError, code: int, output: Format) -> None:
    if output == "text":
        lines = [str(exc)] if isinstance(exc, PlanError) else str(exc).splitlines()
        for line in lines:
            _say(line, err=True)
        return
    details = {
        name: value
        for name in ("key", "location", "path", "url", "status")
        if (value := getattr(exc, name, None)) not in (None, "")
    }
    message = exc.message if isinstance(exc, PlanError) else str(exc)
    _say_json({"ok": False, "exit_code": code, "error": {"type": type(exc).__name__, "message": message, **details}})


def _say(line: str, err: bool = False) -> None:
    """Print a line, some of which comes from plans: nothing in it may steer the terminal, begin another line, or stop a
    terminal that is not UTF-8."""
    stream = sys.stderr if err else sys.stdout
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(shown.encode(encoding, "backslashreplace").decode(encoding), err=err)


def _say_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=True))


@itly.command()
@click.argument("source", required=False)
@click.option("--plan", metavar="FILE_DIR_OR_URL", help="Where the plan is, instead of where the settings say.")
@click.option("--path", metavar="DIRECTORY", help="Where the package goes.  [default: the project's, else ./itly]")
@click.option("--check", is_flag=True, help="Write nothing; exit 4 unless the package is what the plan gives.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--offline", is_flag=True, help="Ask no server: a plan that is behind one stays as last pulled.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
@_command
def pull(
    project_of: Callable[[], Project],
    source: str | None,
    plan: str | None,
    path: str | None,
    check: bool,
    dry_run: bool,
    offline: bool,
    output: Format,
) -> int:
    """Turn the tracking plan of SOURCE into a Python package.

    SOURCE is a name in the project's settings. It may be left out where they name one source, or with --plan.

    Exits 0 when all is well, 2 when the plan or the settings are wrong, 3 when a server does not answer as it should,
    4 when --check finds the package stale or edited. A pull that fails changes nothing.
    """
    from .plans.pulling import Mode, pull_plan

    project = project_of()
    pulled = pull_plan(
        project,
        source=source,
        plan=plan,
        path=Path(path) if path is not None else None,
        mode=Mode.CHECK if check else Mode.DRY_RUN if dry_run else Mode.WRITE,
        offline=offline,
    )
    code = STALE if check and pulled.differences else OK
    if output == "json":
        _say_json({"ok": code == OK, "exit_code": code, **pulled.as_json()})
    else:
        for line in pulled.as_text():
            _say(line)
    return code
