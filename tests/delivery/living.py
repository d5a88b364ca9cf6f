"""A program that makes calls and ends, or forks, in a certain way. It says each id once its call has returned.

python living.py MODE SPOOL URL WAY
"""

from __future__ import annotations

import atexit
import sys

if sys.argv[4] == "late-handlers":
    atexit.register(lambda: accept(20))  # before ours, and so run after it
if sys.argv[4].startswith("gevent"):
    from gevent import monkey

    if sys.argv[4] != "gevent-late":
        monkey.patch_all()

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable

from itly_core.call import EventOptions, MessageIds
from itly_core.client import Client
from itly_core.delivery import start_delivery
from itly_core.delivery.process import flush_all
from itly_core.log import Log
from itly_core.options import (
    AmplitudeOptions,
    CustomOptions,
    DeliveryOptions,
    DestinationsOptions,
    Environment,
    Options,
    ValidationOptions,
)
from itly_core.plan import Plan

MODE, SPOOL, URL, WAY = sys.argv[1:5]


class Errors:
    """A logger for whom errors are the only news."""

    def debug(self, message: str) -> None:
        pass

    info = warn = debug

    def error(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


class Slow:
    """A destination of one's own that takes its time."""

    def track(self, user_id: str, event_name: str, properties: dict[str, object]) -> None:
        time.sleep(0.001)


def make_client() -> Client:
    options = Options(
        environment=Environment.PRODUCTION,
        delivery=DeliveryOptions(
            mode=MODE,  # type: ignore[arg-type]
            spool_dir=SPOOL,
            flush_interval=0.05,
            timeout=5.0,
            shutdown_timeout=float(os.environ.get("SHUTDOWN_S", "20")),
        ),
        destinations=DestinationsOptions(
            amplitude=AmplitudeOptions(api_key="k", endpoint=URL),
            custom=CustomOptions(adapter=Slow()) if WAY == "beside-slow" else None,
        ),
        validation=ValidationOptions(disabled=True),
        logger=Errors(),
    )
    log = Log(options.logger)
    return Client(Plan(), options, start_delivery({"name": "Shop"}, options, log), log)


def accept(count: int, client: Client | None = None) -> None:
    ids = MessageIds()
    for _ in range(count):
        name = ids.make(time.time_ns() // 1_000_000).decode()
        (client or CLIENT).event("Seen", f"user-{os.getpid()}", {}, {}, EventOptions(message_id=name))
        os.write(1, f"{name}\n".encode())  # one write: what processes say does not mix


def wait_for(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"the child ended with {os.waitstatus_to_exitcode(status)}")


def fork(child: Callable[[], None]) -> int:
    """A child that ends without exit handlers, as a server's worker may."""
    pid = os.fork()
    if pid:
        return pid
    try:
        child()
        os._exit(0)
    finally:
        os._exit(9)


def flush(timeout_s: float = 60.0) -> None:
    if not CLIENT.flush(timeout_s):
        sys.exit(f"not everything was delivered: {CLIENT.stats()}")


def check_balance() -> None:
    for name, found in CLIENT.stats().items():
        places = ("delivered", "dead", "dropped", "parked", "queued", "in_flight")
        if found["accepted"] != sum(found[place] for place in places):
            sys.exit(f"{name} is out of balance: {found}")


# Ends


def end_normally() -> None:
    accept(200)


def end_by_sys_exit() -> None:
    accept(200)
    sys.exit(3)


def end_by_exception() -> None:
    accept(200)
    raise ValueError("unhandled")


def end_by_keyboard() -> None:
    accept(200)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60.0)


def end_by_sigterm() -> None:
    accept(200)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60.0)


def end_by_handled_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_by_sigterm()


def serve() -> None:
    """Calls until it is told to end, as a server's worker is."""

    def end(*_: object) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        accept(1)
        time.sleep(0.002)


def end_by_os_exit() -> None:
    accept(200)
    os._exit(0)


def end_by_os_exit_after_flush() -> None:
    accept(200)
    os._exit(0 if flush_all(60.0) else 1)


def end_with_threads() -> None:
    """Threads that are no daemons go on calling after the main thread is through."""

    def work() -> None:
        time.sleep(0.2)
        accept(50)

    for _ in range(4):
        threading.Thread(target=work).start()
    accept(10)


def end_with_daemons() -> None:
    """Daemons call until they are stopped in the middle of something."""

    def work() -> None:
        while True:
            accept(1)

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    accept(100)


def end_with_handlers() -> None:
    """The last one of these runs before ours, the first one after it."""
    atexit.register(accept, 20)
    accept(20)


def end_with_first_call_at_exit() -> None:
    atexit.register(accept, 20)


def end_in_asyncio() -> None:
    import asyncio

    async def work() -> None:
        accept(100)
        await asyncio.sleep(0)
        accept(100)

    asyncio.run(work())


def end_after_shutdown() -> None:
    accept(100)
    CLIENT.shutdown()


def beside_slow() -> None:
    accept(200)


def late_handlers() -> None:
    """See the top of this file."""
    accept(20)


# Forks


def fork_plain() -> None:
    accept(20)
    child = fork(lambda: (accept(20), flush()))
    accept(20)
    wait_for(child)
    flush()


def fork_in_calls(forks: int = 20) -> None:
    """While threads call, and the lane sends."""
    ends = threading.Event()

    def work() -> None:
        while not ends.is_set():
            accept(1)
            time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(forks):
        wait_for(fork(lambda: (accept(3), check_balance(), flush())))
    ends.set()
    for thread in threads:
        thread.join()
    flush()


def fork_a_thousand() -> None:
    fork_in_calls(1000)


def fork_of_fork() -> None:
    accept(5)

    def child() -> None:
        accept(5)
        wait_for(fork(lambda: (accept(5), flush())))
        flush()

    wait_for(fork(child))
    flush()


def fork_idle() -> None:
    """A child that never calls sends nothing of its parent's."""
    accept(20)
    child = fork(lambda: time.sleep(1.0))
    flush()
    wait_for(child)


def fork_that_exits() -> None:
    """The child runs exit handlers, and so delivers its own calls, and only those."""
    accept(20)
    child = os.fork()
    if not child:
        accept(20)
        sys.exit(0)
    wait_for(child)
    accept(20)


def pool(method: str) -> None:
    context = multiprocessing.get_context(method)
    if method == "fork":
        accept(20)
    processes = [context.Process(target=accept, args=(20,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            sys.exit(f"a process ended with {process.exitcode}")
    flush()


def call_in_signal_handlers() -> None:
    """Signals that hit in the middle of calls make calls themselves. Nothing else takes time here, so that they hit."""
    dice = random.Random(5)
    ids = MessageIds()
    made: list[str] = []

    def call() -> None:
        name = ids.make(time.time_ns() // 1_000_000).decode()
        made.append(name)
        CLIENT.event("Seen", "user-1", {}, {}, EventOptions(message_id=name))

    def again(*_: object) -> None:
        call()
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00005, 0.0005))

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    for _ in range(6_000):
        call()
    signal.setitimer(signal.ITIMER_REAL, 0)
    check_balance()
    flush()
    print("\n".join(made))


def gevent_threads() -> None:
    import gevent

    jobs = [gevent.spawn(accept, 50) for _ in range(10)]
    gevent.joinall(jobs)
    check_balance()
    flush()
    accept(20)


def gevent_fork() -> None:
    accept(20)
    child = fork(lambda: (accept(20), flush()))
    wait_for(child)
    flush()


def gevent_late() -> None:
    """Patched after everything was imported, before the first call."""
    monkey.patch_all()
    gevent_threads()


WAYS: dict[str, Callable[[], None]] = {
    "normally": end_normally,
    "sys.exit": end_by_sys_exit,
    "exception": end_by_exception,
    "keyboard": end_by_keyboard,
    "sigterm": end_by_sigterm,
    "sigterm-handled": end_by_handled_sigterm,
    "serve": serve,
    "os._exit": end_by_os_exit,
    "os._exit-flushed": end_by_os_exit_after_flush,
    "threads": end_with_threads,
    "daemons": end_with_daemons,
    "handlers": end_with_handlers,
    "handler-first": end_with_first_call_at_exit,
    "asyncio": end_in_asyncio,
    "shutdown": end_after_shutdown,
    "beside-slow": beside_slow,
    "late-handlers": late_handlers,
    "fork": fork_plain,
    "fork-in-calls": fork_in_calls,
    "fork-a-thousand": fork_a_thousand,
    "fork-of-fork": fork_of_fork,
    "fork-idle": fork_idle,
    "fork-exits": fork_that_exits,
    "multiprocessing-fork": lambda: pool("fork"),
    "multiprocessing-spawn": lambda: pool("spawn"),
    "multiprocessing-forkserver": lambda: pool("forkserver"),
    "signals": call_in_signal_handlers,
    "gevent": gevent_threads,
    "gevent-fork": gevent_fork,
    "gevent-late": gevent_late,
}

CLIENT = make_client()

if __name__ == "__main__":
    WAYS[WAY]()
