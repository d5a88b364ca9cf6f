"""`manage.py itly_dlq`: the command `itly dlq`."""

from __future__ import annotations

from itly_core.commands.delivery import dlq

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = dlq
