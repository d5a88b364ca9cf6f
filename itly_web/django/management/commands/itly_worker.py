"""`manage.py itly_worker`: the command `itly worker`."""

from __future__ import annotations

from itly_core.commands.delivery import worker

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = worker
    speaks_at_once = True
