"""Nothing that was accepted is lost to kill -9, wherever it hits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import Any

import pytest

from .conftest import BATCH, Spool


@pytest.mark.parametrize(
    ("cycles", "writers"),
    [
        pytest.param(50, 2, marks=pytest.mark.timeout(600)),
        pytest.param(200, 4, marks=[pytest.mark.torture, pytest.mark.timeout(3600)]),
    ],
)
def test_killed_writers_lose_nothing(spool: Spool, cycles: int, writers: int) -> None:
    for cycle in range(cycles):
        running = [spool.start(f"{cycle}.{writer}") for writer in range(writers)]
        for process in running:
            process.wait_for(40 + 25 * (cycle % 5))
        for process in running:
            process.kill()
    spool.drain()

    lost, duplicated = spool.verdict()
    assert lost == 0
    assert duplicated <= BATCH * cycles  # a killed process may have been the shipper; writing itself duplicates nothing


def test_writing_duplicates_nothing(spool: Spool) -> None:
    spool.sink.go_down()  # nobody ships while writers are killed
    for cycle in range(10):
        process = spool.start(f"{cycle}")
        process.wait_for(100)
        process.kill()
    spool.sink.go_up()
    spool.drain()

    assert spool.verdict() == (0, 0)


def test_a_killed_shipper_is_followed_within_a_second_and_sends_a_batch_twice_at_most(spool: Spool) -> None:
    spool.sink.script(status=500, times=3)
    spool.start("a", 300, "hang").wait_for(301)
    follower = spool.start("b", 300, "hang")
    follower.wait_for(301)
    spool.close()
    spool.drain()

    lost, duplicated = spool.verdict()
    assert lost == 0
    assert duplicated <= 2 * BATCH


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

CALLS = {"write": 230, "fdatasync": 8, "rename": 4, "unlink": 6, "flock": 12, "ftruncate": 2, "pwrite64": 60}
SAMPLED = [(name, when) for name, last in CALLS.items() for when in {1, 2, 3, last // 2, last} if when]
EVERY = [(name, when) for name, last in CALLS.items() for when in range(1, last + 1)]


def kill_at(spool: Spool, name: str, when: int) -> None:
    """200 calls by a process that is killed at its `when`-th system call of that name."""
    shutil.rmtree(spool.directory, ignore_errors=True)
    spool.start(f"{name}.{when}", 200, "flush", inject(name, f"signal=SIGKILL:when={when}")).end()
    spool.drain()


def inject(name: str, what: str) -> list[str]:
    """What is put before a command to have its system calls of that name go wrong."""
    return ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={name}", "-e", f"inject={name}:{what}"]


@needs_strace
@pytest.mark.parametrize(("name", "when"), SAMPLED)
def test_a_kill_at_a_system_call_loses_nothing(spool: Spool, name: str, when: int) -> None:
    kill_at(spool, name, when)

    assert spool.verdict()[0] == 0


@pytest.mark.torture
@pytest.mark.timeout(3600)
@needs_strace
def test_a_kill_at_every_system_call_loses_nothing(spool: Spool) -> None:
    for name, when in EVERY:
        kill_at(spool, name, when)

    assert spool.verdict()[0] == 0


@needs_strace
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("write", "error=ENOSPC:when=7+20"),
        ("write", "error=EIO:when=7+20"),
        ("write", "retval=10:when=7+20"),  # a part of it, as a disk does that fills up
        ("fdatasync", "error=EIO:when=2+7"),
        ("pwrite64", "error=ENOSPC:when=30+20"),
        ("pwrite64", "error=EIO:when=30+20"),
        ("rename", "error=EIO:when=1+2"),
    ],
)
def test_a_system_call_that_fails_again_and_again_costs_what_is_counted(spool: Spool, name: str, fault: str) -> None:
    """T5: each call is delivered, or among those counted as dropped; none of it raises. Twice arrives only what may be gone
    from the disk: it is written again."""
    process = spool.start("x", 1000, "tell", inject(name, fault))

    assert process.end() == 0
    dropped = int(process.lines[-1].removeprefix("dropped "))
    spool.drain()
    lost, duplicated = spool.verdict()
    assert len(process.ids) == 1000
    assert lost == dropped < 200
    assert duplicated == 0 or name == "fdatasync"


def test_calls_of_parent_and_child_arrive_once_each(spool: Spool) -> None:
    process = spool.run("f", 3, "fork")

    assert process.process.returncode == 0
    spool.drain()
    assert len(process.ids) == 9
    assert spool.verdict() == (0, 0)


def test_an_idle_child_keeps_neither_the_file_nor_the_role_of_its_dead_parent(spool: Spool) -> None:
    process = spool.start("p", 5, "idle-child")
    process.wait_for(6)
    child = int(process.lines[-1].split()[1])
    try:
        process.process.kill()
        process.process.wait(10)
        spool.drain()  # would fail while the child held a lock

        assert spool.verdict()[0] == 0
        assert not spool.files()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_server_that_is_told_to_stop_loses_nothing(spool: Spool) -> None:
    spool.sink.script(delay_s=0.3)
    process = spool.start("t", 5, "hang")
    process.wait_for(6)
    process.process.send_signal(signal.SIGTERM)
    process.end()
    spool.sink.heal()
    spool.drain()

    assert spool.verdict()[0] == 0


def test_a_slow_vendor_at_a_normal_exit_gets_everything(spool: Spool) -> None:
    spool.sink.script(delay_s=0.3)
    spool.run("s", 2000)
    spool.sink.heal()
    spool.drain()

    assert spool.verdict() == (0, 0)


def test_a_vendor_that_is_down_delays_no_exit_and_gets_everything_later(spool: Spool) -> None:
    spool.sink.go_down()
    process = spool.start("d", 100)
    process.wait_for(100)
    assert process.end(timeout_s=3.0) == 0  # two seconds, and the interpreter's own end
    spool.sink.go_up()
    spool.drain()

    assert spool.verdict() == (0, 0)


def test_a_full_disk_costs_no_exception_and_no_accepted_call(tmp_path: Any, spool: Spool) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        spool.directory = disk / "spool"
        spool.sink.go_down()
        process = spool.start("full", 25_000)
        assert process.end() == 0  # every call returned

        spool.sink.go_up()
        spool.drain()
        arrived = {event["insert_id"] for event in spool.sink.events("amplitude")}
        stored = [name for name in process.ids if name in arrived]
        before = next(n for n, name in enumerate(process.ids) if name not in arrived)
        assert before > 5_000  # everything that was taken before the disk was full
        assert len(stored) < 25_000  # later ones, too, where room came back under way
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
