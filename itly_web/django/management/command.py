"""A command of itly_core.cli as a management command: its parameters, help and exit codes, in Django's manner."""

from __future__ import annotations

import io
import sys
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import click
from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError

from itly_core.commands.common import FINDINGS
from itly_core.project import Project

from ...settings import read
from ..checks import WORDS, findings
from ..integration import project_directory, settings_mapping


class ItlyCommand(BaseCommand):
    """Base of the itly commands. A subclass names the click command; everything else is read off it."""

    # With the default checks `itly_pull` could not start: urls import views, and views the package it has yet to make.
    requires_system_checks = []
    requires_migrations_checks = False

    command: click.Command
    speaks_at_once = False  # whether what it says on standard error cannot wait until it ends

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = self.command.help or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        if isinstance(self.command, click.Group):
            parsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
            for name, command in self.command.commands.items():
                text = command.help or ""
                self._add_parameters(parsers.add_parser(name, help=text.splitlines()[0], description=text), command)
        else:
            self._add_parameters(parser, self.command)

    def handle(self, *args: Any, **options: Any) -> None:
        """
        Raises:
            CommandError: the command failed; `returncode` is its exit code.
            SystemExit: it ran, and has findings.
        """
        complaints: Any = sys.stderr if self.speaks_at_once else io.StringIO()
        out: Any = getattr(self.stdout, "_out", self.stdout)  # Django's wrapper would break lines of its own
        with redirect_stdout(out), redirect_stderr(complaints):
            code = self._run(options)
        text = "" if self.speaks_at_once else complaints.getvalue().strip()
        if code and text:
            raise CommandError(text, returncode=code)
        if text:
            self.stderr.write(text)
        if code:
            sys.exit(code)

    def _run(self, options: dict[str, Any]) -> int:
        name = type(self).__module__.rpartition(".")[2]
        try:
            code = self.command.main(
                args=_arguments(self.command, options), prog_name=name, obj=project_from_settings, standalone_mode=False
            )
        except click.ClickException as exc:
            click.echo(exc.format_message(), err=True)
            return exc.exit_code
        except click.Abort:
            click.echo("Aborted.", err=True)
            return FINDINGS
        return code if isinstance(code, int) else 0

    def _add_parameters(self, parser: ArgumentParser, command: click.Command) -> None:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                self._add_option(parser, parameter)
            else:
                nargs = "*" if parameter.nargs == -1 else None if parameter.required else "?"
                parser.add_argument(str(parameter.name), nargs=nargs)

    @staticmethod
    def _add_option(parser: ArgumentParser, option: click.Option) -> None:
        common: dict[str, Any] = {"dest": _destination(option), "help": (option.help or "").replace("%", "%%")}
        if option.is_flag:
            parser.add_argument(*option.opts, action="store_true", **common)
        else:
            choices = list(option.type.choices) if isinstance(option.type, click.Choice) else None
            parser.add_argument(*option.opts, choices=choices, metavar=option.metavar, **common)


def project_from_settings() -> Project:
    """What the commands work on. A wrong vendor key does not stop a pull: all settings are read when a command asks."""
    given = settings_mapping()
    needed = ("PACKAGE", "SOURCES", "LINT")
    some = {key: given[key] for key in needed if key in given} if isinstance(given, dict) else given
    web = read(some, is_debug=django_settings.DEBUG).web
    return Project(
        base=project_directory(),
        package=web.package,
        sources=web.sources,
        sources_setting="ITLY['SOURCES']",
        lint=web.lint,
        lint_setting="ITLY['LINT']",
        options=lambda: read(given, is_debug=django_settings.DEBUG).options,
        examine=findings,
        words=WORDS,
    )


def _arguments(command: click.Command, options: dict[str, Any]) -> list[str]:
    """The command line again, as click parses it."""
    if isinstance(command, click.Group):
        name = options["subcommand"]
        return [name, *_arguments(command.commands[name], options)]
    line: list[str] = []
    values: list[str] = []
    for parameter in command.params:
        if not isinstance(parameter, click.Option):
            value = options.get(str(parameter.name))
            values += [] if value is None else map(str, value) if isinstance(value, list | tuple) else [str(value)]
            continue
        value = options.get(_destination(parameter))
        if parameter.is_flag:
            line += [parameter.opts[0]] if value else []
        elif value is not None:
            line += [parameter.opts[0], str(value)]
    return [*line, "--", *values]


def _destination(option: click.Option) -> str:
    """The name in `call_command`: what the user types, without the dashes."""
    return max(option.opts, key=len).lstrip("-").replace("-", "_")
