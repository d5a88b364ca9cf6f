"""`manage.py itly_lint`: the command `itly lint`."""

from __future__ import annotations

from itly_core.commands.plan_checks import lint

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = lint
