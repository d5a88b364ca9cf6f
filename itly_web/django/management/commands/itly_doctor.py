"""`manage.py itly_doctor`: the command `itly doctor`."""

from __future__ import annotations

from itly_core.commands.doctor import doctor

from ..command import ItlyCommand


class Command(ItlyCommand):
    command = doctor
