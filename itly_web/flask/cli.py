"""`flask itly ...`: the commands of `itly`, with the settings of the app.

Registered as an entry point, so that it works where the app cannot be imported, which is how it is until the package
the app imports is generated. Every `flask` command of every project imports this module: it imports the commands only
when one is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click
from flask.cli import ScriptInfo

if TYPE_CHECKING:
    from itly_core.project import Project


class _Commands(click.Group):
    """The commands of itly_core.cli."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return _all().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _all().get_command(ctx, cmd_name)


@click.group("itly", cls=_Commands)
@click.pass_context
def itly(ctx: click.Context) -> None:
    """Tracking plan and delivery of analytics events."""
    info = ctx.ensure_object(ScriptInfo)
    ctx.obj = lambda: project_of(info)


def project_of(info: ScriptInfo) -> Project:
    """What the commands work on: the app's settings; [tool.itly] of pyproject.toml where no app can be had."""
    from itly_core.findings import Words
    from itly_core.project import Project, project_from_pyproject

    try:
        app = info.load_app()
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # whatever importing somebody's app raises
        reason = exc.format_message() if isinstance(exc, click.ClickException) else f"{type(exc).__name__}: {exc}"
        click.echo(f"No app to ask, so [tool.itly] of pyproject.toml is used. {reason.strip()}", err=True)
        # A worker with another spool than the app's would ship nothing, and nobody would notice.
        return replace(project_from_pyproject(), options=partial(_refuse, reason.strip()))
    state = app.extensions.get("itly")
    if state is None:
        return project_from_pyproject()
    from ..findings import host_findings, privacy_findings

    settings, words = state.settings, Words(setting=in_config, command=lambda name: f"flask itly {name}")
    return Project(
        package=settings.web.package,
        sources=settings.web.sources,
        sources_setting="app.config['ITLY']['SOURCES']",
        lint=settings.web.lint,
        lint_setting="app.config['ITLY']['LINT']",
        options=lambda: settings.options,
        examine=lambda: [*privacy_findings(settings, words), *host_findings(settings, words)],
        words=words,
    )


def in_config(key: str) -> str:
    """A setting as it stands in an app's configuration."""
    return f"app.config['ITLY'][{key!r}]"


def _refuse(reason: str) -> NoReturn:
    from itly_core.errors import ConfigError

    raise ConfigError(f"the app cannot be had, so nobody knows where its spool is: {reason}", key="FLASK_APP")


def _all() -> click.Group:
    from itly_core.cli import itly

    return itly
