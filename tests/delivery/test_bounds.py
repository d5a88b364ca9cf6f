"""What is kept is bounded in bytes, and what does not fit is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from itly_core.options import DestinationsOptions
from sample_projects.local_sink import LocalSink
from tests.delivery.conftest import Start, amplitude, arrived, eventually, segment

ROOT = Path(__file__).parents[2]


def test_a_full_queue_keeps_the_oldest_calls_and_counts_the_others(start: Start, sink: LocalSink) -> None:
    """T15"""
    sink.go_down()
    running = start("memory", max_bytes=20_000)
    ids = running.accept(200)
    balance = running.balance()
    assert not balance["delivered"]
    kept = balance["queued"] + balance["parked"] + balance["in_flight"]
    assert 50 < kept < 200
    assert balance["dropped_by_reason"] == {"queue_full": 200 - kept}
    assert any("full" in line for line in running.logger.lines)

    sink.go_up()
    assert running.flush()
    assert arrived(sink) == dict.fromkeys(ids[:kept], 1)
    (later,) = running.accept()
    assert running.flush()  # there is room again
    assert arrived(sink)[later] == 1


def test_a_full_queue_of_one_destination_takes_nothing_from_another(start: Start, sink: LocalSink) -> None:
    sink.script(path="/v1/batch", status=503)
    both = DestinationsOptions(amplitude=amplitude(sink), segment=segment(sink))
    running = start("memory", both, max_bytes=20_000, flush_interval=0.01)
    for n in range(1, 11):
        running.accept(50)
        sink.wait_for(50 * n, where="amplitude")

    assert arrived(sink) == dict.fromkeys(running.accepted, 1)
    found = running.balance("segment")
    assert found["dropped_by_reason"]["queue_full"] + found["queued"] + found["in_flight"] + found["parked"] == 500


def test_what_was_refused_alone_is_bounded_with_the_rest(start: Start, sink: LocalSink) -> None:
    """T15: parked calls take room, too."""
    sink.script(status=429, body={"code": 429, "error": "Too many", "throttled_events": list(range(1000))})
    running = start("memory", max_bytes=20_000)
    running.accept(50)
    assert not running.flush(0.2)
    eventually(lambda: running.balance()["parked"] == 50)
    running.accept(200)

    balance = running.balance()
    assert balance["dropped_by_reason"]["queue_full"] > 100
    assert balance["accepted"] == 250


def test_a_full_spool_refuses_calls_and_recovers(start: Start, sink: LocalSink, tmp_path: Path) -> None:
    """T15: at most `max_bytes`."""
    sink.go_down()
    running = start("spool", max_bytes=20_000)
    running.accept(200)
    balance = running.balance()
    kept = balance["queued"] + balance["in_flight"]
    files = sum(file.stat().st_size for file in (tmp_path / "spool").glob("*.ndjson"))
    assert 50 < kept < 200
    assert 10_000 < files <= 20_000
    assert balance["dropped_by_reason"] == {"spool_full": 200 - kept}

    sink.go_up()
    assert running.flush()
    found = arrived(sink)
    assert len(found) == found.total() == kept == running.balance()["delivered"]


# A child process, so that nothing else is in its memory. Prints how much it grew by, in bytes.
GROWS = """
import os, sys
from datetime import datetime, timezone
from itly_core.call import MessageIds
from itly_core.client import Client
from itly_core.delivery import start_delivery
from itly_core.log import Log
from itly_core.options import *
from itly_core.plan import Plan

class Quiet:
    def debug(self, message): pass
    info = warn = error = debug

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

mode, spool, url, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
options = Options(
    environment=Environment.PRODUCTION, logger=Quiet(), validation=ValidationOptions(disabled=True),
    delivery=DeliveryOptions(mode=mode, spool_dir=spool, shutdown_timeout=0.1, max_bytes=(256 << 20) if mode == "spool" else None),
    destinations=DestinationsOptions(amplitude=AmplitudeOptions(api_key="k", endpoint=url)),
)
log = Log(options.logger)
client = Client(Plan(), options, start_delivery({}, options, log), log)
properties = {f"property_{n}": f"value {n} " * 5 for n in range(10)}
client.event("Seen", "user-1", properties)
client.flush(0.5)  # everything is imported, every thread runs
idle = resident()
most = 0
for n in range(count):
    client.event("Seen", "user-1", properties)
    if n % 10_000 == 0:
        most = max(most, resident())
most = max(most, resident())
found = client.stats()["amplitude"]
places = ("delivered", "dead", "dropped", "parked", "queued", "in_flight")
assert found["accepted"] == count + 1 == sum(found[place] for place in places), found
assert found["delivered"] == 0
print(most - idle, found["dropped"])
os._exit(0)
"""


@pytest.mark.parametrize(
    "count", [35_000, pytest.param(10_000_000, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])]
)
def test_a_dead_destination_costs_twenty_megabytes_at_most(
    sink: LocalSink, mode: str, tmp_path: Path, count: int
) -> None:
    """T15"""
    sink.go_down()
    done = subprocess.run(
        [sys.executable, "-c", GROWS, mode, str(tmp_path / "spool"), sink.amplitude_url, str(count)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1700.0,
    )
    assert done.returncode == 0, done.stderr
    grown, dropped = map(int, done.stdout.split())
    files = sum(file.stat().st_size for file in (tmp_path / "spool").glob("*.ndjson"))
    print(f"{count} calls: grown by {grown / 2**20:.1f} MiB, {dropped} dropped, {files / 2**20:.1f} MiB in files")

    assert grown <= 20 << 20
    if mode == "memory":
        assert 0 < dropped < count
    else:
        assert files <= (256 + 8) << 20
        assert (dropped > 0) == (count > 1_000_000)
