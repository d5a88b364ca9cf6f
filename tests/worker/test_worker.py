"""`itly worker`: who ships, what is shipped, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from itly_core.delivery import make_worker
from itly_core.delivery.shipper import SHIPPER_LOCK, WORKER_LOCK, Role
from itly_core.delivery.state import STATE_FILE
from itly_core.delivery.worker import End
from itly_core.log import Log
from itly_core.project import project_from_pyproject
from tests.worker.conftest import Process, Shop, environment, eventually, numbers

HANDOVER_S = 1.0


def is_shipping(shop: Shop, process: Process) -> bool:
    return Role(shop.spool / SHIPPER_LOCK).holder() == process.pid


def test_a_worker_takes_the_role_from_a_web_process_and_gives_it_back(shop: Shop) -> None:
    web = shop.web()
    web.accept(1)
    shop.sink.wait_for(1)
    assert is_shipping(shop, web)

    worker = shop.worker()
    asked_s = time.monotonic()
    assert eventually(lambda: is_shipping(shop, worker)) - asked_s < HANDOVER_S
    web.accept(10)
    shop.sink.wait_for(11)
    assert is_shipping(shop, worker)

    assert worker.end(signal.SIGTERM) == 0
    ended_s = time.monotonic()
    assert eventually(lambda: is_shipping(shop, web)) - ended_s < HANDOVER_S
    web.accept(10)
    shop.sink.wait_for(21)
    assert web.end() == 0
    assert numbers(shop.sink) == list(range(1, 22))


def test_a_web_process_finishes_its_request_before_it_gives_way(shop: Shop) -> None:
    shop.sink.script(delay_s=1.0, times=1)
    web = shop.web()
    web.accept(20)
    shop.wait_for_request()
    worker = shop.worker()

    eventually(lambda: is_shipping(shop, worker))
    assert shop.sink.count() == 20
    assert worker.end(signal.SIGTERM) == 0
    assert web.end() == 0
    assert shop.sink.count() == 20


def test_an_adapter_of_a_process_that_gave_way_is_used_again(shop: Shop) -> None:
    (shop.directory / "adapters.py").write_text(
        "import os\n"
        "class Adapter:\n"
        "    def __init__(self): self.is_open = True\n"
        "    def send(self, calls):\n"
        "        assert self.is_open\n"
        "        with open('arrived', 'a') as file:\n"
        "            for call in calls: print(os.getpid(), call.properties['n'], file=file)\n"
        "    def shutdown(self): self.is_open = False\n"
    )
    shop.configure({"custom": {"adapter": "adapters.Adapter"}})
    arrived = shop.directory / "arrived"
    web = shop.web()
    web.accept(1)
    eventually(lambda: arrived.exists() and arrived.read_text() == f"{web.pid} 1\n")
    worker = shop.worker()
    eventually(lambda: is_shipping(shop, worker))
    worker.end(signal.SIGTERM)
    web.accept(1)

    eventually(lambda: arrived.read_text().splitlines()[1:] == [f"{web.pid} 2"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_worker_with_nothing_to_do_ends_at_once_when_told(shop: Shop, number: signal.Signals) -> None:
    worker = shop.worker()
    eventually(lambda: is_shipping(shop, worker))
    told_s = time.monotonic()

    assert worker.end(number) == 0
    assert time.monotonic() - told_s < 1.5
    assert "Traceback" not in worker.output


def test_a_worker_that_is_told_to_end_finishes_its_request(shop: Shop) -> None:
    shop.configure(batch_size=10)
    shop.leave(50)
    shop.sink.script(delay_s=0.5)
    worker = shop.worker()
    shop.wait_for_request()

    assert worker.end(signal.SIGTERM) == 0
    arrived = shop.sink.count()
    assert arrived in (10, 20)
    shop.sink.heal()
    assert shop.run("worker", "--once").returncode == 0
    assert numbers(shop.sink) == list(range(50))


def test_a_worker_told_twice_ends_at_once_and_its_calls_are_sent_again(shop: Shop) -> None:
    shop.leave(5)
    shop.sink.script(delay_s=5.0, times=1)
    worker = shop.worker()
    shop.wait_for_request()
    worker.send(signal.SIGTERM)
    told_s = worker.wait_for("ending after the requests in hand")  # two signals at one moment would be one

    assert worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - told_s < 2.0
    assert "sent again, with the same ids" in worker.output
    assert shop.run("worker", "--once").returncode == 0
    assert sorted({event["event_properties"]["n"] for event in shop.sink.events()}) == list(range(5))


def test_once_ships_what_killed_processes_left_and_ends(shop: Shop) -> None:
    shop.configure({"amplitude": shop.amplitude, "segment": shop.segment})
    shop.leave(30)
    shop.leave(20)
    found = shop.json("worker", "--once")

    assert numbers(shop.sink) == numbers(shop.sink, "segment") == sorted([*range(30), *range(20)])
    done = {"delivered": 50, "dead": 0, "dropped": 0, "parked": 0, "pending_bytes": 0, "state": "ok", "reason": ""}
    assert found == {
        "ok": True,
        "exit_code": 0,
        "ended": "empty",
        "spool": str(shop.spool),
        "destinations": {"amplitude": done, "segment": done},
    }
    assert not list(shop.spool.glob("*.ndjson"))


def test_once_with_nothing_there_ends(shop: Shop) -> None:
    done = shop.run("worker", "--once")

    assert done.returncode == 0
    assert "everything is shipped" in done.stderr


def test_once_ships_what_a_living_process_has_accepted(shop: Shop) -> None:
    worker = shop.worker()
    web = shop.web()
    shop.sink.go_down()
    web.accept(20)
    worker.end(signal.SIGKILL)
    shop.sink.go_up()

    assert shop.run("worker", "--once").returncode == 0
    assert set(numbers(shop.sink)) == set(range(1, 21))


def test_the_table_at_the_end_has_a_row_for_each_destination(shop: Shop) -> None:
    shop.sink.script(match={"event_properties": {"n": 3}})
    shop.leave(1500)
    lines = shop.run("worker", "--once").stdout.splitlines()

    assert lines[0].split() == ["destination", "delivered", "dead", "dropped", "parked", "left"]
    assert lines[1].split() == ["amplitude", "1,499", "1", "0", "0", "0", "B"]


def test_a_second_worker_says_that_one_is_at_work(shop: Shop) -> None:
    worker = shop.worker()
    eventually(lambda: is_shipping(shop, worker))
    done = shop.run("worker", "--once")

    assert done.returncode == 2
    assert f"another worker is at work here (process {worker.pid})" in done.stderr
    assert shop.json("worker", code=2)["ended"] == "taken"
    assert is_shipping(shop, worker)


def test_the_role_is_free_as_soon_as_a_worker_is_killed(shop: Shop) -> None:
    web = shop.web()
    web.accept(1)
    worker = shop.worker()
    eventually(lambda: is_shipping(shop, worker))
    worker.end(signal.SIGKILL)
    killed_s = time.monotonic()

    assert eventually(lambda: is_shipping(shop, web)) - killed_s < HANDOVER_S


def test_a_child_that_an_adapter_forked_does_not_keep_the_role(shop: Shop) -> None:
    (shop.directory / "adapters.py").write_text(
        "import os, time\n"
        "class Adapter:\n"
        "    def send(self, calls):\n"
        "        if os.fork() == 0:\n"
        "            open('forked', 'w').close()\n"
        "            time.sleep(60)\n"
        "            os._exit(0)\n"
    )
    shop.configure({"custom": {"adapter": "adapters.Adapter"}})
    shop.leave(1)
    worker = shop.worker()
    eventually((shop.directory / "forked").exists)
    os.kill(worker.pid, signal.SIGKILL)

    eventually(lambda: Role(shop.spool / SHIPPER_LOCK).holder() is None, 2.0)
    assert Role(shop.spool / WORKER_LOCK).holder() is None
    os.killpg(worker.pid, signal.SIGKILL)


def test_once_does_not_wait_for_a_destination_that_refuses_its_key(shop: Shop) -> None:
    shop.configure({"amplitude": shop.amplitude, "segment": shop.segment})
    shop.leave(30)
    shop.sink.script(path="/v1/batch", status=401)
    found = shop.json("worker", "--once", code=1)

    assert (found["ok"], found["exit_code"], found["ended"]) == (False, 1, "stuck")
    assert found["destinations"]["amplitude"]["delivered"] == 30
    assert found["destinations"]["segment"]["state"] == "held"
    assert found["destinations"]["segment"]["delivered"] == 0

    done = shop.run("worker", "--once")
    assert done.returncode == 1
    assert "segment is held: HTTP 401. Check its key and endpoint; every call is kept" in done.stderr

    shop.sink.heal()
    assert shop.run("worker", "--once").returncode == 0
    assert numbers(shop.sink, "segment") == list(range(30))


def test_once_does_not_wait_for_a_vendor_that_stays_down(shop: Shop) -> None:
    shop.configure(
        {"amplitude": shop.amplitude, "segment": {**shop.segment, "endpoint": "http://127.0.0.1:1/v1/batch"}}
    )
    shop.leave(30)
    project = project_from_pyproject(shop.directory)
    worker = make_worker(project.plan().info, project.options(), Log())

    report = worker.run(once=True, patience_s=0.5)

    assert report.end is End.STUCK
    assert (report.accounts["amplitude"].delivered, report.accounts["amplitude"].state) == (30, "ok")
    assert (report.accounts["segment"].delivered, report.accounts["segment"].state) == (0, "failing")


def test_once_does_not_wait_for_calls_that_a_vendor_wants_much_later(shop: Shop) -> None:
    shop.leave(1)
    shop.run("worker", "--once")
    line = json.dumps(
        {"kind": "track", "message_id": "m-1", "timestamp_ms": 1, "user_id": "u", "name": "Seen"}
    ).encode()
    with sqlite3.connect(shop.spool / STATE_FILE) as db:
        row = ("amplitude", "w", time.time() + 3600, 0, time.time(), line)
        db.execute(
            "INSERT INTO parked (destination, writer, not_before, attempts, renewed, line) VALUES (?,?,?,?,?,?)", row
        )
    db.close()
    done = shop.run("worker", "--once")

    assert done.returncode == 1
    assert "amplitude wants 1 calls later than --once waits; they are kept" in done.stderr


def test_a_timeout_ends_the_wait_for_a_vendor_that_is_down(shop: Shop) -> None:
    shop.leave(30)
    shop.sink.go_down()
    began_s = time.monotonic()
    found = shop.json("worker", "--once", "--timeout", "1", code=1)

    assert 1.0 < time.monotonic() - began_s < 20.0
    assert found["ended"] == "time"
    assert found["destinations"]["amplitude"]["state"] == "failing"
    assert found["destinations"]["amplitude"]["pending_bytes"] > 0
    shop.sink.go_up()
    assert shop.run("worker", "--once").returncode == 0
    assert numbers(shop.sink) == list(range(30))


def test_a_timeout_ends_a_worker_that_just_works(shop: Shop) -> None:
    done = shop.run("worker", "--timeout", "0.2")

    assert done.returncode == 0


def test_a_person_sees_a_bar_and_a_log_sees_lines(shop: Shop) -> None:
    shop.leave(1000)
    shop.sink.script(delay_s=0.5)
    primary, secondary = pty.openpty()
    env = {**environment(shop.directory), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "itly_core", "worker", "--once"],
        cwd=shop.directory, env=env, stdout=subprocess.PIPE, stderr=secondary, text=True,
    )  # fmt: skip
    os.close(secondary)
    shown = _read_all(primary)
    assert process.stdout is not None
    table = process.stdout.read()
    process.stdout.close()

    assert process.wait() == 0
    assert "shipping" in shown
    assert "1,000 calls" in shown
    assert "100%" in shown
    assert table.startswith("destination")
    assert "\x1b" not in shop.run("worker", "--once").stderr


def _read_all(fd: int) -> str:
    """What is written to a terminal until its last writer is gone."""
    found = b""
    try:
        while data := _read_terminal(fd):
            found += data
    finally:
        os.close(fd)
    return found.decode()


def _read_terminal(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError as exc:
        if exc.errno == errno.EIO:  # how Linux says that nobody writes any more
            return b""
        raise


WRONG = {
    "memory": ({"mode": "memory"}, "delivery's mode is 'memory'"),
    "an option": ({"flush_interval": "soon"}, "flush_interval"),
}


@pytest.mark.parametrize(("delivery", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings_exit_2(shop: Shop, delivery: dict[str, object], message: str) -> None:
    shop.configure(**delivery)
    done = shop.run("worker", "--once")

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_needs_somewhere_to_ship_to(shop: Shop) -> None:
    shop.configure({})

    assert "name a destination in the settings" in shop.json("worker", code=2)["error"]["message"]


def test_a_worker_needs_the_package(shop: Shop) -> None:
    (shop.directory / "shop_events" / "_plan.json").unlink()
    done = shop.run("worker")

    assert done.returncode == 2
    assert "itly pull" in done.stderr


def test_another_projects_spool_is_left_alone(shop: Shop) -> None:
    shop.spool.mkdir()
    (shop.spool / "spool.json").write_text('{"format": 1, "project": "Bank"}')
    done = shop.run("worker")

    assert done.returncode == 2
    assert "belongs to the plan 'Bank'" in done.stderr


def test_a_state_of_a_later_version_is_left_alone(shop: Shop) -> None:
    shop.leave(1)
    db = sqlite3.connect(shop.spool / STATE_FILE)
    db.execute("PRAGMA user_version = 99")
    db.close()

    for command in (["worker"], ["stats"], ["dlq", "list"]):
        done = shop.run(*command)
        assert (done.returncode, "install a newer one" in done.stderr) == (2, True), (command, done.stderr)
