"""The life of a spool's files: how large and old they get, who finishes them, and when they go."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from itly_core.delivery import spool as spool_module
from itly_core.delivery.clock import cautious_clock
from itly_core.delivery.shipper import SHIPPER_LOCK, Role
from itly_core.delivery.spool import SpoolWriter, is_unlocked, list_files, prepare
from itly_core.log import Log
from itly_core.options import AmplitudeOptions
from sample_projects.local_sink import LocalSink

from .conftest import BATCH, Spool
from .delivering import Adapter, Said, accept, eventually, ids_of, line_of, ship, start, stored, write


def writer_in(directory: Path, max_bytes: int = 1 << 30, said: Said | None = None) -> SpoolWriter:
    prepare(directory, "Shop")
    return SpoolWriter(directory, "interval", max_bytes, Log(said or Said()))


def taken(directory: Path) -> int:
    return sum(file.size for file in list_files(directory))


def test_a_file_that_is_large_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "FILE_BYTES", 1000)
    writer = writer_in(tmp_path)
    names = ids_of("m", 40)
    for name in names:
        assert writer.append(line_of(name)) is None
        writer.tend(taken(tmp_path))
    files = sorted(tmp_path.glob("*.ndjson"))
    sizes = [file.stat().st_size for file in files]
    free = [is_unlocked(file) for file in files if file.stat().st_size]
    writer.close()

    assert max(sizes) < 1000 + len(stored(tmp_path / "one", names[0]))
    assert len([size for size in sizes if size]) == len(free) > 3
    assert free == [True] * (len(free) - 1) + [False]  # only the one that is being written is locked
    adapter = Adapter()
    ship(tmp_path, custom=adapter)
    assert [call.message_id for call in adapter.calls] == names
    assert not list(tmp_path.glob("*.ndjson"))  # nor the one that was opened ahead


def test_a_file_that_is_old_is_closed_so_that_it_can_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "FILE_AGE_S", 0.0)
    adapter = Adapter()
    delivery = start(tmp_path, adapter)
    accept(delivery, "m-0")

    eventually(lambda: adapter.ids == Counter(["m-0"]) and not list(tmp_path.glob("*.ndjson")))
    delivery.shutdown(20.0)


def test_no_more_than_the_total_is_kept_and_refusals_are_counted_exactly(tmp_path: Path) -> None:
    """T15, in small."""
    line, limit = line_of("m"), 10_000
    writer = writer_in(tmp_path, max_bytes=limit)
    reasons = Counter(writer.append(line) for _ in range(150))
    writer.tend(taken(tmp_path))
    assert reasons[None] + reasons["spool_full"] == 150
    assert writer.counts() == (reasons[None], Counter({"spool_full": reasons["spool_full"]}))
    assert limit - 2 * len(line) < taken(tmp_path) <= limit
    assert writer.append(line) == "spool_full"
    writer.close()

    adapter = Adapter()
    ship(tmp_path, custom=adapter)
    assert adapter.ids == Counter({"m": reasons[None]})
    writer.tend(taken(tmp_path))
    assert writer.append(line) is None  # there is room again
    writer.close()


def test_processes_that_share_a_spool_share_its_total(tmp_path: Path) -> None:
    line, limit = line_of("m"), 10_000
    first, second = (writer_in(tmp_path, max_bytes=limit) for _ in range(2))
    for _ in range(50):
        assert first.append(line) is None
    second.tend(taken(tmp_path))
    reasons = Counter(second.append(line) for _ in range(80))
    first.close()
    second.close()

    assert reasons["spool_full"] > 0
    assert limit - 2 * len(line) < taken(tmp_path) <= limit


BOUNDS = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.spool.delivering import Adapter, line_of, start
adapter = Adapter()
adapter.is_down = True
delivery = start(Path(sys.argv[1]), adapter, max_bytes=4_000_000)
calls, line = int(sys.argv[2]), line_of("m")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(calls):
    delivery.accept(line)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
(found,) = delivery.stats().values()
print(grown, found["accepted"], found["dropped"], found["parked"] + found["queued"] + found["in_flight"])
import os; os._exit(0)
"""


@pytest.mark.parametrize(
    "calls", [50_000, pytest.param(10_000_000, marks=[pytest.mark.torture, pytest.mark.timeout(3600)])]
)
def test_memory_and_disk_are_bounded_while_nothing_is_taken(tmp_path: Path, calls: int) -> None:
    """T15: a vendor that is dead for as long as it takes."""
    code = BOUNDS.format(root=str(Path(__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(calls)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown_kib, accepted, dropped, waiting = map(int, done.stdout.split())
    print(f"{calls} calls: memory +{grown_kib / 1024:.1f} MiB, {waiting} wait, {dropped} dropped")

    assert accepted == calls
    assert accepted == waiting + dropped
    assert dropped > 0
    assert taken(tmp_path) <= 4_000_000 + spool_module.FILE_BYTES
    assert grown_kib < 40 * 1024


def test_a_write_that_takes_a_part_leaves_no_half_line(tmp_path: Path) -> None:
    """T5: a limit on the size of files makes the system take a part of a write, as a full disk does."""
    writer = writer_in(tmp_path)
    line, whole_line = line_of("m-0"), stored(tmp_path / "one", "m-0")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole_line) * 5 // 2, before[1]))
    try:
        reasons = [writer.append(line) for _ in range(4)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (file,) = tmp_path.glob("*.ndjson")
    whole = file.read_bytes()
    after = writer.append(line)
    writer.close()

    assert reasons == [None, None, "spool_full", "spool_full"]
    assert re.fullmatch(rb"(.*m-0.*\n){2}", whole)
    assert after is None
    assert re.fullmatch(rb"(.*m-0.*\n){3}", file.read_bytes())


FAILING_SYNC = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.spool.delivering import line_of
from itly_core.delivery.spool import SpoolWriter, prepare
from itly_core.log import Log
directory = Path(sys.argv[1])
prepare(directory, "Shop")
writer = SpoolWriter(directory, "interval", 1 << 30, Log())
for n in range(10): assert writer.append(line_of(f"a-{{n}}")) is None
writer.tend(0)
for n in range(10): assert writer.append(line_of(f"b-{{n}}")) is None
writer.tend(0)
writer.close()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_file_that_could_not_be_synced_is_never_synced_again(tmp_path: Path) -> None:
    """After a failed fsync the kernel may have dropped the data, and would say that all is well."""
    trace, directory = tmp_path / "trace", tmp_path / "spool"
    code = FAILING_SYNC.format(root=str(Path(__file__).parents[2]))
    command = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", "trace=fdatasync"]
    command += ["-e", "inject=fdatasync:error=EIO:when=1", sys.executable, "-c", code, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    synced = re.findall(r"fdatasync\(\d+<(\S+)>\)\s+= (-?\d)", trace.read_text())
    first = synced[0][0]
    assert synced[0][1] == "-1"
    assert [path for path, _ in synced[1:] if path == first] == []
    assert {result for _, result in synced[1:]} == {"0"}
    assert "10 calls are written again, to a new file" in done.stdout
    old, new = (path.read_bytes() for path in sorted(directory.glob("*.ndjson")))
    assert new.startswith(old)  # everything in doubt is there once more,
    adapter = Adapter()
    ship(directory, custom=adapter)
    assert adapter.ids == Counter({**{f"a-{n}": 2 for n in range(10)}, **{f"b-{n}": 1 for n in range(10)}})


def test_many_files_of_dead_processes_are_finished(tmp_path: Path) -> None:
    prepare(tmp_path, "Shop")
    names = ids_of("m", 1200)
    for number in range(400):
        lines = b"".join(line_of(name) for name in names[number * 3 : number * 3 + 3])
        (tmp_path / f"{number:013d}-{900_000 + number}-ab-1.ndjson").write_bytes(lines)
    adapter = Adapter()
    began_s = time.monotonic()
    ship(tmp_path, custom=adapter)
    print(f"400 files, 1,200 calls: {time.monotonic() - began_s:.2f} s")

    assert [call.message_id for call in adapter.calls] == names
    assert not list(tmp_path.glob("*.ndjson"))


def test_a_busy_process_does_not_keep_the_calls_of_another_waiting(tmp_path: Path) -> None:
    write(tmp_path, ids_of("busy", 2500))
    write(tmp_path, ["quiet"])
    adapter = Adapter()
    ship(tmp_path, custom=adapter)
    order = [call.message_id for call in adapter.calls]

    assert order.index("quiet") == 1000  # behind the first batch, which its file had for itself
    assert [name for name in order if name != "quiet"] == ids_of("busy", 2500)


def test_a_file_goes_when_every_configured_destination_is_past_it(tmp_path: Path, sink: LocalSink) -> None:
    adapter = Adapter()
    amplitude = AmplitudeOptions(api_key="k", endpoint=sink.amplitude_url)
    sink.go_down()
    write(tmp_path, ids_of("m", 5))
    delivery = start(tmp_path, adapter, destinations={"amplitude": amplitude})
    accept(delivery, "m-9")
    eventually(lambda: len(adapter.calls) == 6)
    delivery.shutdown(0.5)
    assert len(list(tmp_path.glob("*.ndjson"))) == 2  # Amplitude has nothing of it yet

    sink.go_up()
    delivery = start(tmp_path, adapter, destinations={"amplitude": amplitude})
    accept(delivery, "m-10")
    assert delivery.flush(30.0)
    delivery.shutdown(20.0)
    assert not list(tmp_path.glob("*.ndjson"))
    assert sorted(event["insert_id"] for event in sink.events()) == sorted(adapter.ids)
    assert set(adapter.ids.values()) == {1}


def test_a_destination_that_is_taken_out_of_the_settings_holds_nothing_back(tmp_path: Path, sink: LocalSink) -> None:
    adapter = Adapter()
    sink.go_down()
    amplitude = AmplitudeOptions(api_key="k", endpoint=sink.amplitude_url)
    delivery = start(tmp_path, adapter, destinations={"amplitude": amplitude})
    accept(delivery, "m-0")
    eventually(lambda: adapter.ids == Counter(["m-0"]))
    delivery.shutdown(0.5)
    assert list(tmp_path.glob("*.ndjson"))

    delivery = start(tmp_path, adapter)
    accept(delivery, "m-1")
    assert delivery.flush(20.0)
    delivery.shutdown(20.0)
    assert not list(tmp_path.glob("*.ndjson"))
    assert adapter.ids == Counter(["m-0", "m-1"])


@pytest.mark.parametrize("days", [-4000, 4000])
def test_a_clock_that_jumps_drops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Calls wait for a vendor while somebody sets the clock; they are no older for it, and later ones come after them."""
    adapter = Adapter()
    adapter.is_down = True
    delivery = start(tmp_path, adapter)
    accept(delivery, *ids_of("before", 3))
    eventually(lambda: Role(tmp_path / SHIPPER_LOCK).is_taken())
    wall, wall_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall() + days * 86_400)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + days * 86_400 * 10**9)
    accept(delivery, *ids_of("after", 3))
    adapter.is_down = False
    delivery.flush(0.0)
    eventually(lambda: adapter.ids.keys() >= set(ids_of("after", 3)), 30.0)
    delivery.shutdown(20.0)
    monkeypatch.undo()
    ship(tmp_path, custom=adapter)

    assert adapter.ids == Counter([*ids_of("before", 3), *ids_of("after", 3)])


def test_a_file_named_by_a_wrong_clock_is_shipped_like_any_other(tmp_path: Path) -> None:
    (file,) = write(tmp_path, ids_of("m", 2))
    file.rename(tmp_path / f"{4_000_000_000_000:013d}-{file.name.split('-', 1)[1]}")
    write(tmp_path, ["m-9"])
    adapter = Adapter()
    ship(tmp_path, custom=adapter)

    assert adapter.ids == Counter([*ids_of("m", 2), "m-9"])
    assert not list(tmp_path.glob("*.ndjson"))


def test_a_cautious_clock_follows_time_and_no_jump_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"wall": 1000.0, "steady": 50.0}
    monkeypatch.setattr(time, "time", lambda: now["wall"])
    monkeypatch.setattr(time, "monotonic", lambda: now["steady"])
    clock = cautious_clock()
    seen = []
    for wall, steady in ((1010, 60), (9000, 61), (1012, 62), (500, 63)):
        now.update(wall=wall, steady=steady)
        seen.append(clock())
    monkeypatch.undo()

    assert seen == [1010, 1011, 1012, 500]


@pytest.mark.parametrize("cycles", [4, pytest.param(200, marks=[pytest.mark.torture, pytest.mark.timeout(3600)])])
def test_whoever_ships_is_followed_within_a_second_of_its_death(spool: Spool, cycles: int) -> None:
    """T3: the shipper is killed again and again, while one request in ten or so fails."""
    took_s = []
    living: dict[int, Any] = {}
    for number in range(2):
        process = spool.start(f"first{number}", 20, "hang")
        process.wait_for(21)
        living[process.process.pid] = process
    role = Role(spool.directory / SHIPPER_LOCK)
    for cycle in range(cycles):
        spool.sink.script(status=500, times=1)
        eventually(lambda: role.holder() in living)
        holder = role.holder()
        assert holder is not None
        os.kill(holder, signal.SIGKILL)
        took_s.append(eventually(lambda gone=holder: role.holder() not in (None, 0, gone)))  # type: ignore[misc]
        living.pop(holder).end()
        process = spool.start(f"{cycle}", 20, "hang")
        process.wait_for(21)
        living[process.process.pid] = process
    spool.close()
    spool.drain()
    lost, duplicated = spool.verdict()
    took_s.sort()
    print(f"{cycles} shippers killed; takeover: median {took_s[len(took_s) // 2]:.2f} s, worst {took_s[-1]:.2f} s")

    assert lost == 0
    assert duplicated <= BATCH * (cycles + 2)
    assert took_s[int(len(took_s) * 0.99) - 1] < 5.0  # a second, on a machine that has nothing else to do
