"""How each library is set up and given one event. Runs in that library's own environment: imports stay inside functions.

How a subject is set up depends on what is measured:
    "off"      the caller's cost alone: nothing is sent while the clock runs, and no queue has a limit. Where a library has
               no switch for that, the start of its thread is replaced, or it is pointed at an address that never answers.
    "best"     the largest batch it can send, no queue limit, no gzip, no logging.
    "default"  only the address is changed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from event import CONTEXT, NAME, USER, properties, schemas

Setup = Literal["off", "best", "default"]
UNLIMITED = 10**9
STALL = "/stall"  # the sink takes the request and never answers


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A library ready to be measured. drain: forget what is queued; flush: return once everything is acknowledged."""

    track: Callable[[dict[str, Any]], object]
    flush: Callable[[], object] = lambda: None
    drain: Callable[[], object] = lambda: None


def _emptied(queue: Any) -> Callable[[], None]:
    return lambda: queue.queue.clear()


def itly(mode: str) -> Callable[[Setup, str], Subject]:
    """This project, through its generated package, with a plan context."""

    def build(setup: Setup, url: str) -> Subject:
        sys.path.insert(0, os.environ["ITLY_BENCH_PACKAGE"])
        import itly

        endpoint = url + (STALL if setup == "off" else "/2/httpapi")
        delivery: dict[str, Any] = {"mode": mode, "shutdown_timeout": 0.0 if setup == "off" else 2.0}
        if mode == "spool":
            delivery["spool_dir"] = os.environ.get("ITLY_BENCH_SPOOL") or tempfile.mkdtemp(prefix="itly-bench-")
        if setup == "off":
            delivery |= {"timeout": 600.0, "max_bytes": UNLIMITED}
        if setup == "best":
            delivery |= {"max_bytes": UNLIMITED}
        itly.load(
            itly.Options(
                environment=itly.Environment.PRODUCTION,
                context=itly.Context(**CONTEXT),
                destinations=itly.DestinationsOptions(amplitude=itly.AmplitudeOptions(api_key="k", endpoint=endpoint)),
                delivery=itly.DeliveryOptions(**delivery),
            )
        )
        process_started = itly.process_started

        def flush() -> None:
            if not itly.flush(timeout=120.0):
                raise RuntimeError(f"not everything was delivered: {itly.stats()}")

        subject = Subject(track=lambda given: process_started(USER, **given), flush=flush)
        if setup == "off":
            subject.track(properties(0))
            itly.flush(timeout=1.0)  # its sender now waits for an answer that does not come
        if mode == "spool":
            subject.track(properties(0))
            require_spool("itly-spool", delivery["spool_dir"])
        return subject

    return build


def require_spool(peer: str, directory: str) -> None:
    """
    Raises:
        NotImplementedError: the spool is measured, but calls left nothing in its directory.
    """
    files = (path for path in Path(directory).rglob("*") if path.is_file())
    if peer == "itly-spool" and not any(path.stat().st_size for path in files):
        raise NotImplementedError("this version has no spool: calls leave nothing on disk")


def original(*, validates: bool) -> Callable[[Setup, str], Subject]:
    """itly-sdk with its Amplitude plugin, with and without its schema validator."""

    def build(setup: Setup, url: str) -> Subject:
        import queue

        from itly_plugin_amplitude import AmplitudeOptions, AmplitudePlugin
        from itly_plugin_schema_validator import SchemaValidatorPlugin
        from itly_sdk import Environment, Event, Itly, Options, Properties
        from itly_sdk.internal import AsyncConsumer

        if setup != "default":
            AsyncConsumer.create_queue = staticmethod(queue.Queue)
        if setup == "off":
            AsyncConsumer.start = lambda self: None
        size = {"flush_queue_size": 1000, "flush_interval": timedelta(seconds=1)} if setup == "best" else {}
        amplitude = AmplitudePlugin("k", AmplitudeOptions(events_endpoint=url + "/2/httpapi", **size))
        texts = {name: json.dumps(schema) for name, schema in schemas().items()}
        plugins = [SchemaValidatorPlugin(texts), amplitude] if validates else [amplitude]
        client = Itly()
        client.load(Properties(**CONTEXT), Options(environment=Environment.PRODUCTION, plugins=plugins))
        return Subject(
            track=lambda given: client.track(USER, Event(NAME, Properties(**given))),
            flush=client.flush,
            drain=_emptied(amplitude._client._queue),
        )

    return build


def segment(setup: Setup, url: str) -> Subject:
    from segment.analytics.client import Client

    client = _segment_like(Client, setup, url)
    return Subject(
        track=lambda given: client.track(USER, NAME, given), flush=client.flush, drain=_emptied(client.queue)
    )


def rudder(setup: Setup, url: str) -> Subject:
    from rudderstack.analytics.client import Client

    client = _segment_like(Client, setup, url, **({"gzip": False} if setup == "best" else {}))
    return Subject(
        track=lambda given: client.track(USER, NAME, given), flush=client.flush, drain=_emptied(client.queue)
    )


def _segment_like(make: Any, setup: Setup, url: str, **more: Any) -> Any:
    if setup == "default":
        return make("k", host=url)
    client = make("k", host=url, max_queue_size=0, upload_size=1000, send=setup == "best", **more)
    client.send = True  # the whole path of a call; with send=False only its thread is missing
    return client


def amplitude(setup: Setup, url: str) -> Subject:
    from amplitude import Amplitude, BaseEvent, Config
    from amplitude.worker import Workers

    if setup == "off":
        Workers.start = lambda self: None
    more = {} if setup == "default" else {"flush_queue_size": UNLIMITED if setup == "off" else 1000}
    client = Amplitude("k", Config(server_url=url + "/2/httpapi", **more))
    storage = client._Amplitude__timeline.plugins
    stores = [plugin.storage for plugins in storage.values() for plugin in plugins if hasattr(plugin, "storage")]

    def flush() -> None:
        for future in client.flush():
            if future is not None:
                future.result()

    return Subject(
        track=lambda given: client.track(BaseEvent(NAME, user_id=USER, event_properties=given)),
        flush=flush,
        drain=lambda: [store.pull_all() for store in stores],
    )


def posthog(setup: Setup, url: str) -> Subject:
    from posthog import Posthog

    if setup == "off":
        client = Posthog("k", host=url, max_queue_size=0, send=False)
        client.send = True
        queues = [lane.queue for lane in _lanes(client)]
        return Subject(
            track=lambda given: client.capture(NAME, distinct_id=USER, properties=given),
            drain=lambda: [queue.queue.clear() for queue in queues],
        )
    client = Posthog("k", host=url) if setup == "default" else Posthog("k", host=url, max_queue_size=0, flush_at=1000)
    return Subject(
        track=lambda given: client.capture(NAME, distinct_id=USER, properties=given),
        flush=lambda: client.flush(timeout_seconds=120),
    )


def _lanes(client: Any) -> list[Any]:
    return [value for value in vars(client).values() if type(value).__name__ == "_Lane"]


def mixpanel(setup: Setup, url: str) -> Subject:
    from mixpanel import BufferedConsumer, Mixpanel

    class Nowhere:
        """Builds and encodes the event, and lets it go."""

        def send(self, *arguments: Any, **named: Any) -> None: ...

    consumer = Nowhere() if setup == "off" else BufferedConsumer(events_url=url + "/track")
    client = Mixpanel("k", consumer=consumer)
    return Subject(
        track=lambda given: client.track(USER, NAME, given),
        flush=getattr(consumer, "flush", lambda: None),
    )


def snowplow(setup: Setup, url: str) -> Subject:
    import requests
    from snowplow_tracker import AsyncEmitter, SelfDescribing, SelfDescribingJson, Tracker
    from snowplow_tracker import Subject as User

    host, _, port = url.removeprefix("http://").partition(":")
    more: dict[str, Any] = {}
    if setup != "default":
        more = {
            "batch_size": 500 if setup == "best" else UNLIMITED,
            "buffer_capacity": UNLIMITED,
            "session": requests.Session(),
        }
    emitter = AsyncEmitter(host, protocol="http", port=int(port), **more)
    tracker = Tracker("bench", emitter)
    user = User().set_user_id(USER)
    schema = "iglu:com.example/process_started/jsonschema/1-0-0"
    return Subject(
        track=lambda given: tracker.track(SelfDescribing(SelfDescribingJson(schema, given), event_subject=user)),
        flush=emitter.sync_flush,
        drain=lambda: emitter.event_store.event_buffer.clear(),
    )


@dataclass(frozen=True, kw_only=True)
class Peer:
    """environment: which of the virtual environments it lives in."""

    title: str
    environment: Literal["modern", "legacy"]
    build: Callable[[Setup, str], Subject]


PEERS: dict[str, Peer] = {
    "itly-memory": Peer(title="itly-web, memory", environment="modern", build=itly("memory")),
    "itly-spool": Peer(title="itly-web, spool", environment="modern", build=itly("spool")),
    "original": Peer(title="itly-sdk + validator + amplitude", environment="legacy", build=original(validates=True)),
    "original-unchecked": Peer(
        title="itly-sdk + amplitude, no validation", environment="legacy", build=original(validates=False)
    ),
    "segment": Peer(title="segment-analytics-python", environment="modern", build=segment),
    "amplitude": Peer(title="amplitude-analytics", environment="modern", build=amplitude),
    "posthog": Peer(title="posthog", environment="modern", build=posthog),
    "rudder": Peer(title="rudder-sdk-python", environment="modern", build=rudder),
    "snowplow": Peer(title="snowplow-tracker", environment="modern", build=snowplow),
    "mixpanel": Peer(title="mixpanel", environment="modern", build=mixpanel),
}
