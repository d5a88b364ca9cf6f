"""`manage.py itly_diff`: the command `itly diff`."""

from __future__ import annotations

from itly_core.commands.plan_diff import diff

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = diff
