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
from .common import FINDINGS, OK, ProjectOf, annotation, command, format_option, say, say_json

if TYPE_CHECKING:
    from ..plans.lint import Finding


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


COMMANDS = (lint,)
