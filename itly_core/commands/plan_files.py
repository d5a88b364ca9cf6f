"""Commands that write plan files: `fmt`, `convert`, `init`, and `schema` for editors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError, PlanError
from ..project import Project
from .common import FINDINGS, OK, ProjectOf, command, format_option, say, say_json


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is not in the style.")
@format_option("text", "json")
@click.pass_obj
@command
def fmt(project_of: ProjectOf, paths: tuple[str, ...], check: bool, output: str) -> int:
    """Write plan files in one order and style.

    PATHS are files or directories; without any, the files of the project's sources. Comments are kept, and so is the order
    of events and properties.
    """
    from ..plans.style import formatted

    changed, kept = [], 0
    for file in _ours(paths, project_of):
        data = _read(file)
        new = formatted(str(file), data)
        if new == data:
            kept += 1
            continue
        changed.append(str(file))
        if not check:
            write_file(file, new)
    code = FINDINGS if check and changed else OK
    if output == "json":
        say_json({"ok": code == OK, "exit_code": code, "changed": changed, "unchanged": kept})
        return code
    for name in changed:
        say(f"{'Would write' if check else 'Wrote'} {name}.")
    if kept or not changed:
        say(f"{kept} {'file was' if kept == 1 else 'files were'} in the style already.")
    return code


def _ours(paths: Sequence[str], project_of: ProjectOf) -> Iterator[Path]:
    """The files of our own format among these. A file that is named must be one."""
    from ..plans.fetch import SUFFIXES

    for path in [Path(one) for one in paths] or _of_sources(project_of()):
        if not path.exists():
            raise PlanError("no such file or directory", location=str(path))
        if path.is_file():
            if not _is_ours(path):
                raise PlanError(
                    "is no plan of this format (`itly: 1`); `itly convert` makes one of it", location=str(path)
                )
            yield path
            continue
        files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(SUFFIXES) and file.is_file())
        shown = [file for file in files if not any(step.startswith(".") for step in file.relative_to(path).parts)]
        if any(_is_ours(file, alone=True) for file in shown):
            yield from (file for file in shown if _is_ours(file))


def _is_ours(file: Path, alone: bool = False) -> bool:
    """Whether a file says that it is of our format, or is the file of one event. alone: the former only."""
    from ..plans.syntax import read

    value = read(str(file), _read(file)).value
    return isinstance(value, dict) and ("itly" in value or (not alone and isinstance(value.get("name"), str)))


def _of_sources(project: Project) -> list[Path]:
    from ..plans.fetch import is_git, is_pattern, is_url
    from ..plans.loading import source_table

    places = [source_table(source) for source in project.sources.values()]
    found = [
        project.base / table["plan"]
        for table in places
        if "plan" in table and not is_url(table["plan"]) and not is_git(table["plan"]) and not is_pattern(table["plan"])
    ]
    local = [_shown(path) for path in found if path.exists() and (path.is_dir() or _is_ours(path))]
    if not local:
        raise ConfigError(
            f"which files? No source in {project.sources_setting} is a plan file of this format", key="sources"
        )
    return local


@click.command()
@click.argument("plan", required=False)
@click.option("--provider", metavar="NAME", help="The format it is in, instead of recognising it.")
@click.option(
    "--to", "syntax", type=click.Choice(["yaml", "json"]), help="What to write.  [default: by --out, else yaml]"
)
@click.option("--out", metavar="FILE", help="Where to write it.  [default: standard output]")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@format_option("text", "json")
@click.pass_obj
@command
def convert(
    project_of: ProjectOf,
    plan: str | None,
    provider: str | None,
    syntax: str | None,
    out: str | None,
    force: bool,
    output: str,
) -> int:
    """Write a plan in the format of itly, whatever format it is in.

    PLAN is a source of the project, or a file, a directory, an address, or PROVIDER:ID of a vendor. It may be left out
    where the project names one source.
    """
    from ..plans.converting import converted
    from ..plans.style import json_text, yaml_of
    from .progress import progress

    target = Path(out) if out is not None else None
    if target is not None and target.exists() and not force:
        raise ConfigError(f"{target} is there already; write over it with --force", key="out")
    reference, base = _reference(project_of, plan, provider)
    with progress(output) as watch:
        document = converted(reference, base=base, watch=watch)
    is_json = syntax == "json" or (syntax is None and target is not None and target.suffix.lower() == ".json")
    text = json_text(document) if is_json else yaml_of(document)
    if target is None:
        click.echo(text, nl=False)
        return OK
    write_file(target, text)
    events = len(document.get("events") or ())
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "path": str(target), "events": events})
    else:
        say(f"Wrote {target}: {events} {'event' if events == 1 else 'events'}.")
    return OK


def _reference(project_of: ProjectOf, plan: str | None, provider: str | None) -> tuple[Any, Path]:
    """Where the plan is, and what that is relative to."""
    more = {"provider": provider} if provider else {}
    if plan is not None and (Path(plan).exists() or "/" in plan or "." in plan or ":" in plan):
        return {"plan": plan, **more} if more else plan, Path.cwd()
    project = project_of()
    if plan is None and len(project.sources) == 1:
        plan = next(iter(project.sources))
    if plan is None:
        raise ConfigError(f"which plan? Name a file, or one of the sources in {project.sources_setting}", key="plan")
    if plan not in project.sources:
        return {"plan": plan, **more} if more else plan, Path.cwd()
    source = project.sources[plan]
    table = dict(source) if isinstance(source, dict) else {"plan": source}
    return {**table, **more}, project.base


@click.command()
@click.argument("path", default="tracking-plan.yaml")
@format_option("text", "json")
@click.pass_obj
@command
def init(project_of: ProjectOf, path: str, output: str) -> int:
    """Write a small plan to begin with, to PATH or tracking-plan.yaml."""
    from ..plans.starter import starter
    from ..plans.style import formatted

    file = Path(path)
    if file.is_dir():
        file /= "tracking-plan.yaml"
    if file.exists():
        raise ConfigError(f"{file} is there already; name another file", key="path")
    project = project_of()
    name = project.base.resolve().name or "Product"
    write_file(file, formatted(str(file), starter(name, "analytics").encode()))
    if output == "json":
        say_json({"ok": True, "exit_code": OK, "path": str(file)})
        return OK
    say(f"Wrote {file}.")
    if not project.sources:
        say(f'Name it in {project.sources_setting}: python = "{file.as_posix()}". Then: itly pull python')
    return OK


@click.command()
@format_option("text", "json")
@command
def schema(output: str) -> int:
    """Print the JSON Schema of plan files, for editors that complete and check them."""
    from importlib.resources import files

    text = files("itly_core.plans").joinpath("plan.schema.json").read_text("utf-8")
    click.echo(text, nl=False)
    return OK


def _shown(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise PlanError(f"cannot be read: {exc.strerror or exc}", location=str(file)) from exc


def write_file(file: Path, data: bytes) -> None:
    """All of it or nothing; the file keeps its permissions."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        real = file.resolve()  # a link stays a link
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(name, mode)
            os.replace(name, real)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror or exc}", key="path") from exc


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
