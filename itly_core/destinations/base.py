"""What every vendor's file shares: the shape of a destination, its limits, and the generic status table.

Pure: no socket, no clock of its own, no thread. A destination turns calls into pieces of JSON, pieces into one request,
and a response into an outcome. The lane does the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

import orjson

from ..call import Call, body_field
from ..errors import ConfigError
from ..wire import Bisect, Hold, Ok, Outcome, Reject, Request, Response, Retry, Split

RETRY_AFTER_CAP_S = 300.0  # a vendor that asks for more is asked again after five minutes
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
UNTOUCHED = frozenset({425, 429, 503})  # of those, the ones that say that nothing was taken
MISCONFIGURED = frozenset({401, 403, 404, 405, 410, 415})
LIBRARY = "itly-python"  # what vendors see as the sending library

Key = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """A vendor's caps, counted on uncompressed bytes."""

    max_pieces: int
    max_bytes: int
    max_piece_bytes: int


class Destination(Protocol):
    """One vendor's HTTP interface.

    deduplicates: whether the vendor ignores a repeated message id, so that an unknown outcome may be tried again.
    """

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def deduplicates(self) -> bool: ...

    def pieces(self, call: Call) -> Sequence[bytes]:
        """The wire objects this call becomes, in order; none where the vendor has no such call."""
        ...

    def request(self, pieces: Sequence[bytes], sent_at_ms: int) -> Request:
        """One request carrying the pieces, byte for byte as given."""
        ...

    def classify(self, response: Response, pieces: Sequence[bytes]) -> Outcome:
        """What the answer to a request of these pieces means. Indexes in the outcome count pieces."""
        ...


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """What every HTTP destination takes beside its key.

    endpoint: the full URL events go to, instead of the vendor's. region: where the vendor keeps the data.
    """

    endpoint: str | None = None
    region: Literal["us", "eu"] = "us"
    disabled: bool = False

    def build(self, plan: Mapping[str, Any], environment: str) -> Destination:
        """The destination of this environment. plan: {name, version, source} of the loaded plan; may be empty.

        Raises:
            ConfigError: there is no key for this environment.
        """
        raise NotImplementedError(f"{type(self).__name__} is not a vendor's options")

    def __post_init__(self) -> None:
        if self.endpoint is not None and not str(self.endpoint).startswith(("http://", "https://")):
            raise ConfigError(f"endpoint must be an http(s) URL, got {self.endpoint!r}", key="endpoint")
        if self.region not in ("us", "eu"):
            raise ConfigError(f"region must be 'us' or 'eu', got {self.region!r}", key="region")


def key_for(key: Key, environment: str, field_name: str) -> str:
    """The vendor key of this environment.

    Raises:
        ConfigError: it is empty, or a mapping without this environment. The message never quotes a key.
    """
    chosen = key.get(environment) if isinstance(key, Mapping) else key
    if not isinstance(chosen, str) or not chosen.strip():
        hint = f"has no entry for {environment!r}" if isinstance(key, Mapping) else "must be a non-empty string"
        raise ConfigError(f"{field_name} {hint}", key=field_name)
    return chosen


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds to wait from a Retry-After header: integer seconds or an HTTP date (a date without zone is UTC).

    None when absent or unreadable. Clamped to [0, 300].
    """
    if value is None:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = _http_date_s(value) - now_s
        except ValueError:
            return None
    return min(max(wait, 0.0), RETRY_AFTER_CAP_S) if math.isfinite(wait) else None


def answered_at_s(response: Response) -> float:
    """When the vendor answered, by its own clock (the Date header), which dates in its other headers refer to."""
    try:
        return _http_date_s(response.headers["date"])
    except (KeyError, ValueError):
        return time.time()


def _http_date_s(text: str) -> float:
    """Seconds since the epoch; a date without a zone is UTC (RFC 9110 knows no other)."""
    when = parsedate_to_datetime(text)
    return (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)).timestamp()


def encode(value: Mapping[str, Any]) -> bytes:
    """Compact JSON in a string of just that size.

    orjson's own result keeps the kilobytes it was written into. A batch of those is memory touched for the first time,
    which costs more than this copy.
    """
    return memoryview(orjson.dumps(value)).tobytes()


def body(call: Call) -> Any:
    """Properties or traits, for `encode`: as they stand in the call's line, unless something is laid over them."""
    given = call.body_json
    if given is None or call.destinations:
        return getattr(call, body_field(call.kind))
    return orjson.Fragment(given)


def body_over(below: Mapping[str, Any], call: Call) -> Any:
    """The same, laid over an object."""
    given = call.body_json
    if given is None or call.destinations or any(orjson.dumps(name) in given for name in below):
        # The last: one of these names may be a property's, too.
        return {**below, **getattr(call, body_field(call.kind))}
    first = orjson.dumps(below)
    return orjson.Fragment(first if given == b"{}" else first[:-1] + b"," + given[1:])


def laid_over(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the fields of `over`: objects are merged at any depth, every other value replaces."""
    for name, value in over.items():
        below = base.get(name)
        base[name] = laid_over(dict(below), value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return base


def own_fields(call: Call, name: str) -> Mapping[str, Any]:
    """What `EventOptions(destinations=...)` lays over the event of the destination of this name."""
    fields = call.destinations.get(name)
    return fields if isinstance(fields, Mapping) else {}


def expects_json(response: Response) -> bool:
    """False when a 2xx carries HTML: a captive portal or proxy answered, not the vendor."""
    return response.body.lstrip()[:1] != b"<"


def classify_status(response: Response, pieces: int, now_s: float) -> Outcome:
    """The status table that holds unless the vendor's own overrides it (RFC 9110; one row per line)."""
    status = response.status
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return Ok() if expects_json(response) else Retry(f"{reason} with an HTML body: a proxy answered")
    if 300 <= status < 400:  # a followed 301/302 turns POST into GET and loses the body
        return Hold(f"{reason}: redirect; set `endpoint` to the final address")
    if status in (400, 422):
        return Bisect(reason) if pieces > 1 else Reject(reason)
    if status in MISCONFIGURED:
        return Hold(reason)
    if status == 413:
        return Split()
    if status in TRANSIENT:
        after_s = retry_after_s(response.headers.get("retry-after"), now_s)
        return Retry(reason, after_s, throttled=status == 429 or after_s is not None, ambiguous=status not in UNTOUCHED)
    return Reject(reason)
