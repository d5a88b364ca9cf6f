"""`manage.py itly_schema`: the command `itly schema`."""

from __future__ import annotations

from itly_core.commands.plan_files import schema

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = schema
