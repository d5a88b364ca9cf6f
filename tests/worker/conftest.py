"""A shop whose processes are real: some accept calls and are killed, some ship, all in one spool."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from itly_core import codegen, plans
from itly_core.delivery.survey import Survey, survey
from sample_projects.local_sink import LocalSink

ROOT = Path(__file__).parents[2]
PLAN = "itly: 1\nplan: {name: Shop, version: 1.0.0}\nevents: {Seen: {properties: {n: {type: integer}}}}\n"

# Accepts as many calls as each line on standard input says, numbered on, and answers with how many there are by then.
WEB = """
import sys
import shop_events
from itly_core.project import project_from_pyproject

shop_events.load(project_from_pyproject().options())
done = 0
for line in sys.stdin:
    for done in range(done + 1, done + int(line) + 1):
        shop_events.seen("user-1", n=done)
    print(done, flush=True)
"""


class Process:
    """A running process, and what it says."""

    def __init__(self, command: Sequence[str], cwd: Path, **env: str) -> None:
        self._said: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command, cwd=cwd, env=environment(cwd, **env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        with self._changed:
            return "".join(self._said)

    def wait_for(self, pattern: str, timeout_s: float = 15.0) -> float:
        """When a line like that was there (monotonic).

        Raises:
            TimeoutError: it did not come; shows the output.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: re.search(pattern, "".join(self._said)), timeout_s):
                raise TimeoutError(f"no {pattern!r} in:\n{''.join(self._said)}")
        return time.monotonic()

    def accept(self, count: int) -> None:
        """Only for the web process: have it accept so many calls more."""
        assert self._process.stdin is not None
        before = int((self.output.split() or ["0"])[-1])
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        self.wait_for(rf"(?m)^{before + count}$")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals | None = None, timeout_s: float = 15.0) -> int:
        """Its exit status, after a signal or the end of its input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if number is not None:
            self.send(number)
        elif not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            return self._process.wait(timeout_s)
        finally:
            if self._process.poll() is None:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
            self._reader.join(timeout_s)
            if not self._process.stdin.closed:
                self._process.stdin.close()
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._said.append(line)
                self._changed.notify_all()


class Shop:
    """A project directory with a generated package, and its processes."""

    def __init__(self, directory: Path, sink: LocalSink) -> None:
        self.directory = directory
        self.sink = sink
        self.spool = directory / ".itly"
        self._processes: list[Process] = []
        (directory / "plan.yaml").write_text(PLAN)
        codegen.write(codegen.render(plans.load("plan.yaml", base=directory)), directory / "shop_events")
        self.configure()

    def configure(self, destinations: Mapping[str, Mapping[str, Any]] | None = None, **delivery: Any) -> None:
        """Write the settings. destinations: {name: options}; amplitude, at the sink, when not given."""
        if destinations is None:
            destinations = {"amplitude": self.amplitude}
        lines = ["[tool.itly]", 'package = "shop_events"', 'environment = "production"']
        lines += ["[tool.itly.delivery]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in {"flush_interval": 0.05, **delivery}.items()]
        for name, options in destinations.items():
            lines += [f"[tool.itly.destinations.{name}]"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
        (self.directory / "pyproject.toml").write_text("\n".join(lines) + "\n")

    @property
    def amplitude(self) -> dict[str, Any]:
        return {"api_key": "AK", "endpoint": self.sink.amplitude_url}

    @property
    def segment(self) -> dict[str, Any]:
        return {"write_key": "WK", "endpoint": self.sink.segment_url}

    def web(self) -> Process:
        """A process that accepts calls, and ships them unless somebody else does."""
        return self.start(sys.executable, "-c", WEB)

    def leave(self, count: int) -> None:
        """Have a process accept so many calls and be killed before it ships them."""
        code = (
            "import os, shop_events; from itly_core.project import project_from_pyproject\n"
            "from itly_core.delivery.shipper import SpoolDelivery; SpoolDelivery._start = lambda self: None\n"
            "shop_events.load(project_from_pyproject().options())\n"
            f"for n in range({count}): shop_events.seen('user-1', n=n)\n"
            "os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=self.directory, env=environment(self.directory))
        assert done.returncode == -9

    def worker(self, *options: str) -> Process:
        """A worker, which has begun to ask for the role."""
        process = self.start(sys.executable, "-m", "itly_core", "worker", *options)
        process.wait_for("shipping from")
        return process

    def start(self, *command: str, **env: str) -> Process:
        process = Process(command, self.directory, **env)
        self._processes.append(process)
        return process

    def run(self, *arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """An `itly` command."""
        return run([sys.executable, "-m", "itly_core", *arguments], self.directory, timeout_s)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What an `itly` command says as JSON."""
        done = self.run(*arguments, "--format", "json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def look(self) -> Survey:
        return survey(self.spool, ["amplitude"])

    def wait_for_request(self) -> None:
        """Until calls are on their way to Amplitude."""
        try:
            eventually(lambda: self.look().destinations["amplitude"]["in_flight"])
        except AssertionError as exc:
            said = "\n".join(process.output for process in self._processes)
            raise AssertionError(f"no request was made; {self.look()}\n{said}") from exc

    def stop(self) -> None:
        for process in self._processes:
            process.end(signal.SIGKILL)


def run(command: Sequence[str], cwd: Path, timeout_s: float = 30.0, **env: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        command, cwd=cwd, env=environment(cwd, **env), capture_output=True, text=True, timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def environment(cwd: Path, **more: str) -> dict[str, str]:
    """For a process of its own: no trace of pytest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "ITLY", "FLASK_", "DJANGO_", "SITE_"))
    }
    return {**kept, "PYTHONPATH": f"{cwd}:{ROOT}", "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **more}


def eventually(is_so: Callable[[], Any], timeout_s: float = 10.0) -> float:
    """When it was so (monotonic); asked every few milliseconds, for what nobody tells."""
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s, f"not so within {timeout_s} s"
        time.sleep(0.005)
    return time.monotonic()


def numbers(sink: LocalSink, where: str = "amplitude") -> list[int]:
    """The calls that arrived, duplicates included."""
    key = {"amplitude": "event_properties", "segment": "properties"}[where]
    return sorted(event[key]["n"] for event in sink.events(where))


@pytest.fixture
def shop(tmp_path: Path, sink: LocalSink) -> Iterator[Shop]:
    made = Shop(tmp_path, sink)
    yield made
    made.stop()
