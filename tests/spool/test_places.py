"""Where a spool can be and where not: a clear message, no exception in the caller, nothing that was accepted is lost."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from itly_core.delivery import spool
from itly_core.delivery.shipper import SHIPPER_LOCK, WAKE_FILE, WORKER_LOCK, Role
from itly_core.delivery.spool import SpoolError, SpoolWriter, examine, prepare
from itly_core.delivery.state import STATE_FILE
from itly_core.log import Log

from .delivering import Adapter, Said, accept, eventually, ids_of, line_of, ship, start, write


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


def check_memory_instead(directory: Path, message: str) -> None:
    """A spool that cannot be used: calls are kept in memory, and it is said why."""
    adapter, said = Adapter(), Said()
    delivery = start(directory, adapter, said)
    accept(delivery, "m-0", "m-1")
    assert delivery.flush(20.0)
    delivery.shutdown(20.0)

    assert adapter.ids == Counter(["m-0", "m-1"])
    assert any("no spool" in line and message in line and "kept in memory" in line for line in said.lines), said.lines


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    check_memory_instead(tmp_path / "file" / "spool", "set spool_dir to a directory this user may write")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_directory_of_another_user() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                check_memory_instead(Path(place) / "spool", "Permission denied")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert not os.listdir(place)


def test_a_read_only_file_system(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    check_memory_instead(small_disk / "spool", os.strerror(errno.EROFS))
    with pytest.raises(SpoolError, match="Read-only"):
        prepare(small_disk / "spool", "Shop")


def test_a_network_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if spool._file_system(shared) != "tmpfs":
        pytest.skip("/dev/shm is not what it is on most systems")
    place = shared / f"itly-{secrets.token_hex(8)}"
    monkeypatch.setattr(spool, "NETWORK_FILE_SYSTEMS", ("nfs", "tmpfs"))  # the nearest to one that a test can have

    check_memory_instead(place, "is on a network file system (tmpfs), whose locks cannot be relied on")
    with pytest.raises(SpoolError, match="set spool_dir to a local disk"):
        examine(place / "below", "Shop")
    assert not place.exists()


def test_a_file_system_is_found_behind_a_mount_point_with_a_space(tmp_path: Path) -> None:
    disk = tmp_path / "a disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        assert spool._file_system(disk / "spool") == "tmpfs"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_spool_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "spool.json").write_text(json.dumps({"format": 2, "project": "Shop"}))
    (tmp_path / "0000000000001-1-ab-1.ndjson").write_bytes(b"\x02 what this version cannot know\n")
    before = contents(tmp_path)

    check_memory_instead(
        tmp_path, "was written by a later version of itly: install that version, or set another spool_dir"
    )
    assert contents(tmp_path) == before


def test_the_spool_of_another_project_is_left_alone(tmp_path: Path) -> None:
    adapter = Adapter()
    write(tmp_path, ["shop-0"])
    before = contents(tmp_path)
    delivery = start(tmp_path, adapter, said := Said(), project="Bank")
    accept(delivery, "bank-0")
    assert delivery.flush(20.0)
    delivery.shutdown(20.0)

    assert adapter.ids == Counter(["bank-0"])  # from memory
    assert said.has("belongs to the plan 'Shop', and this is 'Bank': give each project its own spool_dir")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("mark", [b"", b"garbage", b"[]", b'{"format": "x"}'], ids=["empty", "garbage", "list", "text"])
def test_a_mark_that_says_nothing(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "spool.json").write_bytes(mark)

    check_memory_instead(tmp_path, "spool_dir")


def test_a_state_of_a_later_version_is_left_alone_and_calls_wait(tmp_path: Path) -> None:
    adapter, said = Adapter(), Said()
    write(tmp_path, [])
    with sqlite3.connect(tmp_path / STATE_FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / STATE_FILE).read_bytes()
    delivery = start(tmp_path, adapter, said)
    accept(delivery, *ids_of("m", 3))
    eventually(lambda: said.has("install a newer one"))
    delivery.shutdown(1.0)

    assert not adapter.ids
    assert (tmp_path / STATE_FILE).read_bytes() == before
    (tmp_path / STATE_FILE).unlink()
    ship(tmp_path, custom=adapter)
    assert adapter.ids == Counter(ids_of("m", 3))


def test_a_directory_that_is_deleted_under_way_is_made_anew(tmp_path: Path) -> None:
    """What was accepted since is stored there; nobody notices a deleted file by writing to it."""
    directory = tmp_path / "spool"
    adapter, said = Adapter(), Said()
    delivery = start(directory, adapter, said)
    accept(delivery, *ids_of("before", 5))
    assert delivery.flush(20.0)
    shutil.rmtree(directory)
    accept(delivery, *ids_of("after", 5))
    eventually(lambda: adapter.ids.keys() >= set(ids_of("after", 5)))

    assert said.has(f"somebody deleted {directory}; it is made anew")
    eventually(lambda: Role(directory / SHIPPER_LOCK).is_taken())  # the role in the new directory, not in the old one
    accept(delivery, "last")
    assert delivery.flush(20.0)
    assert delivery.shutdown(20.0)
    assert adapter.ids["last"] == 1
    assert adapter.ids.keys() == {*ids_of("before", 5), *ids_of("after", 5), "last"}


def test_what_is_accepted_after_a_deletion_survives_the_process(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    adapter = Adapter()
    adapter.is_down = True
    delivery = start(directory, adapter)
    accept(delivery, *ids_of("before", 3))
    eventually((directory / SHIPPER_LOCK).exists)
    shutil.rmtree(directory)
    accept(delivery, *ids_of("after", 3))
    eventually(lambda: all(b"after-%04d" % n in stored(directory) for n in range(3)))
    delivery.shutdown(1.0)
    heir = Adapter()

    def has_all() -> bool:
        ship(directory, custom=heir)  # what was parked is due within a second
        return heir.ids.keys() >= set(ids_of("after", 3))

    eventually(has_all)


def test_a_directory_that_cannot_be_made_anew_has_calls_refused_and_counted(tmp_path: Path) -> None:
    """Until it can: written to a deleted file, they would be lost without a word."""
    parent, adapter, said = tmp_path / "parent", Adapter(), Said()
    delivery = start(parent / "spool", adapter, said)
    accept(delivery, "before")
    assert delivery.flush(20.0)
    shutil.rmtree(parent)
    parent.write_text("in the way")

    def refused() -> int:
        accept(delivery, "refused")
        found: dict[str, Any] = {}
        with suppress(OSError):  # until it is noticed; in production the client keeps that from the caller
            (found,) = delivery.stats().values()
        return sum(n for reason, n in found.get("dropped_by_reason", {}).items() if reason.startswith("spool_E"))

    eventually(refused)
    assert said.has("set spool_dir to a directory this user may write")
    parent.unlink()

    def is_delivered() -> bool:
        accept(delivery, "after")
        return adapter.ids["after"] > 0

    eventually(is_delivered)
    assert delivery.shutdown(20.0)


def stored(directory: Path) -> bytes:
    """All calls in a spool."""
    found = b"".join(path.read_bytes() for path in directory.glob("*.ndjson"))
    try:
        with sqlite3.connect(f"{(directory / STATE_FILE).absolute().as_uri()}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT line FROM parked").fetchall()
        db.close()
    except sqlite3.Error:  # it is just being made
        rows = []
    return found + b"".join(line for (line,) in rows)


def test_nobody_else_may_read_anything(tmp_path: Path) -> None:
    """0700 and 0600, whatever the process is used to."""
    directory, adapter = tmp_path / "spool", Adapter()
    before = os.umask(0)
    try:
        (file,) = write(directory, ["m-0"])
        file.write_bytes(file.read_bytes() + b"no call\n")
        delivery = start(directory, adapter)
        accept(delivery, "m-1")
        delivery.flush(20.0)  # wakes whoever ships; the line that is no call keeps it from saying yes
        eventually(lambda: adapter.ids.keys() == {"m-0", "m-1"})
        eventually((directory / "lanes.json").exists)
        found = {str(path.relative_to(directory)): stat.filemode(path.lstat().st_mode) for path in directory.rglob("*")}
        delivery.shutdown(20.0)
    finally:
        os.umask(before)

    assert stat.filemode(directory.stat().st_mode) == "drwx------"
    assert {"spool.json", STATE_FILE, SHIPPER_LOCK, WAKE_FILE, "lanes.json"} <= found.keys()
    assert any(name.endswith(".ndjson") for name in found)
    wrong = {name: mode for name, mode in found.items() if mode not in ("-rw-------", "drwx------")}
    assert not wrong


@pytest.mark.parametrize("content", ["precious", ""], ids=["full", "empty"])
@pytest.mark.parametrize("name", [STATE_FILE, SHIPPER_LOCK, WORKER_LOCK, WAKE_FILE, ".lanes.json"])
def test_a_symbolic_link_in_the_spool_leads_nowhere(tmp_path: Path, name: str, content: str) -> None:
    """Whoever may write to the directory cannot have us overwrite a file of ours elsewhere."""
    directory, victim = tmp_path / "spool", tmp_path / "victim"
    victim.write_text(content)
    write(directory, [])
    (directory / name).symlink_to(victim)
    adapter = Adapter()
    before = victim.stat()
    delivery = start(directory, adapter)
    accept(delivery, *ids_of("m", 3))
    with suppress(OSError):  # it may say so; in production the client keeps that from the caller
        delivery.flush(0.5)
    worker_role = Role(directory / WORKER_LOCK)
    with suppress(OSError):
        worker_role.take()
    worker_role.give_up()
    delivery.shutdown(1.0)

    assert victim.read_text() == content
    assert (victim.stat().st_mtime_ns, victim.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    (directory / name).unlink()
    ship(directory, custom=adapter)
    assert adapter.ids.keys() == set(ids_of("m", 3))


def test_only_real_files_are_read(tmp_path: Path) -> None:
    """A pipe would keep the shipper waiting for ever, a link would have it read anything."""
    adapter = Adapter()
    write(tmp_path, ["m-0"])
    os.mkfifo(tmp_path / "0000000000001-1-ab-1.ndjson")
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_bytes(line_of("secret"))
    (tmp_path / "0000000000002-1-ab-1.ndjson").symlink_to(secret)
    (tmp_path / "0000000000003-1-ab-1.ndjson").mkdir()
    ship(tmp_path, custom=adapter)

    assert adapter.ids == Counter(["m-0"])
    assert secret.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_file_of_another_user_stops_no_other() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        directory = Path(place) / "spool"
        (theirs,) = write(directory, ["theirs-0"])
        child = os.fork()
        if not child:
            code = 1
            try:
                os.chown(directory, 65534, 65534)
                for path in directory.rglob("*"):
                    if path != theirs:
                        os.chown(path, 65534, 65534)
                os.setgid(65534)
                os.setuid(65534)
                adapter, said = Adapter(), Said()
                write(directory, ["ours-0"])
                ship(directory, said=said, custom=adapter)
                assert adapter.ids == Counter(["ours-0"])
                assert said.has("cannot be read by this user and waits; run every process of a spool as the same user")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert theirs.exists()


def test_a_full_disk_refuses_calls_and_takes_them_again_when_there_is_room(small_disk: Path) -> None:
    """T5: refusals are counted, what was accepted before is delivered, and calls are accepted within a second or so."""
    directory, adapter, said = small_disk / "spool", Adapter(), Said()
    adapter.is_down = True
    delivery = start(directory, adapter, said)
    accept(delivery, *ids_of("before", 20))
    ballast = small_disk / "ballast"
    done = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4096"], capture_output=True, text=True)
    assert os.strerror(errno.ENOSPC) in done.stderr

    def dropped() -> int:
        (found,) = delivery.stats().values()
        return int(found.get("dropped_by_reason", {}).get("spool_full", 0))

    def is_refused() -> bool:
        before = dropped()
        accept(delivery, "refused")
        return dropped() > before

    eventually(is_refused)
    assert said.has("a call is not stored (spool_full)")
    refused = dropped()
    ballast.unlink()
    freed_s = time.monotonic()
    kept = 0

    def is_accepted() -> bool:
        nonlocal kept
        before = dropped()
        accept(delivery, f"again-{kept}")
        kept += dropped() == before
        return bool(kept)

    eventually(is_accepted)
    print(f"accepted again after {time.monotonic() - freed_s:.2f} s; refused {refused}")
    adapter.is_down = False
    eventually(lambda: adapter.ids.keys() >= {*ids_of("before", 20), "again-0"}, 60.0)
    delivery.shutdown(20.0)


def test_calls_leave_a_part_of_the_disk_free(small_disk: Path) -> None:
    """For the state, without which nothing could be shipped and no space be freed."""
    directory = small_disk / "spool"
    prepare(directory, "Shop")
    writer = SpoolWriter(directory, "os", 1 << 30, Log(Said()))
    reasons = Counter(writer.append(line_of("m" * 1000)) for _ in range(5000))
    disk = os.statvfs(small_disk)
    writer.close()

    assert reasons[None] > 1000
    assert reasons.keys() == {None, "spool_full"}
    assert disk.f_bavail / disk.f_blocks > 0.04
