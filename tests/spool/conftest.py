"""A spool, processes that accept into it, and the judge of what arrived."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sample_projects.local_sink import LocalSink

BATCH = 1000  # the most a killed shipper can have sent without writing it down
PROGRAM = Path(__file__).with_name("accepting.py")


class Accepting:
    """A process that accepts calls; `ids` are those whose calls have returned."""

    def __init__(self, arguments: Sequence[str], prefix: Sequence[str] = ()) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ITLY"))}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(PROGRAM), *arguments],
            stdout=subprocess.PIPE,
            env={**kept, "PYTHONPATH": str(PROGRAM.parents[2])},
        )
        self.ids: list[str] = []
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, count: int, timeout_s: float = 30.0) -> None:
        """Until that many lines were said."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.lines) >= count, timeout_s), self.lines[-3:]

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self, timeout_s: float = 700.0) -> int:
        code = self.process.wait(timeout_s)
        self._reader.join(10.0)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                if line.endswith(b"\n"):
                    with self._changed:
                        self.lines.append(line.decode().strip())
                        if "-" in self.lines[-1]:
                            self.ids.append(self.lines[-1])
                        self._changed.notify_all()


class Spool:
    """The directory, the vendor, and everything that was accepted."""

    def __init__(self, directory: Path, sink: LocalSink) -> None:
        self.directory = directory
        self.sink = sink
        self.accepted: set[str] = set()
        self._processes: list[Accepting] = []
        self._started_s = time.monotonic()

    def start(self, first: str, count: int = 0, ending: str = "exit", prefix: Sequence[str] = ()) -> Accepting:
        process = Accepting([str(self.directory), self.sink.amplitude_url, first, str(count), ending], prefix)
        self._processes.append(process)
        return process

    def run(self, first: str, count: int, ending: str = "exit") -> Accepting:
        """Start, and wait for the end."""
        process = self.start(first, count, ending)
        process.end()
        return process

    def drain(self) -> None:
        """A new process comes, and delivers what is left of all others."""
        assert self.run(f"last{len(self._processes)}", 1, "flush").process.returncode == 0

    def verdict(self) -> tuple[int, int]:
        """(lost, duplicated), said on standard output with the time it took."""
        accepted = {name for process in self._processes for name in process.ids}
        arrived = Counter(event["insert_id"] for event in self.sink.events("amplitude"))
        lost = len(accepted - arrived.keys())
        duplicated = sum(arrived.values()) - len(arrived)
        took_s = time.monotonic() - self._started_s
        print(f"accepted {len(accepted)}, lost {lost}, duplicated {duplicated}, {took_s:.1f} s")
        return lost, duplicated

    def files(self) -> list[Path]:
        return sorted(self.directory.glob("[0-9]*.ndjson"))

    def close(self) -> None:
        for process in self._processes:
            if process.process.poll() is None:
                process.kill()


@pytest.fixture
def spool(tmp_path: Path, sink: LocalSink) -> Iterator[Spool]:
    found = Spool(tmp_path / "spool", sink)
    try:
        yield found
    finally:
        found.close()
