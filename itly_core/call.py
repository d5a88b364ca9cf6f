"""Frozen values: the call and what is said about it, and the one line of JSON it travels as.

A call is encoded once, where it is made, to one line (`docs/spool-format.md`); everything after that reads the line.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

import orjson

from .errors import Violation

Kind = Literal["track", "identify", "group", "page", "alias"]


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """What one call carries besides properties. Never raises: the call decides.

    timestamp: when it happened, for back-dated calls; naive datetimes are UTC, numbers are seconds since the epoch.
    message_id: what vendors deduplicate by; made for you when left out.
    groups: {group type: id or ids} the event belongs to.
    group_type: for `group` calls, the type of the group.
    context: merged over the request context of this call.
    destinations: {destination name: fields laid over that vendor's own event}.
    """

    timestamp: datetime | float | None = None
    message_id: str | None = None
    anonymous_id: str | None = None
    groups: Mapping[str, str | Sequence[str]] | None = None
    group_type: str | None = None
    context: Mapping[str, Any] | None = None
    destinations: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One track, identify, group, page or alias, as accepted.

    timestamp: aware, UTC. properties: of track and page; traits: of identify and group. context: request facts, as
    itly_web/request.py names them. plan: {name, version, source, event_version} of the plan it was checked against.
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

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since the epoch."""
        return round(self.timestamp.timestamp() * 1000)
