"""`docs`: a page about a plan, for those who do not read its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..suggest import unknown
from .common import OK, ProjectOf, command, format_option, say, say_json

PAGES = (".html", ".htm")


@click.command()
@click.argument("plan", required=False)
@click.option(
    "--out",
    metavar="FILE_OR_DIRECTORY",
    default="tracking-plan.html",
    show_default=True,
    help="Where the page goes; into a directory it goes as index.html.",
)
@click.option("--force", is_flag=True, help="Write over a file that is no such page.")
@format_option("text", "json")
@click.pass_obj
@command
def docs(project_of: ProjectOf, plan: str | None, out: str, force: bool, output: str) -> int:
    """Write a catalogue of a plan: one HTML page with its events, their properties and how to call them.

    PLAN is a source of the project, or a file, a directory or an address. It may be left out where the project names one
    source.
    """
    from ..catalogue import MARKER, page
    from ..plans import load
    from .plan_files import write_file
    from .progress import progress

    source, reference, base = _chosen(project_of, plan)
    target = Path(out)
    if target.suffix.lower() not in PAGES or target.is_dir():
        target /= "index.html"
    if target.exists() and not force and MARKER.encode() not in _begin(target):
        raise ConfigError(f"{target} was not written by itly docs; write over it with --force", key="out")
    with progress(output) as watch:
        found = load(reference, source=source, base=base, watch=watch)
    content = page(found)
    _make_directory(target.parent)
    write_file(target, content)
    events = sum(event.status != "removed" for event in found.events)
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "path": str(target), "events": events})
    else:
        say(f"Wrote {target}: {events} {'event' if events == 1 else 'events'}.")
    return OK


def _chosen(project_of: ProjectOf, plan: str | None) -> tuple[str, Any, Path]:
    """The source's name, where its plan is, and what that is relative to."""
    if plan is not None and (Path(plan).exists() or not {"/", ".", ":"}.isdisjoint(plan)):
        return "", plan, Path.cwd()
    project = project_of()
    if plan is None and len(project.sources) == 1:
        plan = next(iter(project.sources))
    if plan is None:
        raise ConfigError(f"which plan? Name a file, or one of the sources in {project.sources_setting}", key="plan")
    if plan not in project.sources:
        hint = f"; {unknown(plan, project.sources)}" if project.sources else ""
        raise ConfigError(f"no source, file or directory {plan!r}{hint}", key=plan)
    return plan, project.sources[plan], project.base


def _begin(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(4096)
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror or exc}", key="out") from exc


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be made: {exc.strerror or exc}", key="out") from exc
