"""How processes end and multiply, and that calls survive it. Each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from itly_core.options import DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import Running, Start, amplitude, arrived, eventually

PROGRAM = Path(__file__).with_name("living.py")


class Life:
    """A process from its beginning to its end. accepted: the ids whose calls returned."""

    def __init__(self, mode: str, spool: Path, url: str, way: str, **more: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ITLY"))}
        quiet = "ignore:This process:DeprecationWarning"  # Python 3.12 warns whoever forks beside threads; here that is meant
        self._began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-W", quiet, str(PROGRAM), mode, str(spool), url, way],
            env={**kept, "PYTHONPATH": str(PROGRAM.parents[2]), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def tell(self, number: signal.Signals) -> float:
        """Send it a signal; when (monotonic)."""
        self._process.send_signal(number)
        return time.monotonic()

    def end(self) -> Life:
        """Itself, when it has ended."""
        try:
            said, self.said = self._process.communicate(timeout=100.0)
        finally:
            self._process.kill()
        self.took_s = time.monotonic() - self._began_s
        self.code = self._process.returncode
        self.accepted = [line for line in said.splitlines() if len(line) == 36]
        return self


def drain(start: Start, sink: LocalSink) -> Running:
    """A later process comes, and delivers what was left in the spool; in turns with its own call."""
    later = start("spool")
    later.accept()
    assert later.flush()
    eventually(later.is_alone)
    return later


def wait_for_calls_of(running: list[Life], sink: LocalSink) -> None:
    users = {f"user-{life.pid}" for life in running}
    eventually(lambda: users <= {event["user_id"] for event in sink.events("amplitude")})


def verdict(life: Life, found: Counter[str]) -> tuple[int, int]:
    """(lost, duplicated), said on standard output."""
    lost = len(set(life.accepted) - set(found))
    duplicated = sum(count - 1 for name, count in found.items())
    print(f"accepted {len(life.accepted)}, lost {lost}, duplicated {duplicated}, {life.took_s:.1f} s")
    return lost, duplicated


CLEAN = {
    "normally": 0,
    "sys.exit": 3,
    "exception": 1,
    "keyboard": -2,
    "sigterm-handled": 0,
    "os._exit-flushed": 0,
    "threads": 0,
    "handlers": 0,
    "handler-first": 0,
    "asyncio": 0,
    "shutdown": 0,
    "beside-slow": 0,
}


@pytest.mark.parametrize(("way", "code"), CLEAN.items(), ids=CLEAN)
def test_a_clean_end_delivers_everything(sink: LocalSink, mode: str, tmp_path: Path, way: str, code: int) -> None:
    """T14"""
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, way).end()

    assert life.code == code, life.said
    assert life.accepted
    assert verdict(life, arrived(sink)) == (0, 0)
    expected = {"exception": "ValueError: unhandled", "keyboard": "KeyboardInterrupt"}.get(way)
    lines = life.said.strip().splitlines()
    assert lines[-1:] == ([expected] if expected else [])


@pytest.mark.parametrize("way", ["sigterm", "os._exit"])
def test_a_hard_end_costs_memory_and_not_the_spool(
    start: Start, sink: LocalSink, mode: str, tmp_path: Path, way: str
) -> None:
    """T14: nothing of ours runs at such an end; DESIGN promises no more of memory."""
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, way).end()

    assert life.code == {"sigterm": -15, "os._exit": 0}[way]
    assert len(life.accepted) == 200
    if mode == "spool":
        drain(start, sink)
        assert verdict(life, arrived(sink))[0] == 0
    assert life.said == ""


def test_daemon_threads_that_call_to_the_very_end_cost_no_traceback(
    start: Start, sink: LocalSink, mode: str, tmp_path: Path
) -> None:
    """T14"""
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, "daemons", SHUTDOWN_S="1").end()

    assert life.code == 0, life.said
    assert life.said == ""
    if mode == "spool":
        drain(start, sink)
        assert verdict(life, arrived(sink))[0] == 0


@pytest.mark.parametrize("way", ["normally", "handlers", "late-handlers", "threads"])
def test_a_vendor_that_is_down_does_not_keep_a_process_from_ending(
    start: Start, sink: LocalSink, mode: str, tmp_path: Path, way: str
) -> None:
    """T14: within the timeout for all calls together; the spool keeps them."""
    sink.go_down()
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, way, SHUTDOWN_S="2").end()

    assert life.code == 0, life.said
    assert life.took_s < 25.0  # two seconds, and the interpreter's own way on a busy machine; not two for each call
    if mode == "spool":
        sink.go_up()
        drain(start, sink)
        assert verdict(life, arrived(sink)) == (0, 0)


@pytest.mark.parametrize("cycles", [3, pytest.param(100, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])])
def test_workers_replaced_again_and_again_lose_nothing(
    start: Start, sink: LocalSink, mode: str, tmp_path: Path, cycles: int
) -> None:
    """T13: each deploy tells the old ones to end while they are in the middle of calls."""
    accepted: list[str] = []
    slowest_s = 0.0
    running = [Life(mode, tmp_path / "spool", sink.amplitude_url, "serve") for _ in range(2)]
    for cycle in range(cycles):
        wait_for_calls_of(running, sink)
        old, running = running, []
        if cycle < cycles - 1:
            running = [Life(mode, tmp_path / "spool", sink.amplitude_url, "serve") for _ in range(2)]
        for life in old:
            told_s = life.tell(signal.SIGTERM)
            life.end()
            slowest_s = max(slowest_s, time.monotonic() - told_s)
            assert (life.code, life.said) == (0, "")
            accepted += life.accepted
    if mode == "spool":
        drain(start, sink)

    found = arrived(sink)
    lost = len(set(accepted) - set(found))
    print(
        f"accepted {len(accepted)}, lost {lost}, duplicated {found.total() - len(found)}, slowest end {slowest_s:.2f} s"
    )
    assert lost == 0
    assert found.total() == len(found)
    assert slowest_s < 15.0


FORKS = [
    "fork",
    "fork-in-calls",
    "fork-of-fork",
    "fork-idle",
    "fork-exits",
    "multiprocessing-fork",
    "multiprocessing-spawn",
    "multiprocessing-forkserver",
    pytest.param("fork-a-thousand", marks=[pytest.mark.torture, pytest.mark.timeout(900)]),
]


@pytest.mark.parametrize("way", FORKS)
def test_every_process_delivers_its_own_calls_and_no_other(
    start: Start, sink: LocalSink, mode: str, tmp_path: Path, way: str
) -> None:
    """T12: forks at any moment, whatever is locked then. Everything arrives, from children and parent; in memory once, and
    through the spool seldom a batch twice, with the same ids."""
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, way).end()

    assert life.code == 0, life.said
    assert life.said == ""
    if mode == "spool" and way.startswith("multiprocessing"):
        drain(start, sink)  # of two children that end together one may leave its calls to whoever comes next
    lost, twice = verdict(life, arrived(sink))
    assert lost == 0
    assert twice == 0 or mode == "spool"
    processes = {event["user_id"] for event in sink.events("amplitude")}
    assert len(processes) > 1 or way == "fork-idle"


def test_calls_from_signal_handlers_do_not_lock_up(sink: LocalSink, mode: str, tmp_path: Path) -> None:
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, "signals").end()

    assert life.code == 0, life.said
    assert len(life.accepted) > 6_000
    assert verdict(life, arrived(sink)) == (0, 0)


@pytest.mark.skipif(not importlib.util.find_spec("gevent"), reason="gevent is not installed")
@pytest.mark.parametrize("way", ["gevent", "gevent-late", "gevent-fork"])
def test_greenlets_instead_of_threads(sink: LocalSink, mode: str, tmp_path: Path, way: str) -> None:
    """T12"""
    life = Life(mode, tmp_path / "spool", sink.amplitude_url, way).end()

    assert life.code == 0, life.said
    assert verdict(life, arrived(sink)) == (0, 0)


def test_two_deliveries_in_one_process_know_nothing_of_each_other(start: Start, sink: LocalSink, mode: str) -> None:
    one, other = start(mode), start(mode, DestinationsOptions(amplitude=amplitude(sink)))
    one.accept(20)
    other.accept(30)

    assert one.flush()
    assert other.flush()
    assert arrived(sink) == dict.fromkeys(one.accepted + other.accepted, 1)
    assert (one.balance()["delivered"], other.balance()["delivered"]) == (20, 30)
