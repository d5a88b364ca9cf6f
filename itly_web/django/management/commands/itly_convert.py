"""`manage.py itly_convert`: the command `itly convert`."""

from __future__ import annotations

from itly_core.commands.plan_files import convert

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = convert
