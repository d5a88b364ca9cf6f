"""What uWSGI must be told so that a background thread lives: asked of uWSGI itself, from within a worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from itly_core.log import Log


def problems(options: Mapping[str, Any], workers: int) -> Iterator[str]:
    """What is wrong with uWSGI's options. Names and values are bytes or text, by its version."""
    given = {_text(name) for name, value in options.items() if _text(value) not in ("false", "0", "no")}
    if not given & {"enable-threads", "threads"}:
        yield "uWSGI runs without threads: add --enable-threads, or events wait until the worker ends"
    if workers > 1 and not given & {"lazy-apps", "lazy", "py-call-uwsgi-fork-hooks", "py-call-osafterfork"}:
        yield "uWSGI forks without telling Python: add --lazy-apps or --py-call-uwsgi-fork-hooks"


def found_here() -> list[str]:
    """The same for this process; nothing where it is no uWSGI worker."""
    uwsgi: Any = sys.modules.get("uwsgi")
    try:
        return list(problems(uwsgi.opt, int(uwsgi.numproc))) if uwsgi is not None else []
    except Exception:  # noqa: BLE001  # something else of that name
        return []


def warn_about_uwsgi(log: Log) -> None:
    """Say it once, where the server's log is read."""
    for problem in found_here():
        log.error_once(problem)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace").lower() if isinstance(value, bytes) else str(value).lower()
