"""`manage.py itly_fmt`: the command `itly fmt`."""

from __future__ import annotations

from itly_core.commands.plan_files import fmt

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = fmt
