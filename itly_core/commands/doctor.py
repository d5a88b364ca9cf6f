"""`itly doctor`: what would go wrong here, most severe first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from ..errors import ConfigError, ItlyError
from ..examination import examine_endpoints, examine_package, examine_running
from ..findings import Finding, destination_findings, error, most_severe_first
from ..project import Project
from .common import FINDINGS, OK, ProjectOf, command, format_option, say, say_json


@click.command()
@click.option("--offline", is_flag=True, help="Open no connection to see whether the vendors can be reached.")
@format_option("text", "json")
@click.pass_obj
@command
def doctor(project_of: ProjectOf, offline: bool, output: str) -> int:
    """Look at the settings, the package, the spool, the servers that run and the vendors, and say what would go wrong.

    Most severe first, each with what to do. Changes nothing and sends no event. Servers are found if they run on this
    machine, in the project's directory, as this user.

    Exits 0 when nothing was found, 1 when something was, 2 when the settings cannot be read at all.
    """
    found = most_severe_first(findings(project_of(), is_offline=offline))
    code = FINDINGS if found else OK
    if output == "json":
        say_json({"ok": code == OK, "exit_code": code, "findings": [asdict(finding) for finding in found]})
    else:
        for line in as_text(found):
            say(line)
    return code


def findings(project: Project, *, is_offline: bool) -> Iterator[Finding]:
    """Everything, in the order it is looked at."""
    try:
        options = project.options()
    except ConfigError as exc:
        told = list(project.examine())
        yield from told
        if not any(finding.severity == "error" for finding in told):
            yield error("E004", str(exc), "See docs/settings.md for what it takes.")
        return
    yield from project.examine()
    if options.disabled:
        return
    yield from destination_findings(options, project.words)
    yield from examine_package(project.package, options, project.sources, project.base, project.words)
    try:
        plan = project.plan().info
    except ItlyError:  # said above
        plan = {}
    yield from examine_running(options, plan, project.base, project.words)
    if not is_offline:
        yield from examine_endpoints(options, plan)


def as_text(found: Sequence[Finding]) -> Iterator[str]:
    if not found:
        yield "Nothing found."
        return
    for finding in found:
        yield f"{finding.severity:7}  {finding.id}  {' '.join(finding.message.split())}"
        yield f"               {' '.join(finding.hint.split())}"
    counts = Counter(finding.severity for finding in found)
    yield ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items())
