"""The client: from the arguments of a call to one stored line, on one path for all five kinds.

merge context -> validate -> policy -> encode -> accept. In production nothing that goes wrong in here reaches the caller.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

import orjson

from . import signals
from .call import EventOptions, Kind, MessageIds, body_field, decode_call, encode_call, thawed, timestamp_ms
from .encoding import FLAGS, coerce, dumps, dumps_plain, text
from .errors import Closed, ConfigError, InvalidEvent, PlanError, Violation
from .log import Log
from .once import Once
from .options import Options
from .plan import UNSET, Plan, Section
from .validation import refuse_hanging_patterns

T = TypeVar("T")


class Pending:
    """The user of this request is not known yet."""


PENDING: Final = Pending()


class Scope(Protocol):
    """What a web framework knows at the moment of a call. One object per request; asked only when a call is made."""

    def refusal(self) -> str | None:
        """Why calls of this request are not taken (a crawler's, without consent), as one word; None when they are."""
        ...

    def user_id(self) -> str | Pending | None: ...

    def anonymous_id(self) -> str | None: ...

    def context(self) -> Mapping[str, Any]:
        """Request facts: ip, user_agent, locale, method, path, route, referrer, request_id, page_url, campaign."""
        ...

    def encoded_context(self) -> bytes:
        """The same as a JSON object, encoded once per request."""
        ...

    def hold(self, resume: Callable[[str | None], None]) -> None:
        """Call `resume` with the user id as soon as it is known, at the latest when the request ends."""
        ...


class Delivery(Protocol):
    """Where accepted lines go."""

    def accept(self, line: bytes) -> None: ...

    def refuse(self, reason: str) -> None:
        """Count a call that could not be stored."""
        ...

    def after_fork(self) -> None:
        """In the child of a fork: what is queued is the parent's. May be called more than once."""
        ...

    def wake(self) -> None: ...

    def flush(self, timeout_s: float) -> bool: ...

    def shutdown(self, timeout_s: float) -> bool: ...

    def stats(self) -> dict[str, dict[str, Any]]: ...


class Event:
    """An event by name, for those the plan has no function for: `itly.track(user_id, itly.Event(name, properties))`."""

    __slots__ = ("name", "properties")

    def __init__(self, name: str, properties: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.properties = properties if properties is not None else {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


_NOTHING: dict[str, Any] = {}


class Client:
    """Checks, enriches and accepts calls for one plan and one set of options. Threads may share it."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        delivery: Delivery,
        log: Log,
        *,
        scope: Callable[[], Scope | None] = lambda: None,
    ) -> None:
        """
        Raises:
            InvalidEvent: the plan context breaks the plan, in development.
            PlanError: a pattern of the plan could hang the validator that is here.
        """
        self.plan = plan
        self.options = options
        self.delivery = delivery
        self.log = log
        self._scope = scope
        self._ids = MessageIds()
        self._once = Once()
        self._pid = os.getpid()
        self._is_closed = False
        self._validates = not options.validation.disabled
        if self._validates:
            for section in (*plan.events.values(), *plan.sections.values()):
                refuse_hanging_patterns(section.schema, section.name)
        self._context = self._plan_context()
        self._context_json = dumps_plain(self._context)

    @property
    def is_closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._is_closed

    def event(
        self,
        name: str,
        user_id: str | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any] = _NOTHING,
        options: EventOptions | None = None,
    ) -> None:
        """Track an event. given: by wire name, may hold UNSET; extra: what the plan does not know."""
        if type(name) is not str:
            name = _name(name)
        self._guarded("track", name, self.plan.events.get(name), user_id, given, extra, options, _NOTHING)

    def identify(
        self,
        user_id: str | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any] = _NOTHING,
        options: EventOptions | None = None,
    ) -> None:
        """Set traits of a user."""
        self._guarded("identify", None, self.plan.sections.get("identify"), user_id, given, extra, options, _NOTHING)

    def group(
        self,
        user_id: str | None,
        group_id: str | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any] = _NOTHING,
        options: EventOptions | None = None,
    ) -> None:
        """Put a user into a group and set the group's traits."""
        more = {"group_id": group_id, "group_type": "group"}
        self._guarded("group", None, self.plan.sections.get("group"), user_id, given, extra, options, more)

    def page(
        self,
        user_id: str | None,
        category: str | None,
        name: str | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any] = _NOTHING,
        options: EventOptions | None = None,
    ) -> None:
        """Record a page view."""
        more = {"category": category, "name": name}
        self._guarded("page", None, self.plan.sections.get("page"), user_id, given, extra, options, more)

    def alias(self, user_id: str | None, previous_id: str | None, options: EventOptions | None = None) -> None:
        """Say that two ids are one user. Never validated."""
        more = {"previous_id": previous_id}
        self._guarded("alias", None, None, user_id, _NOTHING, _NOTHING, options, more)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Deliver what is accepted by now; whether all of it was, in time."""
        return self._guarded_delivery(lambda: self.delivery.flush(timeout_s), False)

    def wake(self) -> None:
        """Have what is queued delivered soon. Never blocks."""
        self._guarded_delivery(self.delivery.wake, None)

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Accept nothing more and deliver what is accepted, within `shutdown_timeout` seconds unless told otherwise."""
        self._is_closed = True
        within_s = self.options.delivery.shutdown_timeout if timeout_s is None else timeout_s
        return self._guarded_delivery(lambda: self.delivery.shutdown(within_s), False)

    def stats(self) -> dict[str, dict[str, Any]]:
        """The balance of each destination: accepted = delivered + dead + dropped + parked + queued + in_flight."""
        return self._guarded_delivery(self.delivery.stats, {})

    def _guarded_delivery(self, act: Callable[[], T], otherwise: T) -> T:
        """The same boundary as for calls, for what is asked of delivery."""
        try:
            return act()
        except Exception as exc:
            if self.options.is_development:
                raise
            self.log.exception("delivery failed inside itly", exc)
            return otherwise

    def _guarded(
        self,
        kind: Kind,
        name: str | None,
        section: Section | None,
        user_id: Any,
        given: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
        more: Mapping[str, Any],
    ) -> None:
        try:
            if self._is_closed:
                return self._refuse_closed(kind, name)
            found: tuple[Violation, ...] = ()
            if options is not None:
                options, found = _usable(options)
            if type(given) is not dict and not isinstance(given, Mapping):
                found = (*found, Violation("", f"must be a mapping, got {type(given).__name__}", "type"))
                given = _NOTHING
            scope = self._scope()
            if scope is not None:
                refusal = scope.refusal()
                if refusal is not None:
                    return self.delivery.refuse(refusal)
            if user_id is None and scope is not None:
                user_id = scope.user_id()
                if user_id is PENDING:
                    return self._hold(scope, kind, name, section, given, extra, options, more, found)
            self._submit(user_id, kind, name, section, given, extra, options, more, scope, found)
        except (InvalidEvent, Closed):
            raise
        except Exception as exc:  # the boundary: nothing of ours reaches the caller
            if isinstance(exc, PlanError) and self.options.is_development:
                raise
            self._lost(kind, exc)

    def _hold(
        self,
        scope: Scope,
        kind: Kind,
        name: str | None,
        section: Section | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
        more: Mapping[str, Any],
        found: tuple[Violation, ...],
    ) -> None:
        """Take a picture of everything now: when the call is completed, the caller may have changed it."""
        plain, problems = coerce({key: value for key, value in given.items() if value is not UNSET})
        plain_extra, extra_problems = coerce(extra)
        kept = _kept(options)
        found = (*found, *problems, *extra_problems)
        scope.hold(
            lambda user_id: self._resume(user_id, kind, name, section, plain, plain_extra, kept, more, scope, found)
        )

    def _resume(self, user_id: str | None, *held: Any) -> None:
        """Completes a held call. Nobody is left to raise to: what is wrong is logged and counted."""
        try:
            self._submit(user_id, *held)
        except InvalidEvent as exc:
            if not self.options.tracks_invalid:  # else it is stored
                self.delivery.refuse("invalid")
            self._log_invalid(exc.event, exc.violations)
        except Exception as exc:  # noqa: BLE001  # the same boundary, at the end of the request
            self._lost(held[0], exc)

    def _lost(self, kind: Kind, exc: Exception) -> None:
        self.delivery.refuse("internal_error")
        self.log.exception(f"{kind} call was lost to an error inside itly", exc)

    def _submit(
        self,
        user_id: Any,
        kind: Kind,
        name: str | None,
        section: Section | None,
        given: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
        more: Mapping[str, Any],
        scope: Scope | None,
        found: tuple[Violation, ...] = (),
    ) -> None:
        if section is None:
            properties: Mapping[str, Any] = {**given, **extra} if extra else given
        else:
            properties = section.properties(given, extra, user_id)
        body, violations = self._checked(kind, section, properties)
        if found:
            violations = (*found, *violations)

        anonymous_id = options.anonymous_id if options is not None else None
        if anonymous_id is None and scope is not None:
            anonymous_id = scope.anonymous_id()
        if user_id is None and anonymous_id is None and kind != "alias":
            anonymous_id = str(uuid.uuid4())
            if self._validates:
                violations = (*violations, Violation("user_id", "is missing, and no request knows it", "user_id"))

        if os.getpid() != self._pid:
            self._after_fork()
        now_ms = time.time_ns() // 1_000_000
        born_ms = now_ms if options is None or options.timestamp is None else timestamp_ms(options.timestamp)
        # The line is put together from pieces that are JSON already: half the cost of encoding a dictionary.
        parts = [
            section.head if section is not None else _head(kind, name),
            self._ids.make(born_ms),
            b'","timestamp_ms":%d,"body_bytes":%d' % (born_ms, len(body)),
        ]
        if user_id is not None:
            parts += (b',"user_id":', _json(user_id if type(user_id) is str else text(user_id)))
        if anonymous_id is not None:
            parts += (b',"anonymous_id":', _json(text(anonymous_id)))
        if scope is not None and (options is None or options.context is None):
            parts += (b',"context":', scope.encoded_context())
        if options is not None or more or violations:
            parts += self._rarer(options, more, violations, scope, now_ms)
        parts += (_BODY[kind], body, b"}\n")
        line = b"".join(parts)

        if violations and not self._report(name or kind, line, violations):
            return
        if (
            options is not None
            and options.once is not None
            and self._once.is_repeated(
                (kind, name, text(options.once), text(anonymous_id if user_id is None else user_id)), body
            )
        ):
            self.delivery.refuse("repeated")
        else:
            self._store(line)
        if violations and self.options.fails_on_error:
            raise InvalidEvent(name or kind, violations)

    def _rarer(
        self,
        options: EventOptions | None,
        more: Mapping[str, Any],
        violations: tuple[Violation, ...],
        scope: Scope | None,
        now_ms: int,
    ) -> Iterator[bytes]:
        """The fields that most calls do not have."""
        fields: dict[str, Any] = {field: value if value is None else text(value) for field, value in more.items()}
        if options is not None:
            if "group_type" in more and options.group_type is not None:
                fields["group_type"] = text(options.group_type)
            fields["groups"] = options.groups
            fields["destinations"] = options.destinations
            if options.message_id is not None:
                fields["message_id"] = text(options.message_id)  # the later of two fields of a name is the one read
            if options.timestamp is not None:
                fields["accepted_ms"] = now_ms
            if options.context is not None:
                fields["context"] = {**(scope.context() if scope is not None else {}), **options.context}
        if violations:
            fields["violations"] = [[item.path, item.message, item.rule] for item in violations]
        for field, value in fields.items():
            if value is not None:
                yield b',"%b":%b' % (field.encode(), _json(value))

    def _after_fork(self) -> None:
        """This is a child. Some servers fork without running Python's hooks."""
        self._pid = os.getpid()
        self._ids = MessageIds()
        self._once = Once()  # another thread may have held its lock
        self.delivery.after_fork()

    def _checked(
        self, kind: Kind, section: Section | None, properties: Mapping[str, Any]
    ) -> tuple[bytes, tuple[Violation, ...]]:
        """The properties as JSON, under the plan context where they are an event's, and what is wrong with them."""
        if section is not None:
            try:
                body = orjson.dumps(properties, None, FLAGS)
                # The encoder writes NaN as null: where the schema cannot tell, a closer look must.
                if (not self._validates or section.check.is_valid(properties)) and (
                    section.refuses_nan or b"null" not in body
                ):
                    return self._under_context(kind, body, properties), ()
            except Exception:  # noqa: BLE001  # a value or schema that one of the two does not take: look closer
                pass
        plain, problems = coerce(properties)
        body = self._under_context(kind, dumps_plain(plain), plain)
        if not self._validates:
            return body, ()
        if section is not None:
            seen = {problem.path for problem in problems}
            problems += [item for item in section.check.violations(plain) if item.path not in seen]
        elif kind == "track":
            problems.append(
                Violation("", "is not an event of the plan; if it was added, run `itly pull`", "unknown_event")
            )
        return body, tuple(problems)

    def _under_context(self, kind: Kind, body: bytes, properties: Mapping[str, Any]) -> bytes:
        """A track call's encoded properties with the plan context laid under them: a property of its own wins."""
        context = self._context
        if not context or kind != "track":
            return body
        if context.keys().isdisjoint(properties.keys()):  # two views: the shorter one is walked
            below = self._context_json
        else:
            below = dumps_plain({key: value for key, value in context.items() if key not in properties})
        if body == b"{}" or below == b"{}":
            return below if body == b"{}" else body
        return body[:-1] + b"," + below[1:]

    def _report(self, name: str, line: bytes, violations: tuple[Violation, ...]) -> bool:
        """Say that a call is invalid; whether it is delivered all the same."""
        if signals.event_invalid.receivers:
            self._signal(signals.event_invalid, call=decode_call(line), violations=violations)
        if self.options.tracks_invalid:
            if not self.options.fails_on_error:
                self._log_invalid(name, violations)
            return True
        if self.options.fails_on_error:
            raise InvalidEvent(name, violations)
        self.delivery.refuse("invalid")
        self._log_invalid(name, violations)
        return False

    def _log_invalid(self, name: str, violations: tuple[Violation, ...]) -> None:
        # Paths and rules only: messages quote values, and values are the users' own data.
        places = ", ".join(f"{item.path or '(properties)'} ({item.rule})" for item in violations)
        self.log.error_once(f"{name!r} breaks the tracking plan: {places}")

    def _store(self, line: bytes) -> None:
        hook = self.options.before_send
        if hook is not None:
            try:
                call = hook(thawed(decode_call(line)))
            except Exception as exc:  # noqa: BLE001  # it may be a scrubber: what it did not see must not leave
                self.delivery.refuse("before_send")
                return self.log.exception("before_send raised; the call is dropped", exc)
            if call is None:
                return self.delivery.refuse("before_send")
            line = encode_call(call)
        self.delivery.accept(line)
        if signals.call_accepted.receivers:
            self._signal(signals.call_accepted, call=decode_call(line))

    def _signal(self, signal: Any, **what: Any) -> None:
        signals.send_guarded(signal, self, self.log, **what)

    def _refuse_closed(self, kind: Kind, name: str | None) -> None:
        if self.options.is_development:
            raise Closed
        self.delivery.refuse("shutdown")
        self.log.error_once(f"{name or kind!r} came after shutdown and is dropped")

    def _plan_context(self) -> dict[str, Any]:
        """The plan context as plain values; checked once, here."""
        section = self.plan.sections.get("context")
        given = getattr(self.options.context, "properties", self.options.context) or {}
        if not isinstance(given, Mapping):
            raise ConfigError(f"context must be a mapping of properties, got {type(given).__name__}", key="context")
        found, problems = coerce(section.properties(given, {}) if section else dict(given))
        if self._validates:
            if section is not None:
                problems.extend(section.check.violations(found))
            if problems and self.options.fails_on_error:
                raise InvalidEvent("context", problems)
            if problems:
                self._log_invalid("context", tuple(problems))
        return dict(found)


_BODY: dict[Kind, bytes] = {
    kind: b',"%b":' % body_field(kind).encode() for kind in ("track", "identify", "group", "page", "alias")
}


def _head(kind: Kind, name: str | None) -> bytes:
    """How the line of a call begins that no section of the plan is about; see `Section.head`."""
    named = b"" if name is None else b'"name":%b,' % _json(name)
    return b'{"kind":"%b",%b"message_id":"' % (kind.encode(), named)


def _name(given: Any) -> str:
    """An event's name, whatever was given for it."""
    try:
        return text(given)
    except Exception:  # noqa: BLE001  # the value's own code
        return type(given).__name__


def _json(value: Any) -> bytes:
    try:
        return dumps(value)
    except TypeError:  # a surrogate, a date: what the encoder leaves to the coercion table
        return dumps_plain(coerce(value)[0])


def _usable(options: EventOptions) -> tuple[EventOptions, tuple[Violation, ...]]:
    """The options without what cannot be used, and what that is."""
    if not isinstance(options, EventOptions):
        return EventOptions(), (
            Violation("options", f"must be an EventOptions, got {type(options).__name__}", "options"),
        )
    bad: dict[str, str] = {}
    for name in ("groups", "context", "destinations"):
        value = getattr(options, name)
        if value is not None and not isinstance(value, Mapping):
            bad[name] = f"must be a mapping, got {type(value).__name__}"
    if options.timestamp is not None:
        try:
            timestamp_ms(options.timestamp)
        except Exception as exc:  # noqa: BLE001  # a time zone's own code may run
            bad["timestamp"] = str(exc) if isinstance(exc, ValueError) else f"cannot be read: {type(exc).__name__}"
    if not bad:
        return options, ()
    return replace(options, **dict.fromkeys(bad)), tuple(
        Violation(f"options.{name}", message, "options") for name, message in bad.items()
    )


def _kept(options: EventOptions | None) -> EventOptions:
    """The options of this moment, for a call that is completed later."""
    given = options if options is not None else EventOptions()
    at_ms = time.time_ns() // 1_000_000 if given.timestamp is None else timestamp_ms(given.timestamp)
    maps = {name: coerce(getattr(given, name))[0] for name in ("groups", "context", "destinations")}
    return replace(given, timestamp=at_ms / 1000, **maps)
