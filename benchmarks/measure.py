"""One library in one process, measured round by round: `python measure.py PART PEER URL`.

Sets the library up, says `ready`, and then answers every number on standard input with one round of that many calls or
requests, as a line of JSON. PART is a key of PARTS; PEER a key of peers.PEERS, or `bare` for a request without a call.
"""

from __future__ import annotations

import cProfile
import json
import logging
import os
import pstats
import resource
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import packages
from event import USER, properties
from peers import PEERS, Subject, require_spool

Result = dict[str, Any]
Round = Callable[[int], Result]


def percentiles_us(times_ns: list[int]) -> Result:
    """Of single measurements, with the cost of reading the clock taken off."""
    clock_ns = min(_clock_ns() for _ in range(1000))
    ordered = sorted(time_ns - clock_ns for time_ns in times_ns)
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 for name, share in at.items()}


def _clock_ns() -> int:
    start = time.perf_counter_ns()
    return time.perf_counter_ns() - start


def caller(peer: str, url: str) -> Round:
    """Microseconds of one call in the thread that makes it, with nothing being sent: single calls, then a loop's mean."""
    subject = PEERS[peer].build("off", url)
    track, clock = subject.track, time.perf_counter_ns
    for number in range(500):
        track(properties(number))

    def one_round(count: int) -> Result:
        subject.drain()
        times_ns = []
        for number in range(count):
            given = properties(number)
            start = clock()
            track(given)
            times_ns.append(clock() - start)
        subject.drain()
        prepared = [properties(number) for number in range(count)]
        start = clock()
        for given in prepared:
            track(given)
        return {**percentiles_us(times_ns), "mean": (clock() - start) / count / 1000}

    return one_round


def crowd(peer: str, url: str) -> Round:
    """As `caller`, beside other processes. For `computation`, what the machine does to one of some 20 us that writes nothing."""
    if peer != "computation":
        return caller(peer, url)

    def took_ns(size: int) -> int:
        start = time.perf_counter_ns()
        sum(range(size))
        return time.perf_counter_ns() - start

    size = 1000 * 20_000 // min(took_ns(1000) for _ in range(1000))

    def one_round(count: int) -> Result:
        times_ns = [took_ns(size) for _ in range(count)]
        return {**percentiles_us(times_ns), "mean": statistics.fmean(times_ns) / 1000}

    return one_round


def profile(peer: str, url: str) -> Round:
    """Where a call's time goes: the functions that take the most of it."""
    subject = PEERS[peer].build("off", url)
    for number in range(500):
        subject.track(properties(number))
    given = properties(0)

    def calls(count: int) -> None:
        for _ in range(count):
            subject.track(given)

    def one_round(count: int) -> Result:
        shares = _shares(lambda: calls(count))
        ranked = sorted(((share, _place(where)) for where, share in shares.items()), reverse=True)
        return {"profile": [[round(share, 3), place] for share, place in ranked[:8]]}

    return one_round


def profile_requests(framework: str) -> Callable[[str, str], Round]:
    """Where a request's time goes within this project: by file."""

    def build(peer: str, url: str) -> Round:
        serve = PARTS[framework](peer, url)

        def one_round(count: int) -> Result:
            files: dict[str, float] = {}
            for (path, _, _), share in _shares(lambda: serve(count)).items():
                for package in ("itly_core", "itly_web", "package/itly"):
                    _, found, file = path.rpartition(f"/{package}/")
                    if found:
                        name = f"{package}/{file}"
                        files[name] = files.get(name, 0.0) + share
            ranked = sorted(((share, file) for file, share in files.items()), reverse=True)
            return {"profile": [[round(share, 3), file] for share, file in ranked[:8]]}

        return one_round

    return build


def profile_delivery(peer: str, url: str) -> Round:
    """Where the sender's time goes: the functions that take the most of it, in all threads but the caller's."""
    profilers: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        """The first event of a thread: from here on the profiler gets them."""
        profilers.append(cProfile.Profile(time.thread_time))
        profilers[-1].enable()

    threading.setprofile(begin)
    send = delivery(peer, url)

    def one_round(count: int) -> Result:
        send(count)
        times: Counter[str] = Counter()  # of seconds
        for profiler in profilers:
            times.update({_place(where): time_s for where, time_s in _own_times_s(profiler).items()})
        return {"profile": [[round(time_s / times.total(), 3), place] for place, time_s in times.most_common(8)]}

    return one_round


def _shares(work: Callable[[], object]) -> dict[tuple[str, int, str], float]:
    """The share of each function in the time of this thread, by cProfile. It makes small functions look larger."""
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    work()
    profiler.disable()
    times_s = _own_times_s(profiler)
    return {where: time_s / sum(times_s.values()) for where, time_s in times_s.items()}


def _own_times_s(profiler: cProfile.Profile) -> dict[tuple[str, int, str], float]:
    """By function, without those it called."""
    rows = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # the documented way only prints them
    return {where: row[2] for where, row in rows.items()}


def _place(where: tuple[str, int, str]) -> str:
    file, line, function = where
    return function if file == "~" else f"{os.path.basename(file)}:{line} {function}"


def delivery(peer: str, url: str) -> Round:
    """From the first call until everything is acknowledged; and what the sink really has."""
    subject = PEERS[peer].build("best", url)

    def one_round(count: int) -> Result:
        before = resource.getrusage(resource.RUSAGE_SELF)
        start, caller_start = time.perf_counter(), time.thread_time()
        for number in range(count):
            subject.track(properties(number))
        caller_s = time.thread_time() - caller_start
        subject.flush()
        arrived = _wait_for(url, count)
        span_s = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "events_per_s": arrived / span_s,
            "cpu_ms_per_1000": cpu_s * 1e6 / max(arrived, 1),
            "caller_cpu_ms_per_1000": caller_s * 1e6 / max(arrived, 1),
            "lost": count - arrived,
            "peak_rss_mb": after.ru_maxrss / 1024,
        }

    return one_round


def _wait_for(url: str, count: int) -> int:
    """How many events the sink has; some clients return from flush() a moment before the last answer."""
    deadline = time.perf_counter() + 5.0
    while (arrived := int(urllib.request.urlopen(url + "/count").read())) < count and time.perf_counter() < deadline:
        time.sleep(0.01)
    return arrived


def requests_us(app: Callable[..., Any], flush: Callable[[], object]) -> Round:
    """Microseconds of a whole request through a WSGI application, in this process. What it queued is sent afterwards."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/orders/7",
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "HTTP_ACCEPT_LANGUAGE": "de,en;q=0.7",
        "HTTP_REFERER": "https://shop.example/basket",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    from io import BytesIO

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        if not status.startswith("200"):
            raise RuntimeError(status)

    def serve() -> None:
        response = app({**environ, "wsgi.input": BytesIO()}, start_response)
        for _ in response:
            pass
        if hasattr(response, "close"):
            response.close()

    clock = time.perf_counter_ns
    for _ in range(300):
        serve()

    def one_round(count: int) -> Result:
        times_ns = []
        for _ in range(count):
            start = clock()
            serve()
            times_ns.append(clock() - start)
        flush()
        return {**percentiles_us(times_ns), "mean": statistics.fmean(times_ns) / 1000}

    return one_round


def django(peer: str, url: str) -> Round:
    """A request to a Django view that makes one call (none when bare)."""
    import django as framework
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    numbers = iter(range(10**9))
    own = peer.startswith("itly-")
    settings.configure(
        DEBUG=False,
        SECRET_KEY="benchmark",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["itly_web.django"] if own else [],
        MIDDLEWARE=["itly_web.django.middleware.ItlyMiddleware"] if own else [],
        ITLY=_settings(peer, url) if own else {},
    )
    framework.setup()
    subject = _subject(peer, url)

    def view(request: Any, order: int) -> HttpResponse:
        if subject is not None:
            subject.track(properties(next(numbers)))
        return HttpResponse("ok")

    globals()["urlpatterns"] = [path("orders/<int:order>", view)]
    return _checked(peer, settings.ITLY, requests_us(get_wsgi_application(), subject.flush if subject else _nothing))


def flask(peer: str, url: str) -> Round:
    """A request to a Flask view that makes one call (none when bare)."""
    from flask import Flask

    numbers = iter(range(10**9))
    app = Flask(__name__)
    app.config["ITLY"] = _settings(peer, url) if peer.startswith("itly-") else {}
    if app.config["ITLY"]:
        from itly_web.flask import Itly

        Itly().init_app(app)
    subject = _subject(peer, url)

    @app.route("/orders/<int:order>")
    def view(order: int) -> str:
        if subject is not None:
            subject.track(properties(next(numbers)))
        return "ok"

    def flush() -> None:
        with app.app_context():  # which of several apps of a process is meant
            if subject is not None:
                subject.flush()

    return _checked(peer, app.config["ITLY"], requests_us(app.wsgi_app, flush))


def _nothing() -> None:
    """There is nothing to flush."""


def _subject(peer: str, url: str) -> Subject | None:
    """What the view calls. Our own package is loaded by the framework integration already."""
    if peer == "bare":
        return None
    if not peer.startswith("itly-"):
        return PEERS[peer].build("default", url)
    import itly

    process_started = itly.process_started
    return Subject(track=lambda given: process_started(USER, **given), flush=lambda: itly.flush(timeout=60.0))


def _checked(peer: str, used: dict[str, Any], one_round: Round) -> Round:
    if used:
        one_round(1)
        require_spool(peer, used["SPOOL_DIR"])
    return one_round


def _settings(peer: str, url: str) -> dict[str, Any]:
    sys.path.insert(0, os.environ["ITLY_BENCH_PACKAGE"])
    return {
        "PACKAGE": "itly",
        "ENVIRONMENT": "production",
        "CONTEXT": {"version": "1.0"},
        "DESTINATIONS": {"amplitude": {"api_key": "k", "endpoint": url + "/2/httpapi"}},
        "DELIVERY": {"MODE": peer.removeprefix("itly-")},
        "SPOOL_DIR": tempfile.mkdtemp(prefix="itly-bench-"),
    }


def package(peer: str, url: str) -> Round:
    """A plan pulled, and its package imported, in processes of their own."""
    directory = Path(tempfile.mkdtemp(prefix="itly-bench-"))

    def one_round(count: int) -> Result:
        return {**packages.pull(directory, peer), **packages.imports(directory, count)}

    return one_round


PARTS = {
    "caller": caller,
    "crowd": crowd,
    "delivery": delivery,
    "django": django,
    "flask": flask,
    "package": package,
    "profile": profile,
    "profile-delivery": profile_delivery,
    "profile-django": profile_requests("django"),
    "profile-flask": profile_requests("flask"),
}


def main() -> None:
    logging.disable(logging.INFO)  # one peer logs every request to the console
    part, peer, url = sys.argv[1:]
    try:
        one_round = PARTS[part](peer, url)
    except NotImplementedError as exc:
        print(json.dumps({"skipped": str(exc)}), flush=True)
    else:
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            print(json.dumps(one_round(int(line))), flush=True)
    os._exit(0)  # past everybody's exit handlers: some wait for what is never answered


if __name__ == "__main__":
    main()
