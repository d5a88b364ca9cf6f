"""The shop at work, from its plan to both vendors: `make demo`.

Pulls the shop's plan, fills an empty database, starts the shop and a local sink in the vendors' place, shops as two people
at once over HTTP, waits until everything arrived, and prints what did. One call breaks the plan, on purpose.

In a terminal the shop is left running, to be tried by hand, and what you do is printed as it arrives. Without one the exit
code is 0 when every event arrived, 1 when one is missing. Database and spool are in a directory that is gone afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from local_sink import Event, LocalSink
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

HERE = Path(__file__).parent
SHOP = HERE / "django_shop"
VENDORS = ("amplitude", "segment")
WAIT_S = 20.0  # for everything to arrive; it takes about one
BALANCE = ("accepted", "delivered", "dead", "dropped", "parked", "queued", "in_flight")

# Whoever reads it in a file has no terminal to be narrow.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 116)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="itly-demo-")))
        arrivals = Arrivals()
        sink = stack.enter_context(LocalSink(on_event=arrivals.add))
        environ = environment(folder, sink)

        console.print(manage(environ, "itly_pull", "python"))
        manage(environ, "migrate", "--verbosity=0")
        url = stack.enter_context(running_shop(environ, folder / "shop.log"))
        console.print(f"The shop is at {url}, and {sink.url} stands in for Amplitude and Segment.\n")

        with ThreadPoolExecutor(2) as pool:
            visits = [pool.submit(visit, url) for visit in (ada_buys_a_pen, grace_changes_her_mind)]
        expected = Counter(step for visit in visits for step in visit.result())
        for vendor in VENDORS:
            wait_for(sink, vendor, expected.total())
        arrivals.show()
        console.print(balance_table(settled_balance(environ)))
        found = list(problems(expected, arrivals.complete()))
        if found:
            console.print("\n".join(f"[red]{escape(problem)}[/]" for problem in found))
            console.print((folder / "shop.log").read_text("utf-8"), markup=False)
            return 1
        console.print(
            f"All {expected.total()} events arrived at both destinations; the one that breaks the plan is flagged.\n"
        )
        if sys.stdin.isatty() and sys.stdout.isatty():
            stay(url, arrivals)
    return 0


# Two visits. Each gives what it must have sent, as (visitor, event), in no particular order.

Steps = list[tuple[str, str]]
BROKEN = ("ada", "Coupon Entered")  # see shop/views.py


def ada_buys_a_pen(url: str) -> Steps:
    ada = Visitor(url, "ada")
    ada.get("/?utm_source=newsletter&utm_campaign=autumn")
    ada.get("/products/steel-fountain-pen/")
    ada.sign_up(newsletter="on")
    ada.post("/products/steel-fountain-pen/add/", quantity="1")
    ada.post("/products/iron-gall-ink/add/", quantity="2")
    ada.post("/basket/coupon/", code="INK10")  # breaks the plan
    ada.get("/checkout/")
    ada.post("/checkout/", recipient="Ada L.", address="12 St James's Square", payment="invoice")
    return ada.sent(
        *("Catalogue", "Product Viewed", "identify", "Signed Up", "Catalogue", "Product Added", "Product Added"),
        *("Coupon Entered", "Checkout Started", "Order Completed"),
    )


def grace_changes_her_mind(url: str) -> Steps:
    grace = Visitor(url, "grace")
    grace.sign_up()
    grace.get("/search/?q=notebook")
    grace.get("/products/field-notebook/")
    grace.post("/products/field-notebook/add/", quantity="3")
    grace.post("/products/field-notebook/remove/")
    grace.post("/sign-out/")
    return grace.sent(
        *("identify", "Signed Up", "Catalogue", "Products Searched", "Product Viewed", "Product Added"),
        *("Product Removed", "Signed Out", "Catalogue"),
    )


class Visitor:
    """A browser. Its user agent is the visitor's name, so that what arrives tells who really did it."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url
        self._session = requests.Session()
        self._session.headers["User-Agent"] = name

    def get(self, path: str) -> None:
        self._session.get(self._url + path, timeout=WAIT_S).raise_for_status()

    def post(self, path: str, **form: str) -> None:
        token = self._session.cookies["csrftoken"]
        answer = self._session.post(self._url + path, form, headers={"X-CSRFToken": token}, timeout=WAIT_S)
        answer.raise_for_status()

    def sign_up(self, **form: str) -> None:
        self.get("/sign-up/")
        secret = "a phrase for this demo"
        self.post("/sign-up/", username=self.name, password1=secret, password2=secret, **form)

    def sent(self, *events: str) -> Steps:
        return [(self.name, event) for event in events]


# What arrives


class Arrivals:
    """Calls as the vendors got them, told by Segment's form, which holds all that the table shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vendors: dict[str, set[str]] = {}
        self._messages: dict[str, Event] = {}
        self._shown: set[str] = set()
        self.is_live = False  # print each call as soon as both vendors have it

    def add(self, vendor: str, event: Event) -> None:
        key = event["messageId"] if vendor == "segment" else event["insert_id"]
        with self._lock:
            self._vendors.setdefault(key, set()).add(vendor)
            if vendor == "segment":
                self._messages[key] = event
            if self.is_live and self._is_complete(key) and key not in self._shown:
                self._shown.add(key)
                console.print("  ".join(self._row(key)))

    def complete(self) -> list[Event]:
        """The calls both vendors have."""
        with self._lock:
            return [message for key, message in self._messages.items() if self._is_complete(key)]

    def show(self) -> None:
        """A table of everything so far."""
        table = Table("event", "user", "route", "plan", "delivered to", box=box.SIMPLE_HEAD)
        with self._lock:
            for key in sorted(self._messages, key=lambda key: str(self._messages[key]["timestamp"])):
                self._shown.add(key)
                table.add_row(*self._row(key))
        console.print(table)

    def _is_complete(self, key: str) -> bool:
        return key in self._messages and self._vendors[key] == set(VENDORS)

    def _row(self, key: str) -> Sequence[str]:
        message = self._messages[key]
        context = message["context"]
        cells = (title(message), user(message, self._names()), f"{context['method']} {context['route']}")
        return (*map(escape, cells), verdict(context), ", ".join(sorted(self._vendors[key])))

    def _names(self) -> Mapping[str, str]:
        """{user id: name}, as identify calls say."""
        known = [message for message in self._messages.values() if message["type"] == "identify"]
        return {message["userId"]: message["traits"]["name"] for message in known}


def title(message: Event) -> str:
    """The event's name; a page's name; else the kind of call."""
    return str(message.get("event") or message.get("name") or message["type"])


def user(message: Event, names: Mapping[str, str]) -> str:
    user_id = message.get("userId")
    if user_id is None:
        return "anonymous"
    return f"{user_id} ({names[user_id]})" if user_id in names else str(user_id)


def problems(expected: Counter[tuple[str, str]], arrived: Sequence[Event]) -> Iterator[str]:
    """What did not go as it should, in words."""
    steps = Counter((visitor(message), title(message)) for message in arrived)
    for who, event in (expected - steps).elements():
        yield f"missing: {event} of {who}"
    flagged = [(visitor(message), title(message)) for message in arrived if "itly" in message["context"]]
    if flagged != [BROKEN]:
        yield f"flagged: {flagged}, and it should be {BROKEN}"
    for who in {who for who, _ in expected}:
        ids = {message["userId"] for message in arrived if visitor(message) == who and "userId" in message}
        if len(ids) != 1:
            yield f"{who} arrived as users {ids}"


def visitor(message: Event) -> str:
    """Whose browser it was."""
    return str(message["context"]["userAgent"])


def verdict(context: Mapping[str, Any]) -> str:
    """`valid`, or what breaks the plan."""
    broken = context.get("itly", {}).get("violations", ())
    if not broken:
        return "[green]valid[/]"
    return "[red]" + escape(", ".join(f"{item['path']}: wrong {item['rule']}" for item in broken)) + "[/]"


def wait_for(sink: LocalSink, vendor: str, count: int) -> None:
    """Until the vendor has that many calls; what is missing in the end is said later."""
    try:
        sink.wait_for(count, WAIT_S, vendor)
    except TimeoutError as exc:
        console.print(f"[red]{vendor}: {exc}[/]")


def settled_balance(environ: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """What became of every call in the spool, once the vendors' answers are written down."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found: dict[str, dict[str, Any]] = json.loads(manage(environ, "itly_stats", "--format=json"))["destinations"]
        is_settled = all(total(counts["queued"]) + total(counts["in_flight"]) == 0 for counts in found.values())
        if is_settled or time.monotonic() > deadline:
            return found


def total(count: Any) -> int:
    """A counter's total, whether it is split by reason or not."""
    return sum(count.values()) if isinstance(count, dict) else int(count)


def balance_table(balance: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("destination", *(name.replace("_", " ") for name in BALANCE), box=box.SIMPLE_HEAD)
    for name, counts in sorted(balance.items()):
        table.add_row(name, *(str(total(counts[column])) for column in BALANCE))
    return table


def stay(url: str, arrivals: Arrivals) -> None:
    """Leaves the shop to the person at the terminal, until Ctrl-C."""
    console.print(f"Try it by hand: [bold]{url}[/]. Each event is printed here once both have it. Ctrl-C ends it.\n")
    arrivals.is_live = True
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\nStopping.")


# The processes


def environment(folder: Path, sink: LocalSink) -> dict[str, str]:
    """Of the shop: production, its data in `folder`, the sink as vendors. Nothing of an outer Django or test run."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_", "GUNICORN_"))}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(SHOP))),
        "SHOP_DATA": str(folder),
        "SHOP_DEBUG": "0",
        "AMPLITUDE_API_KEY": "demo",
        "AMPLITUDE_ENDPOINT": sink.amplitude_url,
        "SEGMENT_WRITE_KEY": "demo",
        "SEGMENT_ENDPOINT": sink.segment_url,
    }


def manage(environ: Mapping[str, str], *arguments: str) -> str:
    """A management command of the shop; its output. Ends the demo when it fails."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=SHOP, env=environ, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextmanager
def running_shop(environ: Mapping[str, str], log: Path) -> Iterator[str]:
    """Gunicorn with the shop, for as long as the block runs; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        descriptor = listener.fileno()
        # In a session of its own, so that Ctrl-C reaches only us.
        process = subprocess.Popen(
            [*(sys.executable, "-m", "gunicorn", "--bind", f"fd://{descriptor}"), *GUNICORN_OPTIONS, "config.wsgi"],
            cwd=SHOP,
            env=environ,
            pass_fds=(descriptor,),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Whoever connects now waits in the socket's queue until the shop is up; if it dies, it is refused.
    try:
        yield f"http://127.0.0.1:{port}"
    except requests.RequestException as exc:
        sys.exit(f"The shop did not answer: {exc}\n{log.read_text('utf-8')}")
    finally:
        stop(process)


GUNICORN_OPTIONS = ("--workers", "2", "--worker-class", "gthread", "--threads", "2", "--no-control-socket")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and whatever it started."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
