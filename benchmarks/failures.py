"""What is lost when something breaks, here and with the peers: `python benchmarks/failures.py`.

Each row is real: a process that makes calls and ends badly, a vendor on the loopback that misbehaves, and a second
process that comes afterwards, as after a deploy. Printed are the calls that had returned, how many of them arrived, how
many are dead letters, lost, or arrived twice, and how long it took. What is said of the peers was measured the same way,
one run each; --peers does it again, with the versions pinned in environments.py. Exits 1 if a call of this project is
lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import environments
from failing import AFTERWARDS, CHILD
from peers import PEERS
from sink import process_ids

from itly_core.delivery.state import State
from itly_core.log import Log

sys.path.insert(0, str(environments.ROOT))  # for the vendor that the sample projects use
from sample_projects.local_sink import LocalSink

HERE = Path(__file__).parent
OWN = "itly"
COMPARED = ("segment", "amplitude", "posthog", "rudder", "snowplow")
PATIENCE_S = 45.0  # then a process that hangs is killed: some peers' flush does
AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Result:
    """calls: that had returned. end_s: from the last call, or the signal, to the end of the process that made them."""

    calls: int
    arrived: int
    dead: int
    duplicated: int
    end_s: float
    whole_s: float

    @property
    def lost(self) -> int:
        return self.calls - self.arrived - self.dead

    def __str__(self) -> str:
        dead = f", {self.dead} dead letter{'' if self.dead == 1 else 's'}" if self.dead else ""
        return f"{self.arrived:,} of {self.calls - self.dead:,}{dead}"


class Scene:
    """One library, one vendor, and the processes of one row."""

    def __init__(self, library: str, interpreter: str, package: str, sink: LocalSink, scratch: Path) -> None:
        self.library = library
        self.sink = sink
        self.notes = scratch / "adapter"
        self.ids: list[str] = []
        self.end_s = 0.0
        self._is_over = False
        self._interpreter = interpreter
        self._spool = scratch / "spool"
        own = {"ITLY_BENCH_PACKAGE": package, "ITLY_BENCH_SPOOL": str(self._spool), "PYTHONPATH": str(HERE)}
        self._environ = {**os.environ, **own}

    def run(
        self, count: int, ending: str, *options: str, after: Callable[[subprocess.Popen[str]], None] = lambda it: None
    ) -> None:
        """A process that makes its calls and ends. after: what happens to it behind the last one."""
        first = AFTERWARDS if self._is_over else 1
        command = [self._interpreter, str(HERE / "failing.py"), self.library, self.sink.url, str(first), str(count)]
        process = subprocess.Popen(
            [*command, ending, *options],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        # Whatever hangs, a forked child too, is killed in time.
        with process, _killed_after(PATIENCE_S, process):
            for line in process.stdout:
                if line == "done\n":
                    break
                if not self._is_over:  # a library may print something into the middle of a line
                    self.ids += (name.decode() for name in process_ids(line.encode()))
            began_s = time.monotonic()
            after(process)
            process.wait()
            if not self._is_over:
                self.end_s = time.monotonic() - began_s
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def next_process(self) -> None:
        """What comes after a crash or a deploy: it makes no call of these, and delivers."""
        self._is_over = True
        self.run(1, "flush")

    def arrived(self) -> Counter[str]:
        """{id: how often}; with an adapter, only what it got too."""
        found = Counter[str]()
        for event in self.sink.events():
            found.update(name.decode() for name in process_ids(json.dumps(event).encode()))
        if self.notes.exists():
            noted = Counter(self.notes.read_text("utf-8").split())
            found = Counter({name: max(found[name], noted[name]) for name in found.keys() & noted.keys()})
        return found

    def dead(self) -> int:
        """Calls kept as dead letters."""
        if self.library != OWN:
            return 0
        state = State(self._spool, Log(), is_reader=True)
        try:
            return len(state.dead_letters())
        finally:
            state.close()


@contextlib.contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill it and its children if the block takes longer."""
    watch = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


# The rows


def slow_at_exit(scene: Scene) -> None:
    scene.sink.script(delay_s=0.3)
    scene.run(2000, "exit")
    scene.next_process()


def down_at_exit(scene: Scene) -> None:
    scene.sink.go_down()
    scene.run(3, "exit")
    scene.sink.go_up()
    scene.next_process()


def terminated(scene: Scene) -> None:
    scene.run(5, "wait", after=lambda process: process.send_signal(signal.SIGTERM))
    scene.next_process()


def killed(scene: Scene) -> None:
    scene.run(200, "kill")
    scene.next_process()


def forked(scene: Scene) -> None:
    scene.run(1, "fork")
    scene.ids = [name for name in scene.ids if name >= f"p-{CHILD:08d}"]
    scene.next_process()


def too_large(scene: Scene) -> None:
    scene.sink.script(above_bytes=20_000)
    scene.run(100, "flush")


def backlog(scene: Scene) -> None:
    def come_back(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        scene.sink.script(above_bytes=100_000)
        scene.sink.go_up()
        process.stdin.write("now\n")
        process.stdin.flush()

    scene.sink.go_down()
    scene.run(2000, "later", after=come_back)


def poison(scene: Scene) -> None:
    scene.sink.script(match=lambda event: b"p-00000030" in process_ids(json.dumps(event).encode()), named=False)
    scene.run(61, "flush")


def not_a_number(scene: Scene) -> None:
    scene.sink.script(match=_has_nan, named=False)
    scene.run(61, "flush", "--nan", "30")


def raising_adapter(scene: Scene) -> None:
    scene.run(100, "flush", "--adapter", str(scene.notes))


def reset(scene: Scene) -> None:
    scene.sink.script(reset=True, times=1)
    scene.run(20, "flush")


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Mapping | list):
        return any(map(_has_nan, value.values() if isinstance(value, Mapping) else value))
    return False


@dataclass(frozen=True, kw_only=True)
class Row:
    """others: what was measured of the peers, as README says it. has_peers: whether --peers can do it again."""

    title: str
    act: Callable[[Scene], None]
    others: str
    has_peers: bool = True


ROWS = (
    Row(
        title="normal exit, 2,000 calls waiting, the vendor takes 300 ms to answer",
        act=slow_at_exit,
        others="Amplitude 2,000; PostHog 400 to 800; Segment 100 to 200; Snowplow 10 to 20",
    ),
    Row(
        title="the vendor is down at a normal exit, and up for the next process",
        act=down_at_exit,
        others="all 0; RudderStack hangs for 23 s and more",
    ),
    Row(title="SIGTERM, default handler", act=terminated, others="all 0"),
    Row(title="kill -9 right behind the last of 200 calls", act=killed, others="PostHog 100, Snowplow 10, Amplitude 0"),
    Row(
        title="the calls of a child that is forked after the first call",
        act=forked,
        others="PostHog 3; Segment, Amplitude, RudderStack, Snowplow 0, and their `flush` hangs",
    ),
    Row(
        title="the vendor answers 413 above 20 kB",
        act=too_large,
        others="Snowplow 100, in batches of ten; Amplitude 0 to 100; Segment, PostHog 0",
    ),
    Row(
        title="a backlog larger than the vendor takes at once, after an outage",
        act=backlog,
        others="PostHog, Snowplow 2,000, in small batches",
    ),
    Row(
        title="one NaN among 61 calls (arrives as null)",
        act=not_a_number,
        others="PostHog 61; Segment, Amplitude 0",
    ),
    Row(
        title="one call among 61 that the vendor refuses, with a 400 that does not say which",
        act=poison,
        others="PostHog, Segment, Amplitude 0",
    ),
    Row(
        title="an adapter or callback that raises, beside a vendor",
        act=raising_adapter,
        others="Segment, RudderStack, Snowplow: the sender dies, and all later calls with it",
        has_peers=False,
    ),
    Row(title="the connection is reset before the answer", act=reset, others="Amplitude 0"),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row as it came out. peers: {library: result}, those that were run again."""

    row: Row
    own: Result
    peers: Mapping[str, Result] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The row as README has it."""
        return f"| {self.row.title} | {self.own} | {self.row.others} |"


def measure(row: Row, library: str, interpreter: str, package: str) -> Result:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, LocalSink() as sink:
        began_s = time.monotonic()
        scene = Scene(library, interpreter, package, sink, Path(scratch))
        row.act(scene)
        whole_s = time.monotonic() - began_s
        arrived = scene.arrived()
        ours = set(scene.ids)
        return Result(
            calls=len(ours),
            arrived=len(ours & arrived.keys()),
            dead=scene.dead(),
            duplicated=sum(count - 1 for name, count in arrived.items() if name in ours),
            end_s=scene.end_s,
            whole_s=whole_s,
        )


def table(found: Sequence[Measured], peers: Sequence[str]) -> str:
    lines = ["  lost  twice   end, s  whole, s  delivered                  what happens"]
    for item in found:
        own = item.own
        lines.append(
            f"{own.lost:6,} {own.duplicated:6,} {own.end_s:8.1f} {own.whole_s:9.1f}  {own!s:25}  {item.row.title}"
        )
        for name in peers:
            if name in item.peers:
                again = item.peers[name]
                lines.append(
                    f"{again.lost:6,} {again.duplicated:6,} {again.end_s:8.1f} {again.whole_s:9.1f}  {again!s:25}"
                    f"    {PEERS[name].title}"
                )
        if not item.peers:
            lines.append(f"{'':60}    measured before: {item.row.others}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="several rows at once: the times then say little")
    parser.add_argument(
        "--peers", action="store_true", help="run the peers again, instead of quoting what was measured"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured to FILE")
    given = parser.parse_args()

    package = environments.package(sys.executable)
    modern = environments.python("modern") if given.peers else ""

    def run(row: Row) -> Measured:
        peers = COMPARED if given.peers and row.has_peers else ()
        own = measure(row, OWN, sys.executable, package)
        again = {name: measure(row, name, modern, package) for name in peers}
        print(f"\r{row.title[:70]:70}", end="", file=sys.stderr, flush=True)
        return Measured(row=row, own=own, peers=again)

    with ThreadPoolExecutor(AT_ONCE if given.quick else 1) as pool:
        found = list(pool.map(run, ROWS))
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    print(table(found, COMPARED))
    if given.json:
        rows = [
            {
                "title": item.row.title,
                "line": item.line,
                "own": {**asdict(item.own), "lost": item.own.lost},
                "peers": {name: {**asdict(result), "lost": result.lost} for name, result in item.peers.items()},
            }
            for item in found
        ]
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(item.own.lost for item in found) else 0


if __name__ == "__main__":
    sys.exit(main())
