"""`itly diff`: what changed between two plans, and whom it breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..errors import ConfigError, PlanError
from ..project import Project
from ..suggest import unknown
from .common import FINDINGS, OK, ProjectOf, annotation, command, format_option, say, say_json

if TYPE_CHECKING:
    from ..plans.diff import Diff, Line, View
    from ..plans.raw import Raw
    from ..plans.server import Watch
    from ..plans.snapshot import Snapshot

FAIL_ON = ("breaking", "undecidable", "any", "version", "never")


@click.command("diff")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option(
    "--view",
    type=click.Choice(["both", "callers", "consumers"]),
    default="both",
    show_default=True,
    help="Whose verdict counts: the code that sends events, or those who read the data.",
)
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="breaking",
    show_default=True,
    help="What makes it exit 1; each of the first three includes those before it.",
)
@format_option("text", "json", "markdown", "github")
@click.pass_obj
@command
def diff(project_of: ProjectOf, old: str | None, new: str | None, view: str, fail_on: str, output: str) -> int:
    """Say what changed from plan OLD to plan NEW, and whom it breaks.

    OLD and NEW are sources of the project, files, directories, addresses, git+file://REPOSITORY@REF:PATH, or packages that
    a pull made. Without NEW it is the plan of the project's source. Without OLD, or where OLD is a source and there is no
    NEW, OLD is the package on disk: what a pull would change.

    Exits 0 when nothing is found that --fail-on names, 1 when something is, 2 when a plan or the settings are wrong, 3
    when a server does not answer as it should.
    """
    from ..plans.diff import View, diff
    from .progress import progress

    with progress(output) as watch:
        before, after, raws = _both(project_of, old, new, watch)
    found, whose = diff(before, after), View(view)
    code = FINDINGS if _fails(found, whose, fail_on) else OK
    if output == "json":
        say_json({"ok": code == OK, "exit_code": code, "view": view, **found.as_json(whose)})
    else:
        for line in _said(found, whose, output, raws):
            say(line)
    return code


def _fails(found: Diff, view: View, fail_on: str) -> bool:
    from ..plans.diff import Verdict

    if fail_on == "version":
        return found.is_too_low
    if fail_on == "any":
        return bool(found.lines)
    bad = {"breaking": {Verdict.BREAKING}, "undecidable": {Verdict.BREAKING, Verdict.UNDECIDABLE}}.get(fail_on, set())
    return any(line.verdict(view) in bad for line in found.lines)


def _said(found: Diff, view: View, output: str, raws: Sequence[Raw]) -> Iterator[str]:
    from ..plans import diff_report

    if output == "markdown":
        yield from diff_report.as_markdown(found, view)
    elif output == "github":
        yield from _annotations(found, view, _Places(raws))
    else:
        yield from diff_report.heading(found, view)
        if found.lines:
            yield from ("", diff_report.head(view))
        yield from diff_report.as_text(found, view)


def _annotations(found: Diff, view: View, places: _Places) -> Iterator[str]:
    """An error for what breaks, a warning for what is undecidable or a version too low.

    What is compatible is only counted: GitHub shows ten annotations of a kind.
    """
    from ..plans.diff import Verdict
    from ..plans.diff_report import advice_text, heading, views

    title = "itly diff"
    for line in found.seen(view):
        verdict = line.verdict(view)
        if verdict is Verdict.COMPATIBLE:
            continue
        whom = " and ".join(one.value for one in views(view) if line.verdict(one) is verdict)
        does = f"breaks {whom}" if verdict is Verdict.BREAKING else f"undecidable for {whom}"
        file, number = places.of(line)
        message = f"{line.subject}: {line.message} ({does})"
        level: Literal["error", "warning"] = "error" if verdict is Verdict.BREAKING else "warning"
        yield annotation(level, message, title=title, file=file, line=number)
    for one in found.versions:
        if one.is_enough is False:
            yield annotation("warning", advice_text(one), title=title, file="", line=0)
    yield annotation("notice", ": ".join(heading(found, view)), title=title, file="", line=0)


# --- the two plans


def _both(
    project_of: ProjectOf, old: str | None, new: str | None, watch: Watch
) -> tuple[Snapshot, Snapshot, Sequence[Raw]]:
    """Both plans, and the files of the new one."""
    if new is not None:
        reference, base, source = _reference(project_of, new)
    else:
        project = project_of()
        is_source = old is not None and not _is_place(old) and old in project.sources
        source = _source(project, old if is_source else None)
        reference, base = project.sources[source], project.base
        old = None if is_source else old
    after, raws = _read(reference, base, source, watch)
    if old is None:
        return _package(project_of()), after, raws
    reference_of_old, base_of_old, source_of_old = _reference(project_of, old)
    if not source_of_old:  # then of the same events as the new one
        source_of_old = source
        chosen = reference.get("filter") if isinstance(reference, Mapping) else None
        reference_of_old = {"plan": reference_of_old, "filter": chosen} if chosen else reference_of_old
    return _read(reference_of_old, base_of_old, source_of_old, watch)[0], after, raws


def _reference(project_of: ProjectOf, name: str) -> tuple[Any, Path, str]:
    """Where a plan is, what that is relative to, and the source it is of: empty where it is no source."""
    if not _is_place(name):
        project = project_of()
        if name in project.sources:
            return project.sources[name], project.base, name
        hint = f"; {unknown(name, project.sources)}" if project.sources else ""
        raise ConfigError(f"no source, file or directory {name!r}{hint}", key=name)
    return name, Path.cwd(), ""


def _is_place(name: str) -> bool:
    return Path(name).exists() or not {"/", ".", ":"}.isdisjoint(name)


def _source(project: Project, name: str | None) -> str:
    if name is not None:
        return name
    if len(project.sources) == 1:
        return next(iter(project.sources))
    if project.sources:
        names = ", ".join(sorted(project.sources))
        raise ConfigError(f"with which source? Name one of: {names}", key="source")
    raise ConfigError(
        f"with which plan? {project.sources_setting} names no source: name two plans, OLD and NEW", key="sources"
    )


def _read(reference: Any, base: Path, source: str, watch: Watch) -> tuple[Snapshot, Sequence[Raw]]:
    """The plan at a reference, which may be a package too."""
    from ..plans.fetch import is_url
    from ..plans.loading import parsed, read, source_table
    from ..plans.snapshot import is_package, of_package, of_plan

    table = source_table(reference)
    where = table.get("plan", source)
    raws, provider = read(table, base, watch=watch)
    if is_url(where):
        where = raws[0].name  # as it may be shown
    if len(raws) == 1 and is_package(raws[0].value):
        return of_package(raws[0].value, where), raws
    return of_plan(parsed(raws, provider, table, source), where), raws


def _package(project: Project) -> Snapshot:
    """The package on disk."""
    from ..plans.snapshot import is_package, of_package

    file = project.package_path / "_plan.json"
    again = "pull again, or name two plans"
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise PlanError(f"there is no package to compare with: {again}", location=str(file)) from None
    except (OSError, ValueError, RecursionError) as exc:
        raise PlanError(f"cannot be read: {exc}; {again}", location=str(file)) from exc
    if not is_package(document):
        raise PlanError(f"is not what a pull wrote: {again}", location=str(file))
    return of_package(document, project.package)


# --- where things stand in files


class _Places:
    """Where events and properties stand in the files of a plan, as far as these are of our own format."""

    def __init__(self, raws: Sequence[Raw]) -> None:
        self.raws = [raw for raw in raws if Path(raw.name).is_file()]

    def of(self, line: Line) -> tuple[str, int]:
        """The file, and the line of the property or, where it is gone, of what it was in. Neither where it is not known."""
        for raw in self.raws:
            root = raw.document.root if isinstance(raw.value, dict) else None
            if root is None:
                continue
            keys: tuple[str, ...] = ("events", line.name) if line.name else (line.kind,)
            place = root if root.value.get("name") == line.name != "" else root.get(*keys)
            if place.value is None:
                continue
            for step in line.path:
                steps = ("items",) if step == "[]" else ("properties", step)
                if step != "*" and place.get(*steps).value is not None:
                    place = place.get(*steps)
            return raw.name, int(place.location.rpartition(":")[2])
        return (self.raws[0].name if len(self.raws) == 1 else "", 0)
