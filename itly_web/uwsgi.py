"""What uWSGI must be told so that a background thread lives: asked of uWSGI itself, from within a worker."""

from __future__ import annotations

import sys
from typing import Any

from itly_core.findings import uwsgi_problems
from itly_core.log import Log


def found_here() -> list[str]:
    """The same for this process; nothing where it is no uWSGI worker."""
    uwsgi: Any = sys.modules.get("uwsgi")
    try:
        return list(uwsgi_problems(uwsgi.opt, int(uwsgi.numproc))) if uwsgi is not None else []
    except Exception:  # noqa: BLE001  # something else of that name
        return []


def warn_about_uwsgi(log: Log) -> None:
    """Say it once, where the server's log is read."""
    for problem in found_here():
        log.error_once(problem)
