"""Commands that check: `lint` looks at the plan, `status` at the code that uses it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from ..project import Project
from ..suggest import unknown
from .common import FINDINGS, OK, STALE, ProjectOf, annotation, command, format_option, say, say_json

if TYPE_CHECKING:
    from ..plans.lint import Finding
    from ..plans.status import Status


@click.command()
@click.argument("plan", nargs=-1)
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--explain", metavar="RULE", help="Say what a rule wants, with a bad and a good plan, and check nothing.")
@format_option("text", "json", "github")
@click.pass_obj
@command
def lint(project_of: ProjectOf, plan: tuple[str, ...], strict: bool, explain: str | None, output: str) -> int:
    """Find what is doubtful in tracking plans.

    PLAN is a source of the project, or a file, a directory or an address. Without any: all sources of the project.

    Exits 0 when there is no error, 1 when there is one, 2 when a plan or the settings are wrong, 3 when a server does not
    answer as it should.
    """
    from ..plans.lint import lint as look
    from ..plans.lint import read_options
    from .progress import progress

    if explain is not None:
        return _explain(explain, output)
    project = project_of()
    options = read_options(project.lint, project.lint_setting)
    findings: list[Finding] = []
    events = 0
    with progress(output) as watch:
        for reference, base in _plans(project, plan):
            linted = look(reference, options, base=base, watch=watch)
            findings += linted.findings
            events += linted.events
    counts = Counter(finding.severity for finding in findings)
    code = FINDINGS if counts["error"] or (strict and findings) else OK
    if output == "json":
        listed = [dataclasses.asdict(finding) for finding in findings]
        total = {"events": events, "errors": counts["error"], "warnings": counts["warning"]}
        say_json({"ok": code == OK, "exit_code": code, **total, "findings": listed})
        return code
    for finding in findings:
        say(_annotated(finding) if output == "github" else str(finding))
    says = [_counted(counts["error"], "error"), _counted(counts["warning"], "warning")]
    say(f"{' and '.join(says)} in {_counted(events, 'event')}.")
    return code


def _explain(name: str, output: str) -> int:
    from ..plans.rules import RULES, whole

    rule = RULES.get(name)
    if rule is None:
        raise ConfigError(f"unknown rule {name!r}; {unknown(name, RULES)}", key=name)
    bad, good = whole(rule.bad), whole(rule.good)
    if output == "json":
        say_json({"id": rule.id, "severity": rule.severity, "wants": rule.wants, "bad": bad, "good": good})
        return OK
    say(f"{rule.id} ({rule.severity}): {rule.wants}")
    for title, text in (("Bad:", bad), ("Good:", good)):
        say("")
        say(title)
        for line in text.splitlines():
            say(f"  {line}")
    return OK


def _annotated(finding: Finding) -> str:
    level: Any = finding.severity
    message = f"{finding.path}: {finding.message}"
    return annotation(level, message, title=f"itly lint {finding.rule}", file=finding.file, line=finding.line)


def _plans(project: Project, given: Sequence[str]) -> Iterator[tuple[Any, Path]]:
    """Where the plans are, and what that is relative to."""
    if not given and not project.sources:
        raise ConfigError(f"which plan? Name a file, or give sources in {project.sources_setting}", key="plan")
    for name in given or project.sources:
        if name in project.sources and not (given and Path(name).exists()):
            yield project.sources[name], project.base
        elif Path(name).exists() or not {"/", ".", ":"}.isdisjoint(name):
            yield name, Path.cwd()
        else:
            hint = f"; {unknown(name, project.sources)}" if project.sources else ""
            raise ConfigError(f"no source, file or directory {name!r}{hint}", key=name)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@click.command()
@click.argument("paths", nargs=-1)
@click.option(
    "--fail-on",
    metavar="KINDS",
    default="unknown,removed,bad",
    show_default=True,
    help="What makes it exit 1, separated by commas: unknown, removed, bad, deprecated, missing, unreadable; or never.",
)
@click.option("--exclude", metavar="PATTERNS", help="Files to leave out, separated by commas, such as 'tests/*'.")
@click.option("--is-latest", is_flag=True, help="Also exit 4 if the package is not what a pull would give.")
@format_option("text", "json", "github")
@click.pass_obj
@command
def status(
    project_of: ProjectOf, paths: tuple[str, ...], fail_on: str, exclude: str | None, is_latest: bool, output: str
) -> int:
    """Say where the code sends each event of the plan, and what is wrong with how it does.

    PATHS are files and directories of Python code; without any, the project's directory. The plan is that of the generated
    package. Nothing is run or imported.

    Exits 0 when nothing is found that --fail-on names, 1 when something is, 2 when the package or the settings are wrong,
    4 when --is-latest finds the package stale.
    """
    from ..plans.status import KINDS, statuses

    kinds = [] if fail_on == "never" else _listed(fail_on)
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"--fail-on {kind!r}: {unknown(kind, [*KINDS, 'never'])}", key="fail-on")
    project = project_of()
    found = statuses(project, [Path(path) for path in paths], _listed(exclude or ""))
    stale = _stale(project) if is_latest else False
    code = FINDINGS if any(one.kind in kinds for status in found for one in status.findings) else STALE if stale else OK
    if output == "json":
        about: dict[str, Any] = {"is_latest": not stale} if is_latest else {}
        packages = [{**dataclasses.asdict(status), "path": str(status.path)} for status in found]
        say_json({"ok": code == OK, "exit_code": code, **about, "packages": packages})
        return code
    for status in found:
        for line in _as_annotations(status, kinds) if output == "github" else _as_text(status):
            say(line)
    if stale:
        say("The package is not what its source gives: pull again.")
    return code


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _stale(project: Project) -> bool:
    from ..plans.pulling import Mode, pull_plan

    return bool(pull_plan(project, mode=Mode.CHECK).differences)


def _as_text(status: Status) -> Iterator[str]:
    sent = sum(event.is_implemented for event in status.events)
    title = " ".join(part for part in ("Plan", status.plan, status.version) if part)
    total = _counted(len(status.events), "event")
    yield f"{title} in {status.path}: {sent} of {total} sent, in {_counted(status.files, 'file')} of code."
    rows = [(event.name, event.status, event.places) for event in status.events]
    rows += [(name, "active", places) for name, places in status.calls.items() if places]
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, state, places in rows:
        where = ", ".join(f"{place.file}:{place.line}" for place in places) or "nowhere"
        yield f"  {name:{width}}  {where}{'' if state == 'active' else f' ({state})'}"
    yield from (str(finding) for finding in status.findings if finding.kind != "missing")


def _as_annotations(status: Status, kinds: Sequence[str]) -> Iterator[str]:
    for finding in status.findings:
        level: Any = "error" if finding.kind in kinds else "notice" if finding.kind == "missing" else "warning"
        title = f"itly status: {finding.kind}"
        yield annotation(level, finding.message, title=title, file=finding.file, line=finding.line)
    yield next(_as_text(status))
