"""What a process does to calls when it forks and when it ends, by the numbers of docs/web-scenarios.md.

The same in every server and worker: more of each in tests/django, tests/flask, tests/spool and tests/worker.
"""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import time
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from itly_core import codegen, plans
from itly_core.destinations.custom import CustomOptions
from itly_core.options import DeliveryOptions, DestinationsOptions, Options
from sample_projects.local_sink import LocalSink

ROOT = Path(__file__).parents[2]
PLAN = """
itly: 1
plan: {name: Site, version: 1.0.0}
events: {Seen: {properties: {where: {type: string}}}}
"""
LOAD = """
import atexit, os, sys, threading, time
{before}
import process_events as itly
itly.load(itly.Options(
    environment=itly.Environment.PRODUCTION,
    destinations=itly.DestinationsOptions(amplitude=itly.AmplitudeOptions(api_key="AK", endpoint={endpoint!r})),
    delivery=itly.DeliveryOptions(mode={mode!r}, spool_dir={spool!r}, flush_interval=0.05, shutdown_timeout={shutdown_s}),
))
{body}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the generated package `process_events`."""
    found = tmp_path_factory.mktemp("processes")
    (found / "plan.yaml").write_text(PLAN)
    codegen.write(codegen.render(plans.load("plan.yaml", base=found)), found / "process_events")
    return found


def run(
    folder: Path, sink: LocalSink, body: str, *, before: str = "", spool: Path | None = None, shutdown_s: float = 10.0
) -> subprocess.CompletedProcess[str]:
    mode = "memory" if spool is None else "spool"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ITLY"))}
    code = LOAD.format(
        before=before,
        body=body,
        endpoint=sink.amplitude_url,
        mode=mode,
        spool=spool and str(spool),
        shutdown_s=shutdown_s,
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def places(sink: LocalSink) -> Counter[str]:
    """Where calls were made, once per call: what its sender died over is sent again under its id."""
    return Counter({event["insert_id"]: event["event_properties"]["where"] for event in sink.events()}.values())


FORKING = """
numbers = iter(range(10**9))
is_over = threading.Event()
made = []
def speak():
    while not is_over.is_set():
        where = f"parent {next(numbers)}"
        itly.seen("user-1", where=where)
        itly.seen("user-1", where="told", options=itly.EventOptions(once="told"))
        made.append(where)
        time.sleep(0.005)
threads = [threading.Thread(target=speak) for _ in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(20):
    child = os.fork()
    if child == 0:
        itly.seen("user-1", where=f"child {number}")
        itly.seen("user-1", where=f"child {number} told", options=itly.EventOptions(once="told"))
        os._exit(0 if itly.flush(40) else 1)
    children.append(child)
codes = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
is_over.set()
for thread in threads:
    thread.join()
print(codes, itly.flush(20), len(made))
"""


@pytest.mark.parametrize("mode", ["memory", "spool"])
def test_scenario_2_a_fork_while_threads_make_calls_leaves_the_child_no_lock_and_no_call_of_theirs(
    folder: Path, sink: LocalSink, tmp_path: Path, mode: str
) -> None:
    done = run(folder, sink, FORKING, spool=tmp_path / "spool" if mode == "spool" else None)
    children = {f"child {number}{told}": 1 for number in range(20) for told in ("", " told")}

    assert done.stdout.startswith("{0} True "), done.stdout + done.stderr
    found = places(sink)
    assert {where: count for where, count in found.items() if where.startswith("child")} == children
    parents = [count for where, count in found.items() if where.startswith("parent")]
    assert (len(parents), set(parents)) == (int(done.stdout.split()[-1]), {1})


class Adapter:
    def send(self, calls: Any) -> None:
        pass


@pytest.mark.parametrize("mode", ["memory", "spool"])
def test_scenario_3_a_client_that_is_shut_down_is_freed(folder: Path, tmp_path: Path, mode: Any) -> None:
    sys.path.insert(0, str(folder))
    try:
        engine = importlib.import_module("process_events")._package
    finally:
        sys.path.remove(str(folder))
    options = Options(
        destinations=DestinationsOptions(custom=CustomOptions(adapter=Adapter())),
        delivery=DeliveryOptions(mode=mode, spool_dir=tmp_path / "spool" if mode == "spool" else None),
    )
    client = engine.start(options)
    client.event("Seen", "user-1", {"where": "x"})
    assert client.shutdown(20)
    seen = [weakref.ref(client), weakref.ref(client.delivery)]
    del client
    gc.collect()

    assert [reference() for reference in seen] == [None, None]


def test_scenario_4_no_flush_in_a_child_waits_longer_than_it_is_told(folder: Path, sink: LocalSink) -> None:
    sink.script(delay_s=30.0)
    body = """
itly.seen("user-1", where="parent")
child = os.fork()
if child == 0:
    itly.seen("user-1", where="child")
    started = time.monotonic()
    answers = [itly.flush(0.5), itly.flush(0.5), itly.shutdown(0.5)]
    print(answers, time.monotonic() - started < 10, flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""
    done = run(folder, sink, body)

    assert done.stdout == "[False, False, False] True\n", done.stderr


LAST_WORDS = "lambda: itly.seen('user-1', where={!r})"


def test_scenario_9_calls_made_while_the_interpreter_ends_arrive_and_break_nothing(
    folder: Path, sink: LocalSink
) -> None:
    """Python 3.12 refuses new threads by then; what is registered first runs last, after our own."""
    done = run(
        folder,
        sink,
        f"atexit.register({LAST_WORDS.format('before ours')})",
        before=f"atexit.register({LAST_WORDS.format('after ours')})",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert places(sink) == {"before ours": 1, "after ours": 1}


@pytest.mark.parametrize("mode", ["memory", "spool"])
def test_scenario_10_a_vendor_that_stalls_does_not_keep_a_process_from_ending(
    folder: Path, sink: LocalSink, tmp_path: Path, mode: str
) -> None:
    sink.script(delay_s=40.0)
    started = time.monotonic()
    spool = tmp_path / "spool" if mode == "spool" else None
    done = run(folder, sink, "itly.seen('user-1', where='x')", spool=spool, shutdown_s=0.5)

    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 20
