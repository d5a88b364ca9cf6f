"""`manage.py itly_status`: the command `itly status`."""

from __future__ import annotations

from itly_core.commands.plan_checks import status

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = status
