"""Calls of the golden package, for mypy: a line that ends in `# error` is wrong, every other is right. Never run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.codegen import golden as itly

if TYPE_CHECKING:
    from tests.codegen.golden import _CommentThread


class SampleLogger:
    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warn(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


class SampleDestination:
    def track(self, user_id: str, event_name: str, properties: Mapping[str, Any]) -> None: ...


itly.load(
    itly.Options(
        environment=itly.Environment.PRODUCTION,
        context=itly.Context(app_version="1.0"),
        destinations=itly.DestinationsOptions(
            amplitude=itly.AmplitudeOptions(api_key="a"),
            segment=itly.SegmentOptions(write_key="s"),
            custom=itly.CustomOptions(adapter=SampleDestination()),
        ),
        validation=itly.ValidationOptions(fail_on_error=True),
        delivery=itly.DeliveryOptions(mode="memory"),
        logger=SampleLogger(),
    )
)
itly.load()
itly.Context(app_version=1)  # error
itly.Context(version="1.0")  # error

itly.process_started("u", available_processors=4)
itly.process_started(available_processors=4, region="eu", options=itly.EventOptions(message_id="m"))
itly.process_started("u", available_processors=4, region=None)
itly.process_started("u", available_processors=4, started_at=datetime.datetime.now(datetime.timezone.utc))
itly.process_started("u", available_processors=4, started_at="2026-01-10T00:00:00Z")
itly.process_started("u")  # error
itly.process_started("u", 4)  # error
itly.process_started(4, available_processors=4)  # error
itly.process_started("u", available_processors="4")  # error
itly.process_started("u", available_processors=None)  # error
itly.process_started("u", available_processors=4, region="mars")  # error
itly.process_started("u", available_processors=4, colour="red")  # error
itly.process_started("u", available_processors=4, schema_rev=4)  # error
itly.process_started("u", available_processors=4, options={"message_id": "m"})  # error

itly.track("u", itly.ProcessStarted(available_processors=4))
itly.track(itly.ProcessStarted(available_processors=4))
itly.track(event=itly.ProcessStarted(available_processors=4), options=itly.EventOptions())
itly.track("u", itly.Event("Another", {"a": 1}))
itly.track("u", itly.ProcessStarted())  # error
itly.track("u", itly.ProcessStarted(available_processors=4, region="mars"))  # error
itly.track("u", "Process Started")  # error
itly.track("u")  # error

itly.identify("u", plan="pro", seats=None)
itly.identify("u", plan="gold")  # error
itly.identify("u")  # error
itly.group("u", "acme", group_id_="inner", name="Acme")
itly.group(group_id="acme", options=itly.EventOptions(group_type="company"))
itly.group("u", "acme", seats=1)  # error
itly.page("u", "Docs", "Intro", name_="inner")
itly.page("u", "Docs", "Intro")  # error
itly.alias("u", "anonymous")
itly.alias(previous_id="anonymous")

thread: _CommentThread = {"parent": {"parent": {}, "title": "b"}, "title": "a"}
lines: Sequence[str] = ("a", "b")
itly.comment("u", text="hello", thread=thread)
itly.comment("u", text=lines, thread={}, kind=2, anything="goes")
itly.comment("u", text=1, thread={})  # error
itly.comment("u", text="hello", thread={"titel": "a"})  # error
itly.comment("u", text="hello", thread={"parent": {"title": 1}})  # error
itly.comment("u", text="hello", thread={}, kind=3)  # error

itly.load_event("u", from_="a", options_="b", self_="c")
itly.状态("u", prop_1h=1, u1f389=True)
itly.track("u", itly.状态Event(u1f389=True))
itly.状态("u", u1f389="yes")  # error

drained: bool = itly.flush(timeout=2.0)
drained = itly.shutdown()
accepted: int = itly.stats()["amplitude"]["accepted"]
itly.UNSET  # error
itly.Package  # error
itly.Sequence  # error
