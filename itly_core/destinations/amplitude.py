"""Amplitude: HTTP V2 and batch API. Everything travels as an event; https://amplitude.com/docs/apis/analytics/http-v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from ..call import Call
from ..errors import ConfigError
from ..version import VERSION
from ..wire import Bisect, Hold, Ok, Outcome, Reject, Request, Response, Retry, RetrySome
from .base import (
    LIBRARY,
    HttpOptions,
    Key,
    Limits,
    answered_at_s,
    body,
    body_over,
    classify_status,
    encode,
    expects_json,
    key_for,
    laid_over,
    own_fields,
    retry_after_s,
)

PAGE_EVENT = "Page Viewed"  # Amplitude has no page call
HOSTS = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
HTTP_V2 = Limits(max_pieces=1000, max_bytes=900_000, max_piece_bytes=900_000)  # hard: 2000 events, 1 MB
BATCH = Limits(max_pieces=1000, max_bytes=15_000_000, max_piece_bytes=900_000)  # hard: 2000 events, 20 MB
THROTTLED_S = {False: 30.0, True: 15.0}  # by use_batch: how long a throttled user or device is left alone
QUOTA_S = 86_400.0  # the daily quota of a user or device is counted over 24 hours

# Amplitude answers 400 to an event that names one of these as its user or device.
REFUSED_IDS = frozenset(
    {
        *("", "anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown", "{}", "lmy47d", "0", "-1"),
        "00000000-0000-0000-0000-000000000000",
    }
)
FIELDS = {"ip": "ip", "user_agent": "user_agent", "locale": "language", "referrer": "referrer"}
UTM = {
    "source": "utm_source",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "term": "utm_term",
    "content": "utm_content",
}


@dataclass(frozen=True, kw_only=True)
class AmplitudeOptions(HttpOptions):
    """Amplitude.

    api_key: the project's; a string, or {environment: key}. use_batch: the batch endpoint, for bulk and backfills.
    min_id_length: the shortest user id Amplitude accepts (its own default of 5 refuses small numbers).
    context_property: event property that holds the request facts Amplitude has no field for; None leaves them out.
    """

    api_key: Key = field(repr=False)
    use_batch: bool = False
    min_id_length: int = 1
    context_property: str | None = "context"

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.min_id_length) is not int or self.min_id_length < 1:
            raise ConfigError(f"min_id_length must be an integer >= 1, got {self.min_id_length!r}", key="min_id_length")
        if self.context_property is not None and not (isinstance(self.context_property, str) and self.context_property):
            raise ConfigError(
                f"context_property must be a property name or None, got {self.context_property!r}",
                key="context_property",
            )

    def build(self, plan: Mapping[str, Any], environment: str) -> Amplitude:
        """The destination of this environment. plan: {name, version, source} of the loaded plan; may be empty."""
        path = "/batch" if self.use_batch else "/2/httpapi"
        return Amplitude(
            url=self.endpoint or HOSTS[self.region] + path,
            api_key=key_for(self.api_key, environment, "api_key"),
            use_batch=self.use_batch,
            min_id_length=self.min_id_length,
            context_property=self.context_property,
            plan=dict(plan),
        )


@dataclass(frozen=True, kw_only=True)
class Amplitude:
    """One Amplitude project."""

    url: str
    api_key: str = field(repr=False)
    use_batch: bool = False
    min_id_length: int = 1
    context_property: str | None = "context"
    plan: Mapping[str, Any] = field(default_factory=dict)

    name = "amplitude"
    deduplicates = True  # by insert_id, for 7 days

    @property
    def limits(self) -> Limits:
        return BATCH if self.use_batch else HTTP_V2

    def pieces(self, call: Call) -> Sequence[bytes]:
        """track and page: one event. identify: `$identify`. group: the user joins, then the group's own properties."""
        kind = call.kind
        if kind == "alias":
            return ()
        if kind == "track":
            return (self._happened(call, call.name, {}),)
        if kind == "page":
            named = {"name": call.name, "category": call.category}
            given = {key: value for key, value in named.items() if value is not None}
            return (self._happened(call, PAGE_EVENT, given),)
        if kind == "identify":
            return (encode(self._operation(call, {"user_properties": {"$set": body(call)}})),)
        return self._group(call)

    def request(self, pieces: Sequence[bytes], sent_at_ms: int) -> Request:
        """Amplitude takes no time of sending: `sent_at_ms` is not used, and a repeated request is the same bytes."""
        head = orjson.dumps({"api_key": self.api_key, "options": {"min_id_length": self.min_id_length}})
        body = b'%b,"events":[%b]}' % (head[:-1], b",".join(pieces))
        return Request(self.url, body, {"Content-Type": "application/json", "Accept": "*/*"})

    def classify(self, response: Response, pieces: Sequence[bytes]) -> Outcome:
        """Amplitude's own rows (200, 400, 403, 429) before the general table."""
        status = response.status
        if status == 200:
            return _accepted(response, len(pieces))
        if status == 400:
            return _refused(response, pieces)
        if status == 403:  # their firewall tripped over something in one event; a wrong key is a 400
            return Bisect("HTTP 403: firewall") if len(pieces) > 1 else Reject("HTTP 403: firewall")
        if status == 429:
            return _throttled(response, pieces, THROTTLED_S[self.use_batch])
        return classify_status(response, len(pieces), answered_at_s(response))

    def _event(self, call: Call, event_type: str | None) -> dict[str, Any]:
        """What every event has."""
        event: dict[str, Any] = {
            "event_type": event_type,
            "time": call.timestamp_ms,
            "insert_id": call.message_id,
            "library": SENDER,
        }
        user_id, device_id, plan = call.user_id, call.anonymous_id, call.plan or self.plan
        if user_id is not None and user_id not in REFUSED_IDS:
            event["user_id"] = user_id
        if device_id is not None and device_id not in REFUSED_IDS:
            event["device_id"] = device_id
        elif "user_id" not in event:  # nobody known: Amplitude would refuse it
            event["device_id"] = call.message_id
        if plan:
            event["plan"] = _plan(plan.get("source"), plan.get("version"), plan.get("event_version"))
        return event

    def _happened(self, call: Call, event_type: str | None, below: Mapping[str, Any]) -> bytes:
        """An event of the user's. below: what stands beside its properties, as do the facts Amplitude has no field for; a
        property of that name wins."""
        event = self._event(call, event_type)
        if call.groups:
            event["groups"] = call.groups
        if call.context:
            facts = _place(event, call.context)
            if facts and self.context_property is not None:
                below = {**below, self.context_property: facts}
        event["event_properties"] = body_over(below, call) if below else body(call)
        if call.destinations:
            laid_over(event, own_fields(call, self.name))
        return encode(event)

    def _operation(self, call: Call, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An `$identify`: its user properties are operations only, so a campaign does not go with it."""
        event = self._event(call, "$identify")
        if call.groups:
            event["groups"] = call.groups
        if call.context:
            _place(event, call.context)
        event.update(fields)
        if call.destinations:
            laid_over(event, own_fields(call, self.name))
        return event

    def _group(self, call: Call) -> Sequence[bytes]:
        groups = {call.group_type or "group": call.group_id}
        joins = self._operation(call, {"groups": groups, "user_properties": {"$set": groups}})
        describes = {
            "event_type": "$groupidentify",
            "time": joins["time"],
            "insert_id": f"{joins['insert_id']}-group",  # two events of one id would be taken for one
            "library": SENDER,
            "groups": joins["groups"],
            "group_properties": {"$set": body(call)},
        }
        if call.user_id is None and call.anonymous_id is None:  # nobody to join it
            return (encode(describes),)
        return (encode(joins), encode(describes))


SENDER = f"{LIBRARY}/{VERSION}"


@lru_cache(maxsize=1024)  # a plan has few events, and every call is of one of them
def _plan(source: str | None, version: str | None, event_version: str | None) -> dict[str, str]:
    """Amplitude's `plan` field: where the event was planned. versionId is the event's own version."""
    fields = {"source": source, "version": version, "versionId": event_version}
    return {name: value for name, value in fields.items() if value}


def _place(event: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Puts request facts into the fields Amplitude has for them, and gives back those without one.

    A campaign becomes the user properties that Amplitude's browser SDK sets. `referrer` is a field no page of theirs
    documents, so it is given back as well.
    """
    facts = {}
    for name, value in context.items():
        if name in FIELDS:
            event[FIELDS[name]] = value
        elif name == "campaign" and isinstance(value, Mapping):
            event["user_properties"] = {UTM[part]: text for part, text in value.items() if part in UTM}
        else:
            facts[name] = value
    if "referrer" in context:
        facts["referrer"] = context["referrer"]
    return facts


def _body(response: Response) -> dict[str, Any] | None:
    """The answer as an object; None when it is anything else."""
    try:
        body = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _accepted(response: Response, count: int) -> Outcome:
    body = _body(response)
    if body is None:
        if expects_json(response) and not response.body.lstrip().startswith(b"{"):
            return Ok()
        return Retry("HTTP 200 without Amplitude's answer: a proxy answered", ambiguous=True)
    ingested = body.get("events_ingested")
    return Ok(silently_rejected=count - ingested) if type(ingested) is int and 0 <= ingested < count else Ok()


def _refused(response: Response, pieces: Sequence[bytes]) -> Outcome:
    """400: the events it names are final, the others may be sent again. It may name only the first of each kind."""
    body = _body(response) or {}
    error = str(body.get("error") or "HTTP 400")
    if error.startswith("Invalid API key"):
        return Hold(error)
    rejected = _named(body, len(pieces))
    silenced = _ids_in(body, "silenced_devices")
    if silenced:
        rejected.update(
            {index: "silenced device" for index, (_, device) in enumerate(map(_who, pieces)) if device in silenced}
        )
    if rejected:
        others = {index: 0.0 for index in range(len(pieces)) if index not in rejected}
        return RetrySome(others, rejected, error)
    if body.get("missing_field"):
        return Reject(f"{error}: {body['missing_field']}")
    return Bisect(error) if len(pieces) > 1 else Reject(error)


def _named(body: Mapping[str, Any], count: int) -> dict[int, str]:
    """{index: reason} of the events a 400 names, whichever of its lists they are in."""
    named: dict[int, str] = {}
    for kind, reason in (
        ("events_with_missing_fields", "missing field"),
        ("events_with_invalid_fields", "invalid field"),
        ("events_with_invalid_id_lengths", "id too short"),
    ):
        fields = body.get(kind)
        for name, indexes in fields.items() if isinstance(fields, dict) else ():
            named.update(dict.fromkeys(_indexes(indexes, count), f"{reason}: {name}"))
    named.update(dict.fromkeys(_indexes(body.get("silenced_events"), count), "silenced"))
    return named


def _throttled(response: Response, pieces: Sequence[bytes], wait_s: float) -> Outcome:
    """429: who is over the daily quota waits a day, who is throttled waits `wait_s`, the others go again at once."""
    asked_s = retry_after_s(response.headers.get("retry-after"), answered_at_s(response)) or 0.0
    body = _body(response) or {}
    error = str(body.get("error") or "HTTP 429")
    users, devices = _ids_in(body, "exceeded_daily_quota_users"), _ids_in(body, "exceeded_daily_quota_devices")
    waits = {index: max(wait_s, asked_s) for index in _indexes(body.get("throttled_events"), len(pieces))}
    if users or devices:
        over = (index for index, (user, device) in enumerate(map(_who, pieces)) if user in users or device in devices)
        waits.update(dict.fromkeys(over, QUOTA_S))
    if not waits:
        return Retry(error, max(wait_s, asked_s), throttled=True)
    return RetrySome({index: waits.get(index, asked_s) for index in range(len(pieces))}, reason=error)


def _who(piece: bytes) -> tuple[str | None, str | None]:
    event = orjson.loads(piece)
    return event.get("user_id"), event.get("device_id")


def _ids_in(body: Mapping[str, Any], name: str) -> frozenset[str]:
    """The ids of a list, or of an object whose keys they are."""
    ids = body.get(name)
    return frozenset(item for item in ids if isinstance(item, str)) if isinstance(ids, dict | list) else frozenset()


def _indexes(value: object, count: int) -> Iterable[int]:
    """The usable indexes of what should be a list of them."""
    return [index for index in value if type(index) is int and 0 <= index < count] if isinstance(value, list) else []
