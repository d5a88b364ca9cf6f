"""A progress bar while a plan is read from a server, for a person who watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ..plans.server import Watch, unwatched

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def progress(output: str) -> Iterator[Watch]:
    """What to tell of progress. Shown on standard error where that is a terminal, from the first thing there is to tell;
    gone when all is read. Not beside JSON, which is for programs.
    """
    if output == "json" or not sys.stderr.isatty():
        yield unwatched
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Reading {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    tasks: dict[str, TaskID] = {}
    with ExitStack() as shown:

        def watch(what: str, done: int, total: int | None) -> None:
            if not tasks:
                shown.enter_context(bar)
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield watch
