"""`manage.py itly_stats`: the command `itly stats`."""

from __future__ import annotations

from itly_core.commands.delivery import stats

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = stats
