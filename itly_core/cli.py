"""The commands, in every spelling: `itly …`, `python -m itly_core …`, `flask itly …`, `manage.py itly_…`.

A command takes its project from the click context, whose object is a function that makes it: it is called when the
command runs, so that `--help` works in a project that is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click

from .commands.common import FINDINGS, OK, STALE, ProjectOf, command, format_option, say, say_json
from .project import Project, project_from_pyproject
from .version import VERSION

__all__ = ["Project", "itly", "main", "project_from_pyproject", "pull"]


_MODULE_OF = {
    "worker": "delivery",
    "dlq": "delivery",
    "stats": "delivery",
    "doctor": "doctor",
    "fmt": "plan_files",
    "convert": "plan_files",
    "init": "plan_files",
    "schema": "plan_files",
    "diff": "plan_diff",
    "lint": "plan_checks",
    "status": "plan_checks",
    "docs": "plan_docs",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: what ships calls, and its HTTP client, take longer to import than most
    commands take to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_MODULE_OF})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        wanted = [cmd_name] if cmd_name in _MODULE_OF else _MODULE_OF  # all, to find what a mistyped one is like
        for name in wanted if cmd_name not in self.commands else ():
            module = import_module(f".commands.{_MODULE_OF[name]}", __package__)
            self.add_command(getattr(module, name))
        return super().get_command(ctx, cmd_name)


@click.group("itly", cls=_Commands)
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


@itly.command()
@click.argument("source", required=False)
@click.option("--plan", metavar="FILE_DIR_OR_URL", help="Where the plan is, instead of where the settings say.")
@click.option("--path", metavar="DIRECTORY", help="Where the package goes.  [default: the project's, else ./itly]")
@click.option("--check", is_flag=True, help="Write nothing; exit 4 unless the package is what the plan gives.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--offline", is_flag=True, help="Ask no server: a plan that is behind one stays as last pulled.")
@format_option("text", "json")
@click.pass_obj
@command
def pull(
    project_of: ProjectOf,
    source: str | None,
    plan: str | None,
    path: str | None,
    check: bool,
    dry_run: bool,
    offline: bool,
    output: str,
) -> int:
    """Turn the tracking plan of SOURCE into a Python package.

    SOURCE is a name in the project's settings. It may be left out where they name one source, or with --plan.

    Exits 0 when all is well, 2 when the plan or the settings are wrong, 3 when a server does not answer as it should,
    4 when --check finds the package stale or edited. A pull that fails changes nothing.
    """
    from .commands.progress import progress
    from .plans.pulling import Mode, pull_plan

    project = project_of()
    with progress(output) as watch:
        pulled = pull_plan(
            project,
            source=source,
            plan=plan,
            path=Path(path) if path is not None else None,
            mode=Mode.CHECK if check else Mode.DRY_RUN if dry_run else Mode.WRITE,
            offline=offline,
            watch=watch,
        )
    code = STALE if check and pulled.differences else OK
    if output == "json":
        say_json({"ok": code == OK, "exit_code": code, **pulled.as_json()})
    else:
        for line in pulled.as_text():
            say(line)
    return code
