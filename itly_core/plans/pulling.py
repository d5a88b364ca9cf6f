"""A pull: from the plan of a source to the package on disk, and what there is to say about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PlanError, PullError
from ..project import Project
from ..suggest import unknown
from . import diff_report
from .diff import Diff, View, diff
from .loading import Reference, is_remote, load, source_table
from .server import Watch, unwatched
from .snapshot import of_package

PLAN_FILE = "_plan.json"
MAX_LISTED = 20  # changes, in text


class Mode(Enum):
    """What a pull does with the package it has made."""

    WRITE = "write"
    CHECK = "check"
    DRY_RUN = "dry run"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What a pull found and did.

    path: the package's directory. diff: against the plan of the last pull; None where there is no package that says what
    that was. files: what was written, or would be.
    differences: file -> how it was not what the plan gives: missing, stale or edited. overwritten: the edited files that
    were written. kept: the server was not asked.
    """

    mode: Mode
    source: str
    plan: str
    version: str
    events: int
    path: Path
    diff: Diff | None
    files: tuple[str, ...] = ()
    differences: Mapping[str, str]
    overwritten: tuple[str, ...] = ()
    kept: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode.value,
            "source": self.source,
            "plan": {"name": self.plan, "version": self.version, "events": self.events},
            "path": str(self.path),
            "diff": None if self.diff is None else self.diff.as_json(),
            "files": list(self.files),
            "differences": dict(self.differences),
            "overwritten": list(self.overwritten),
            "kept": self.kept,
        }

    def as_text(self) -> Iterator[str]:
        """Lines for people."""
        if self.kept:
            yield f"{self.path} stays as it is: plan {self.plan} {self.version}, {_counted(self.events)}; nobody was asked."
        else:
            origin = f" from source {self.source}" if self.source else ""
            yield f"Plan {self.plan} {self.version}{origin}: {_counted(self.events)}."
        if self.diff is not None and self.diff.lines:
            yield f"Since the last pull ({self.diff.old.title}): {diff_report.counts_text(self.diff)}"
            yield diff_report.head(View.BOTH)
            yield from diff_report.as_text(self.diff, limit=MAX_LISTED)
        yield from (f"  {name} is {state}" for name, state in self.differences.items() if self.mode is Mode.CHECK)
        if self.kept:
            return
        if self.mode is Mode.CHECK:
            yield f"{self.path} is not what the plan gives." if self.differences else f"{self.path} is up to date."
        elif not self.files:
            yield f"{self.path} is up to date; nothing {'to write' if self.mode is Mode.DRY_RUN else 'written'}."
        else:
            yield f"{'Would write' if self.mode is Mode.DRY_RUN else 'Wrote'} {', '.join(self.files)} in {self.path}."
        if self.overwritten:
            yield f"Edits by hand are gone from {', '.join(self.overwritten)}."


def pull_plan(
    project: Project,
    *,
    source: str | None = None,
    plan: str | None = None,
    path: Path | None = None,
    mode: Mode = Mode.WRITE,
    offline: bool = False,
    watch: Watch = unwatched,
) -> Pulled:
    """Make the package of a source's plan, or see how the one on disk compares.

    source: a name in the project's sources; None: the only one there. plan: a file, directory or address instead.
    path: where the package goes, instead of where the project has it. offline: a plan behind a server stays as it was
    last pulled. watch: told of progress while a server is asked.

    Raises:
        ConfigError, PlanError: the settings or the plan are wrong; nothing is written.
        PullError: a server did not answer as it should; nothing is written.
    """
    from .. import codegen

    where = _shown(project.package_path) if path is None else path
    name, reference, base = _chosen(project, source, plan)
    before = _on_disk(where)
    if offline and is_remote(reference, base):
        return _kept(before, mode, name, where)
    resolved = load(reference, source=name, base=base, watch=watch)
    try:
        files = codegen.render(resolved)
    except PlanError as exc:  # it sees the resolved plan, not the file
        place = exc.location or source_table(reference).get("plan", name)
        raise PlanError(exc.message, path=exc.path, location=place) from exc
    after = json.loads(files[PLAN_FILE])
    differences = {difference.name: difference.kind for difference in codegen.compare(files, where)}
    done = codegen.write(files, where) if mode is Mode.WRITE else None
    return Pulled(
        mode=mode,
        source=resolved.source,
        plan=resolved.name,
        version=resolved.version,
        events=len(after["events"]),
        path=where,
        diff=None if before is None else diff(of_package(before), of_package(after)),
        files=() if mode is Mode.CHECK else tuple(sorted(differences)),
        differences=differences,
        overwritten=done.overwritten if done else (),
    )


def _chosen(project: Project, source: str | None, plan: str | None) -> tuple[str, Reference, Path]:
    """The source's name, where its plan is, and what that is relative to."""
    if plan is not None:  # as a path on any command line: relative to where the user stands
        return source or "", plan, Path.cwd()
    sources = project.sources
    if source is None and len(sources) == 1:
        source = next(iter(sources))
    if source is None:
        if sources:
            raise ConfigError(f"which source? Name one of: {', '.join(sorted(sources))}", key="source")
        raise ConfigError(
            f"no plan to pull: name its file, directory or address with --plan, or as a source in "
            f'{project.sources_setting}, such as python = "tracking-plan.yaml"',
            key="sources",
        )
    if source not in sources:
        hint = f"; {unknown(source, sources)}" if sources else ", which name none; to pull a file, write --plan FILE"
        raise ConfigError(f"no source {source!r} in {project.sources_setting}{hint}", key=source)
    return source, sources[source], project.base


def _shown(path: Path) -> Path:
    """Relative to the working directory, where the path is inside it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _on_disk(path: Path) -> Mapping[str, Any] | None:
    """The `_plan.json` of the package, None where there is no readable one."""
    try:
        document = json.loads((path / PLAN_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _kept(before: Mapping[str, Any] | None, mode: Mode, source: str, path: Path) -> Pulled:
    if before is None:
        raise PullError(f"offline, and there is no package in {path} to go on with: pull once with the network")
    plan = of_package(before)
    return Pulled(
        mode=mode,
        source=source,
        plan=plan.name,
        version=plan.version,
        events=len(plan.events),
        path=path,
        diff=None,
        differences=_edited(before, path),
        kept=True,
    )


def _edited(document: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Files of the package that are not as they were generated."""
    found = {}
    files = document.get("files")
    for name, digest in files.items() if isinstance(files, dict) else ():
        try:
            data = (path / name).read_bytes().replace(b"\r\n", b"\n")  # git may turn line ends
        except (OSError, ValueError):  # ValueError: no name of a file
            found[name] = "missing"
            continue
        if hashlib.sha256(data).hexdigest() != digest:
            found[name] = "edited"
    return found


def _counted(events: int) -> str:
    return "1 event" if events == 1 else f"{events} events"
