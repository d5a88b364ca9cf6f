"""One measurement of one library in one process: `python measure.py PART PEER URL COUNT`. Prints one JSON object.

PART is `caller`, `delivery`, `django` or `flask`; PEER a key of peers.PEERS, or `bare` for a request without any.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from event import properties
from peers import PEERS, require_spool

Result = dict[str, Any]


def percentiles_us(times_ns: list[int]) -> Result:
    """Of single measurements, with the cost of reading the clock taken off."""
    clock_ns = min(_clock_ns() for _ in range(1000))
    ordered = sorted(time_ns - clock_ns for time_ns in times_ns)
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 for name, share in at.items()}


def _clock_ns() -> int:
    start = time.perf_counter_ns()
    return time.perf_counter_ns() - start


def caller(peer: str, url: str, count: int) -> Result:
    """Microseconds of one call in the thread that makes it, with nothing being sent: single calls, then a loop's mean."""
    subject = PEERS[peer].build("off", url)
    track, clock = subject.track, time.perf_counter_ns
    for number in range(500):
        track(properties(number))
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


def profile(peer: str, url: str, count: int) -> Result:
    """Where a call's time goes, by cProfile (which itself makes small functions look larger than they are)."""
    import cProfile
    import pstats

    subject = PEERS[peer].build("off", url)
    for number in range(500):
        subject.track(properties(number))
    given = properties(0)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(count):
        subject.track(given)
    profiler.disable()
    rows = pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    total = sum(row[2] for _, row in rows)
    ranked = sorted(((row[2] / total, _place(where)) for where, row in rows), reverse=True)
    return {"profile": [[round(share, 3), place] for share, place in ranked[:8]]}


def _place(where: tuple[str, int, str]) -> str:
    file, line, function = where
    return function if file == "~" else f"{os.path.basename(file)}:{line} {function}"


def delivery(peer: str, url: str, count: int) -> Result:
    """From the first call until everything is acknowledged; and what the sink really has."""
    subject = PEERS[peer].build("best", url)
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


def _wait_for(url: str, count: int) -> int:
    """How many events the sink has; some clients return from flush() a moment before the last answer."""
    deadline = time.perf_counter() + 5.0
    while (arrived := int(urllib.request.urlopen(url + "/count").read())) < count and time.perf_counter() < deadline:
        time.sleep(0.01)
    return arrived


def requests_us(app: Callable[..., Any], count: int) -> Result:
    """Microseconds of a whole request through a WSGI application, in this process."""
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
    times_ns = []
    for _ in range(count):
        start = clock()
        serve()
        times_ns.append(clock() - start)
    return {**percentiles_us(times_ns), "mean": statistics.fmean(times_ns) / 1000}


def django(peer: str, url: str, count: int) -> Result:
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
    track = None if peer == "bare" or own else PEERS[peer].build("default", url).track
    framework.setup()
    if own:
        track = _own_track()

    def view(request: Any, order: int) -> HttpResponse:
        if track is not None:
            track(properties(next(numbers)))
        return HttpResponse("ok")

    globals()["urlpatterns"] = [path("orders/<int:order>", view)]
    result = requests_us(get_wsgi_application(), count)
    if own:
        require_spool(peer, settings.ITLY["SPOOL_DIR"])
    return result


def flask(peer: str, url: str, count: int) -> Result:
    """A request to a Flask view that makes one call (none when bare)."""
    from flask import Flask

    numbers = iter(range(10**9))
    app = Flask(__name__)
    track: Callable[[dict[str, Any]], object] | None = None
    if peer.startswith("itly-"):
        app.config["ITLY"] = _settings(peer, url)
        sys.path.insert(0, os.environ["ITLY_BENCH_PACKAGE"])
        from itly_web.flask import Itly

        Itly().init_app(app)
        track = _own_track()
    elif peer != "bare":
        track = PEERS[peer].build("default", url).track

    @app.route("/orders/<int:order>")
    def view(order: int) -> str:
        if track is not None:
            track(properties(next(numbers)))
        return "ok"

    result = requests_us(app.wsgi_app, count)
    if "ITLY" in app.config:
        require_spool(peer, app.config["ITLY"]["SPOOL_DIR"])
    return result


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


def _own_track() -> Callable[[dict[str, Any]], object]:
    import itly
    from event import USER

    process_started = itly.process_started
    return lambda given: process_started(USER, **given)


PARTS = {"caller": caller, "profile": profile, "delivery": delivery, "django": django, "flask": flask}

if __name__ == "__main__":
    logging.disable(logging.INFO)  # one peer logs every request to the console
    part, peer, url, count = sys.argv[1:]
    try:
        result = PARTS[part](peer, url, int(count))
    except NotImplementedError as exc:
        result = {"skipped": str(exc)}
    print(json.dumps(result), flush=True)
    os._exit(0)  # nobody's exit handlers: some wait for what is never answered
