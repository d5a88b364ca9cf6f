"""Every kind of server under load, with a worker killed in the middle: `python benchmarks/matrix.py` (`make matrix`).

Each row starts a server on two workers, sends it requests from many visitors at once, kills (-9) one of its workers, and goes
on. Accepted are the two calls of a request that was answered: the client knows, without asking the library. The vendor is
a local sink. It looks at every event whether user, campaign, request id and user agent are those of the one visitor.

lost: accepted, and did not arrive. twice: arrived more often than once, with the same message id, by which vendors drop the
repetition (a killed process cannot say which of its requests were answered). mixed: an event with something of another visitor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from matrix_site import DONE, headers_of  # noqa: E402

from itly_core import codegen, plans  # noqa: E402
from sample_projects.local_sink import LocalSink  # noqa: E402
from tests.servers import Process, Server  # noqa: E402

AT_ONCE = 32  # requests
KILL_AFTER = 0.4  # of the requests
ANSWER_S = 60.0  # what a request waits for its answer
ARRIVAL_S = 60.0  # what the last event has to arrive
STEPS = ("first", "second")
PLAN = """
itly: 1
plan: {name: Matrix, version: 1.0.0}
events:
  Visited:
    properties:
      number: {type: string, required: true}
      step: {enum: [first, second], required: true}
      pid: {type: integer, required: true}
"""

GUNICORN = ("gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--workers", "2", "--graceful-timeout", "5")
UWSGI = (
    str(Path(sys.executable).with_name("uwsgi")),
    *("--http-socket", "127.0.0.1:0", "--master", "--processes", "2", "--listen", "64", "--die-on-term"),
    *("--disable-logging", "--enable-threads", "--module", "matrix_site:application"),
)
WSGI = "matrix_site:application"


@dataclass(frozen=True, kw_only=True)
class Row:
    """kind: how it is driven. command: of its server. facts: what of a visitor is in its events."""

    name: str
    kind: str = "web"
    command: tuple[str, ...] = ()
    framework: str = "flask"
    env: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[str, ...] = ("user", "campaign", "request", "agent")
    is_quick: bool = False


def web_rows() -> Iterator[Row]:
    ways = {
        "gunicorn sync": (*GUNICORN, WSGI),
        "gunicorn sync --preload": (*GUNICORN, "--preload", WSGI),
        "gunicorn gthread": (*GUNICORN, "--worker-class", "gthread", "--threads", "8", WSGI),
        "gunicorn gevent": (*GUNICORN, "--worker-class", "gevent", WSGI),
        "uWSGI threads": (*UWSGI, "--threads", "4", "--lazy-apps"),
        "uWSGI fork hooks": (*UWSGI, "--py-call-uwsgi-fork-hooks"),
    }
    quick = {("django", "gunicorn sync --preload"), ("flask", "gunicorn gevent")}
    for framework in ("django", "flask"):
        for name, command in ways.items():
            is_quick = (framework, name) in quick
            yield Row(name=f"{name}, {framework}", command=command, framework=framework, is_quick=is_quick)


UVICORN = ("uvicorn", "--port", "0", "--workers", "2", "--lifespan", "off", "--no-access-log", WSGI)
ROWS = (
    *web_rows(),
    Row(
        name="uvicorn, django",
        command=UVICORN,
        framework="django",
        env={"MATRIX_ASYNC": "1"},
        is_quick=True,
    ),
    Row(
        name="Celery prefork, flask",
        kind="celery",
        command=(*GUNICORN, "--worker-class", "gthread", "--threads", "8", WSGI),
        facts=("user", "campaign", "request"),
    ),
    Row(name="multiprocessing fork, flask", kind="multiprocessing", command=("fork",), is_quick=True),
    Row(name="multiprocessing spawn, flask", kind="multiprocessing", command=("spawn",)),
)


class Accepted(NamedTuple):
    """A request that was answered, or a task that said it was done."""

    number: str
    pid: int


class Arrival(NamedTuple):
    number: str
    step: str
    pid: int
    message_id: str
    is_mixed: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    """Figures of a row. requests: sent. accepted, arrived, lost: calls. workers: processes that made accepted calls,
    silent: those of them that no event came from."""

    requests: int
    accepted: int
    arrived: int
    lost: int
    twice: int
    mixed: int
    workers: int
    silent: int
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.accepted > 0 and self.lost == self.mixed == self.silent == 0


def judge(requests: int, accepted: Iterable[Accepted], arrivals: Sequence[Arrival], seconds: float) -> Result:
    """From what both ends saw to the figures."""
    accepted = list(accepted)
    due = {(item.number, step) for item in accepted for step in STEPS}
    came = {(item.number, item.step) for item in arrivals}
    times = Counter(item.message_id for item in arrivals)
    pids = {item.pid for item in accepted}
    return Result(
        requests=requests,
        accepted=len(due),
        arrived=len(due & came),
        lost=len(due - came),
        twice=sum(count - 1 for count in times.values()),
        mixed=sum(item.is_mixed for item in arrivals),
        workers=len(pids),
        silent=len(pids - {item.pid for item in arrivals}),
        seconds=seconds,
    )


def arrival(event: Mapping[str, Any], facts: Iterable[str]) -> Arrival:
    """An event as Amplitude gets it; mixed if a fact is missing or another visitor's."""
    properties = event["event_properties"]
    number = properties["number"]
    found = {
        "user": event.get("user_id"),
        "campaign": event.get("user_properties", {}).get("utm_source"),
        "request": properties.get("context", {}).get("request_id"),
        "agent": event.get("user_agent"),
    }
    wanted = {
        "user": f"user-{number}",
        "campaign": f"source-{number}",
        "request": f"request-{number}",
        "agent": f"agent/{number}",
    }
    is_mixed = any(found[fact] != wanted[fact] for fact in facts)
    return Arrival(number, properties["step"], properties["pid"], event["insert_id"], is_mixed)


class Judge:
    """What the sink saw, as it comes in."""

    def __init__(self, facts: Sequence[str]) -> None:
        self._facts = facts
        self._changed = threading.Condition()
        self.arrivals: list[Arrival] = []
        self._came: set[tuple[str, str]] = set()

    def on_event(self, vendor: str, event: Mapping[str, Any]) -> None:
        seen = arrival(event, self._facts)
        with self._changed:
            self.arrivals.append(seen)
            self._came.add((seen.number, seen.step))
            self._changed.notify_all()

    def wait_for(self, accepted: Iterable[Accepted], timeout_s: float) -> None:
        """Until all of it arrived, or the time is up."""
        due = {(item.number, step) for item in accepted for step in STEPS}
        with self._changed:
            self._changed.wait_for(lambda: due <= self._came, timeout_s)


class Killer:
    """Kills the process that answered last, once so many have answered."""

    def __init__(self, after: int) -> None:
        self._left = after

    def answered(self, pid: int) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(pid, signal.SIGKILL)


def load(url: str, path: str, requests: int, on_answer: Callable[[str], None]) -> None:
    """Requests of that many visitors, AT_ONCE at a time. One that a dying worker drops has no answer."""
    port = urlsplit(url).port or 0
    numbers = iter(range(requests))

    async def visitor() -> None:
        for number in numbers:
            answer = await ask(port, path, str(number))
            if answer is not None:
                on_answer(answer)

    async def all_of_them() -> None:
        while not await is_open(port):  # uvicorn says where it listens before a worker does
            await asyncio.sleep(0.05)
        await asyncio.gather(*(visitor() for _ in range(AT_ONCE)))

    asyncio.run(all_of_them())


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def ask(port: int, path: str, number: str) -> str | None:
    """The body of the answer to one visitor; None for anything but a whole 200."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in headers_of(number).items())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    try:
        address = f"{path}?n={number}&utm_source=source-{number}"
        writer.write(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), ANSWER_S)).partition(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.TimeoutError):
        return None
    finally:
        writer.close()
    is_whole = head.split(b" ")[1:2] == [b"200"] and f"content-length: {len(body)}".encode() in head.lower()
    return body.decode() if is_whole else None


def run_web(row: Row, requests: int, room: Room) -> list[Accepted]:
    accepted: list[Accepted] = []
    killer = Killer(int(requests * KILL_AFTER))

    def on_answer(answer: str) -> None:
        number, pid = answer.split()
        accepted.append(Accepted(number, int(pid)))
        killer.answered(int(pid))

    with Server(row.command, cwd=room.folder, env=room.env) as server:
        load(server.url, "/visit/", requests, on_answer)
        room.judge.wait_for(accepted, ARRIVAL_S)
    return accepted


def run_celery(row: Row, requests: int, room: Room) -> list[Accepted]:
    from redis import Redis

    accepted: list[Accepted] = []
    worker = ("celery", "-A", "matrix_site:tasks", "worker", "-l", "warning", "--concurrency", "2")
    with redis_server(room.folder) as socket:
        env = {**room.env, "MATRIX_REDIS": str(socket)}
        redis = Redis(unix_socket_path=str(socket), decode_responses=True)
        with Server(row.command, cwd=room.folder, env=env) as server, Process(worker, cwd=room.folder, env=env):
            started: list[str] = []
            load(server.url, "/start/", requests, started.append)
            killer = Killer(int(requests * KILL_AFTER))
            while len(accepted) < len(started) - 1:  # the task in hand dies with its child
                found = redis.blpop([DONE], timeout=30)
                if found is None:
                    break
                number, pid = found[1].split()
                accepted.append(Accepted(number, int(pid)))
                killer.answered(int(pid))
            room.judge.wait_for(accepted, ARRIVAL_S)
    return accepted


def run_multiprocessing(row: Row, requests: int, room: Room) -> list[Accepted]:
    accepted = []
    killer = Killer(int(requests * KILL_AFTER))
    command = [sys.executable, str(HERE / "matrix_site.py"), row.command[0], "3", str(requests)]
    with subprocess.Popen(
        command,
        cwd=room.folder,
        env={**os.environ, **room.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line == "all ended\n":
                break
            number, pid = line.split()
            accepted.append(Accepted(number, int(pid)))
            if int(pid) != parent.pid:
                killer.answered(int(pid))
        room.judge.wait_for(accepted, ARRIVAL_S)
        parent.communicate()
    return accepted


RUN = {"web": run_web, "celery": run_celery, "multiprocessing": run_multiprocessing}


@contextmanager
def redis_server(folder: Path) -> Iterator[Path]:
    """The socket of a Redis server."""
    command = ["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", ""]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("eady to accept connections" in line for line in server.stdout)
            yield folder / "redis.sock"
        finally:
            server.kill()


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where a row runs."""

    folder: Path
    env: Mapping[str, str]
    judge: Judge


def missing_program(row: Row) -> str | None:
    """What the row needs and this machine has not."""
    needed = "redis-server" if row.kind == "celery" else row.command[0]
    is_program = row.kind == "celery" or Path(needed).is_absolute()
    return needed if is_program and shutil.which(needed) is None else None


def run(row: Row, requests: int) -> Result:
    judge_of_row = Judge(row.facts)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="itly-matrix-")))
        sink = opened.enter_context(LocalSink(keep=False, on_event=judge_of_row.on_event))
        settings = {
            "PACKAGE": "matrix_events",
            "ENVIRONMENT": "production",
            "DESTINATIONS": {"amplitude": {"api_key": "key", "endpoint": sink.amplitude_url}},
            "DELIVERY": {"MODE": "spool", "FLUSH_INTERVAL": 0.2},
            "SPOOL_DIR": str(folder / "spool"),
            "USER_RESOLUTION": "matrix_site.user_of",
            "BOTS": "off",
        }
        (folder / "plan.yaml").write_text(PLAN)
        codegen.write(codegen.render(plans.load(folder / "plan.yaml", base=folder)), folder / "matrix_events")
        env = {
            "PYTHONPATH": os.pathsep.join(map(str, (folder, HERE, ROOT))),
            "MATRIX_ITLY": json.dumps(settings),
            **({"MATRIX_FRAMEWORK": row.framework} if row.kind != "multiprocessing" else {}),
            **row.env,
        }
        started_s = time.monotonic()
        accepted = RUN[row.kind](row, requests, Room(folder=folder, env=env, judge=judge_of_row))
        seconds = time.monotonic() - started_s
    return judge(requests, accepted, judge_of_row.arrivals, seconds)


def table(results: Mapping[str, Result]) -> Iterator[str]:
    columns = ("requests", "accepted", "arrived", "lost", "twice", "mixed", "workers", "silent", "seconds")
    width = max(map(len, [*results, "server"]))
    yield "  ".join([f"{'server':{width}}", *(f"{name:>8}" for name in columns)])
    for name, result in results.items():
        cells = [f"{value:8.1f}" if isinstance(value, float) else f"{value:8}" for value in asdict(result).values()]
        yield "  ".join([f"{name:{width}}", *cells])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Every kind of server under load, with a worker killed in the middle.")
    parser.add_argument("--requests", type=int, default=50_000, help="of all rows together (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    parser.add_argument("--quick", action="store_true", help="some rows, a few requests each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    arguments = parser.parse_args(argv)

    rows = [row for row in ROWS if arguments.only in row.name and (row.is_quick or not arguments.quick)]
    each = 200 if arguments.quick else arguments.requests // len(rows)
    results = {}
    for row in rows:
        if (program := missing_program(row)) is not None:
            print(f"{row.name}: left out, there is no {program}", file=sys.stderr)
            continue
        results[row.name] = run(row, each)
        print(*list(table({row.name: results[row.name]}))[1:], sep="\n", file=sys.stderr, flush=True)
    print(*table(results), sep="\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({name: asdict(result) for name, result in results.items()}, indent=1))
    return 0 if all(result.is_good for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
