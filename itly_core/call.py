"""Frozen values: the call and what is said about it, and the one line of JSON it travels as.

A call is encoded once, where it is made, to one line (`docs/spool-format.md`); everything after that reads the line.
"""

from __future__ import annotations

import itertools
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, get_args

import orjson

from .encoding import coerce, dumps_plain
from .errors import Violation

Kind = Literal["track", "identify", "group", "page", "alias"]


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """What one call carries besides properties. Never raises: the call decides.

    timestamp: when it happened, for back-dated calls; naive datetimes are UTC, numbers are seconds since the epoch. One
    that cannot be read is a violation, and the call is of now.
    message_id: what vendors deduplicate by; made for you when left out.
    groups: {group type: id or ids} the event belongs to.
    group_type: for `group` calls, the type of the group.
    context: merged over the request context of this call.
    destinations: {destination name: fields laid over that vendor's own event}.
    once: a name for what this call tells once, as "experiment checkout": further calls of the same name, event, user and
    properties are not taken, and counted as "repeated". Other properties are news. Remembered per process.
    """

    timestamp: datetime | float | None = None
    message_id: str | None = None
    anonymous_id: str | None = None
    groups: Mapping[str, str | Sequence[str]] | None = None
    group_type: str | None = None
    context: Mapping[str, Any] | None = None
    destinations: Mapping[str, Mapping[str, Any]] | None = None
    once: str | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One track, identify, group, page or alias, as accepted.

    timestamp: aware, UTC. properties: of track and page; traits: of identify and group. context: request facts, as
    itly_web/request.py names them. plan: {name, version, source, event_version} of the plan it was checked against.
    accepted_ms: milliseconds since the epoch, of a call whose timestamp is not when it was accepted.
    """

    kind: Kind
    message_id: str
    timestamp: datetime
    user_id: str | None = None
    anonymous_id: str | None = None
    name: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    group_id: str | None = None
    group_type: str | None = None
    groups: Mapping[str, Any] = field(default_factory=dict)
    category: str | None = None
    previous_id: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    destinations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    accepted_ms: int | None = None

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since the epoch."""
        stored = self.__dict__.get("timestamp_ms")
        return stored if stored is not None else round(self.timestamp.timestamp() * 1000)

    @property
    def body_json(self) -> bytes | None:
        """Properties or traits as they stand in the line the call was read from; None where nobody kept them."""
        return self.__dict__.get("body_json")

    def __getattr__(self, name: str) -> Any:
        # What a call read from its line has, but nobody asked for yet. Most destinations send the number of the
        # timestamp, and properties as they stand there: taking them apart would cost more than all the rest.
        fields = self.__dict__
        if name == "timestamp" and "timestamp_ms" in fields:
            found: Any = _EPOCH + timedelta(milliseconds=fields["timestamp_ms"])
        elif name in _BODIES:
            body = fields.get("body_json") if name == body_field(self.kind) else None
            found = orjson.loads(body) if body is not None else _EMPTY
        else:
            raise AttributeError(name)
        fields[name] = found
        return found


_FIELDS = (
    "kind", "message_id", "user_id", "anonymous_id", "name", "properties", "traits", "group_id", "group_type", "groups",
    "category", "previous_id", "context", "destinations", "plan", "accepted_ms",
)  # fmt: skip


def encode_call(call: Call) -> bytes:
    """The call as one line of JSON, with its newline. Values that JSON has no form for become null."""
    record: dict[str, Any] = {"timestamp_ms": call.timestamp_ms}
    for name in _FIELDS:
        value = getattr(call, name)
        if value is not None and value != {}:
            record[name] = value
    if call.violations:
        record["violations"] = [[item.path, item.message, item.rule] for item in call.violations]
    return dumps_plain(coerce(record)[0]) + b"\n"


def decode_call(line: bytes) -> Call:
    """The call a line was made from.

    Raises:
        ValueError: the line is torn, was changed, or is no call.
    """
    if line.startswith(_SEAL):
        _check_seal(line)
    at = line.find(_BODY_BYTES)
    record = orjson.loads(line) if at < 0 else _without_body(line, at)
    try:
        if record["kind"] not in _KINDS or type(record["timestamp_ms"]) is not int or not record["message_id"]:
            raise ValueError("not a call: kind, message id or timestamp is wrong")
        if "violations" in record:
            record["violations"] = tuple(Violation(*item) for item in record["violations"])
    except (TypeError, KeyError) as exc:
        raise ValueError(f"not a call: {exc!r}") from exc
    # Straight into the instance: the frozen constructor would cost more than reading the JSON. Fields that the line has
    # not are the class's defaults.
    call = object.__new__(Call)
    object.__setattr__(call, "__dict__", record)
    return call


def sealed(line: bytes) -> bytes:
    """The line with its CRC-32 as the first member, for a place where bytes may change."""
    return b"%b%d,%b" % (_SEAL, zlib.crc32(memoryview(line)[1:-1]), line[1:])


def _check_seal(line: bytes) -> None:
    number, _, rest = line[len(_SEAL) :].partition(b",")
    if b"%d" % zlib.crc32(rest.removesuffix(b"\n")) != number:
        raise ValueError("the line is not what was written: its checksum is wrong")


def _without_body(line: bytes, at: int) -> dict[str, Any]:
    """The members of a line that says how long its last value is, that value as its bytes."""
    end = line.rfind(b"}")
    begins = at + len(_BODY_BYTES)
    start = end - int(line[begins : line.index(b",", begins)])
    for member in (_PROPERTIES, _TRAITS):
        head = start - len(member) + 1
        if line.startswith(member, head):
            break
    else:
        raise ValueError("torn: its properties are not where it says")
    record: dict[str, Any] = orjson.loads(line[:head] + b"}")
    record["body_json"] = line[start:end]
    return record


def body_field(kind: Kind) -> Literal["properties", "traits"]:
    """Where what was given for a call of that kind stands."""
    return "traits" if kind in ("identify", "group") else "properties"


_SEAL = b'{"crc":'
# Ours is the first of these in a line: before it come only names and ids, and a quote within a text has a backslash.
_BODY_BYTES = b',"body_bytes":'
_BODIES = ("properties", "traits")
_PROPERTIES, _TRAITS = (b',"%b":{' % name.encode() for name in _BODIES)  # with the brace the value begins with
_KINDS = frozenset(get_args(Kind))


def thawed(call: Call) -> Call:
    """The same call, whose objects may be filled: for a hook that adds to them."""
    for name in (*_OBJECTS, *_BODIES):
        if name not in call.__dict__:
            call.__dict__[name] = getattr(call, name) or {}
    return call


class _Empty(dict[str, Any]):
    """The object that no call may fill, since all calls without one share it. A dict, because the encoder asks for one."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a call is frozen: make another one with dataclasses.replace")

    __setitem__ = __ior__ = setdefault = update = _refuse


_EMPTY = _Empty()
_OBJECTS = ("groups", "context", "destinations", "plan")
for _name in _OBJECTS:
    setattr(Call, _name, _EMPTY)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def timestamp_ms(given: datetime | float) -> int:
    """Milliseconds since the epoch of an EventOptions timestamp.

    Raises:
        ValueError: it is no moment that a datetime could hold.
    """
    if isinstance(given, datetime):
        moment = given.replace(tzinfo=timezone.utc) if given.tzinfo is None else given
        found = round(moment.timestamp() * 1000)
    elif isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < _FAR_S:
        found = round(given * 1000)
    else:
        raise ValueError(f"must be a datetime or seconds since the epoch, got {type(given).__name__}")
    if not _FIRST_MS <= found <= _LAST_MS:
        raise ValueError("lies outside the years 1 to 9999")
    return found


_FAR_S = 1e12
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


class MessageIds:
    """Makes time-ordered message ids: UUID version 7 (RFC 9562), from a counter and a random number per process.

    A random number per id would cost more than the rest of the call. 48 random bits tell processes apart, 26 bits of
    counter the ids of one process within a millisecond. Must be renewed after a fork.
    """

    def __init__(self) -> None:
        self._node = b"%012x" % secrets.randbits(48)
        self._count = itertools.count(secrets.randbits(26))  # next() is atomic: threads share it without a lock
        self._moment = (-1, b"")  # a millisecond and how it is spelled; one tuple, so that threads never see half of it

    def make(self, now_ms: int) -> bytes:
        """A new id for that moment, in ASCII."""
        moment, spelled = self._moment
        if moment != now_ms:
            ms = now_ms & 0xFFFF_FFFF_FFFF
            spelled = b"%08x-%04x" % (ms >> 16, ms & 0xFFFF)
            self._moment = (now_ms, spelled)
        n = next(self._count)
        return b"%b-7%03x-%04x-%b" % (spelled, n & 0xFFF, 0x8000 | n >> 12 & 0x3FFF, self._node)
