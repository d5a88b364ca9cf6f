"""`manage.py itly_docs`: the command `itly docs`."""

from __future__ import annotations

from itly_core.commands.plan_docs import docs

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = docs
