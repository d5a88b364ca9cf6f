"""`manage.py itly_pull`: the command `itly pull`."""

from __future__ import annotations

from itly_core.cli import pull

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = pull
