"""Segment: the HTTP tracking API's batch call; https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from ..call import Call
from ..version import VERSION
from ..wire import Outcome, Request, Response, Retry
from .base import (
    LIBRARY,
    HttpOptions,
    Key,
    Limits,
    answered_at_s,
    body,
    classify_status,
    encode,
    key_for,
    laid_over,
    own_fields,
    retry_after_s,
)

HOSTS = {"us": "https://api.segment.io/v1/batch", "eu": "https://events.eu1.segmentapis.com/v1/batch"}
LIMITS = Limits(max_pieces=500, max_bytes=475_000, max_piece_bytes=32_768)  # hard: 2500 (answered 200), 500 kB, 32 KB
NEVER_AGAIN = frozenset({501, 505})
SENDER = {"name": LIBRARY, "version": VERSION}

# Request facts by Segment's names; those not listed keep their own.
CONTEXT_NAMES = {"user_agent": "userAgent", "request_id": "requestId"}
PAGE_NAMES = {"page_url": "url", "path": "path", "referrer": "referrer"}


@dataclass(frozen=True, kw_only=True)
class SegmentOptions(HttpOptions):
    """Segment.

    write_key: the source's; a string, or {environment: key}. region: an EU workspace loses everything sent to the US.
    """

    write_key: Key = field(repr=False)

    def build(self, plan: Mapping[str, Any], environment: str) -> Segment:
        """The destination of this environment. Segment has no place for the plan beyond each event's version."""
        return Segment(
            url=self.endpoint or HOSTS[self.region], write_key=key_for(self.write_key, environment, "write_key")
        )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One Segment source."""

    url: str
    write_key: str = field(repr=False)

    name = "segment"
    limits = LIMITS
    deduplicates = True  # by messageId, for a day at least

    def pieces(self, call: Call) -> Sequence[bytes]:
        """One message a call, whatever its kind."""
        message: dict[str, Any] = {
            "type": call.kind,
            "messageId": call.message_id,
            "timestamp": iso_ms(call.timestamp_ms),
            "context": _context(call),
        }
        _add_fields(message, call)
        if call.user_id:
            message["userId"] = call.user_id
        if call.anonymous_id:
            message["anonymousId"] = call.anonymous_id
        elif not call.user_id:  # nobody known: Segment would answer 200 and drop it
            message["anonymousId"] = call.message_id
        if call.destinations:
            laid_over(message, own_fields(call, self.name))
        return (encode(message),)

    def request(self, pieces: Sequence[bytes], sent_at_ms: int) -> Request:
        """`sentAt` is new in each attempt: Segment corrects our clock by it."""
        sent_at = iso_ms(sent_at_ms)
        head = orjson.dumps({"writeKey": self.write_key, "sentAt": sent_at})
        body = b'%b,"batch":[%b]}' % (head[:-1], b",".join(pieces))
        credentials = b64encode(f"{self.write_key}:".encode()).decode()
        return Request(self.url, body, {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"})

    def classify(self, response: Response, pieces: Sequence[bytes]) -> Outcome:
        """Segment's own rows (410, 429, 460, 5xx) before the general table. A 200 does not say that calls are valid."""
        status = response.status
        now_s = answered_at_s(response)
        if status == 429:
            asked = (
                retry_after_s(response.headers.get("retry-after"), now_s),
                retry_after_s(response.headers.get("x-ratelimit-reset"), now_s),  # seconds from now
            )
            return Retry("HTTP 429", max((item for item in asked if item is not None), default=None), throttled=True)
        if status in (410, 460) or (500 <= status < 600 and status not in NEVER_AGAIN):
            after_s = retry_after_s(response.headers.get("retry-after"), now_s)
            return Retry(f"HTTP {status}", after_s, throttled=after_s is not None, ambiguous=status != 503)
        return classify_status(response, len(pieces), now_s)


def iso_ms(moment_ms: int) -> str:
    """Milliseconds since the epoch as Segment writes a time: `2026-01-01T00:00:00.123Z`."""
    return f"{_iso_s(moment_ms // 1000)}.{moment_ms % 1000:03d}Z"


@lru_cache(maxsize=128)  # calls come in the order of time: a second is spelled once, not a thousand times
def _iso_s(moment_s: int) -> str:
    return (_EPOCH + timedelta(seconds=moment_s)).isoformat(timespec="seconds")


_EPOCH = datetime(1970, 1, 1)  # UTC, as everything here


def _add_fields(message: dict[str, Any], call: Call) -> None:
    """The fields only calls of this kind have."""
    kind = call.kind
    if kind == "track":
        message["event"] = call.name
        message["properties"] = body(call)
    elif kind == "identify":
        message["traits"] = body(call)
    elif kind == "group":
        message["groupId"] = call.group_id
        message["traits"] = body(call)
    elif kind == "page":
        message["properties"] = body(call)
        message.update({name: text for name, text in (("name", call.name), ("category", call.category)) if text})
    else:
        message["previousId"] = call.previous_id


def _context(call: Call) -> dict[str, Any]:
    """Segment's `context`: the request facts, the event's version in its plan, and how the call breaks the plan."""
    context: dict[str, Any] = {"library": SENDER}
    if call.context:
        _add_facts(context, call.context)
    if call.groups:
        context["groups"] = call.groups
        group_ids = list(call.groups.values())
        if len(group_ids) == 1 and isinstance(group_ids[0], str):
            context["groupId"] = group_ids[0]
    version = call.plan.get("event_version")
    if version:
        context |= _protocols(version)
    if call.violations:
        # no messages: they quote values
        broken = [{"path": item.path, "rule": item.rule} for item in call.violations]
        context["itly"] = {"valid": False, "violations": broken}
    return context


@lru_cache(maxsize=1024)
def _protocols(event_version: str) -> dict[str, Any]:
    """Segment's own versions of an event are integers: the first number of ours, if it begins with one."""
    major = event_version.partition(".")[0]
    return {"protocols": {"event_version": int(major)}} if major.isascii() and major.isdigit() else {}


def _add_facts(context: dict[str, Any], facts: Mapping[str, Any]) -> None:
    page: dict[str, Any] = {}
    for name, value in facts.items():
        if name in PAGE_NAMES:
            page[PAGE_NAMES[name]] = value
        else:
            context[CONTEXT_NAMES.get(name, name)] = value
    if page:
        given = context.get("page")  # by EventOptions(context=...)
        context["page"] = {**page, **given} if isinstance(given, Mapping) else page
