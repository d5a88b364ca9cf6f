"""`manage.py itly_init`: the command `itly init`."""

from __future__ import annotations

from itly_core.commands.plan_files import init

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = init
