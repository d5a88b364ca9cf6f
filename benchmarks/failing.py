"""A program of one library that makes calls and then ends badly. Says each event's id once its call has returned.

python failing.py LIBRARY URL FIRST COUNT ENDING [--nan N] [--adapter FILE]

ENDING, after the last call: exit (normally), wait (for ever), kill (itself, -9), fork (three more calls in a child),
flush (deliver, then exit), later (flush once a line comes on standard input). --nan: the N-th event has a NaN. --adapter:
an adapter beside the vendor, which raises once for each tenth event and notes the others in FILE.

Runs in the library's own environment. This project finds its package and spool in the environment, as in peers.py.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from event import CONTEXT, USER, properties
from peers import PEERS, Subject

CHILD = 50_000  # the ids of a forked child count from there,
AFTERWARDS = 90_000  # and those of a process that comes afterwards from here
FLUSH_S = 30.0


class Adapter:
    """Somebody's own code, which fails now and then."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._raised: set[str] = set()

    def track(self, user_id: str, event_name: str, properties: dict[str, Any]) -> None:
        found = properties["process_id"]
        if found.endswith("0") and found not in self._raised:
            self._raised.add(found)
            raise RuntimeError("an adapter that fails")
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(found + "\n")


def own(url: str, adapter: Path | None) -> Subject:
    """This project, with all its defaults."""
    sys.path.insert(0, os.environ["ITLY_BENCH_PACKAGE"])
    import itly

    chosen = {"custom": itly.CustomOptions(adapter=Adapter(adapter))} if adapter else {}
    itly.load(
        itly.Options(
            environment=itly.Environment.PRODUCTION,
            context=itly.Context(**CONTEXT),
            destinations=itly.DestinationsOptions(
                amplitude=itly.AmplitudeOptions(api_key="k", endpoint=url + "/2/httpapi"), **chosen
            ),
            delivery=itly.DeliveryOptions(spool_dir=os.environ["ITLY_BENCH_SPOOL"]),
        )
    )
    return Subject(track=lambda given: itly.process_started(USER, **given), flush=lambda: itly.flush(timeout=FLUSH_S))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("url")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("ending", choices=("exit", "wait", "kill", "fork", "flush", "later"))
    parser.add_argument("--nan", type=int)
    parser.add_argument("--adapter", type=Path)
    given = parser.parse_args()
    is_own = given.library == "itly"
    subject = own(given.url, given.adapter) if is_own else PEERS[given.library].build("default", given.url)

    def call(number: int) -> None:
        event = properties(number)
        if number == given.nan:
            event["load"] = math.nan
        subject.track(event)
        os.write(1, f"{event['process_id']}\n".encode())  # one write: nobody sees half an id

    for number in range(given.first, given.first + given.count):
        call(number)
    if given.ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if given.ending == "fork":
        child = os.fork()
        if not child:
            for number in range(CHILD, CHILD + 3):
                call(number)
            subject.flush()
            os._exit(0)
        os.waitpid(child, 0)
    os.write(1, b"done\n")
    if given.ending == "wait":
        signal.pause()
    if given.ending == "later":
        sys.stdin.readline()
    if given.ending in ("later", "flush"):
        subject.flush()


if __name__ == "__main__":
    main()
