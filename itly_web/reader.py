"""How one request is read: its neutral facts, and what the site's own functions say of its visitor.

Those functions are the site's: one that raises, takes long or answers nonsense must cost the visitor nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from itly_core.client import Pending
from itly_core.encoding import coerce
from itly_core.errors import ConfigError
from itly_core.log import Log

from .request import WITHHELD, RequestRules, RequestView, browser_id, facts, privacy, refusal

Consent = Literal["granted", "denied", "unknown"]
Resolution = Literal["lazy", "loaded", "off"]

SLOW_S = 0.05  # of a context processor: it runs in the request, and what a person notices begins at twice that


@dataclass(frozen=True, kw_only=True)
class VisitorOptions:
    """What a site says of its visitors. The callables get the framework's request.

    consent: answers "granted", "denied" (no call is taken) or "unknown" (no call tells this browser from others).
    user_id: attribute of the user that is the user id, or a callable that makes it of the user; None: the framework's own.
    user_resolution: "loaded" takes only a user somebody has read, "lazy" reads one for a call that names none, "off" asks
    nobody; a callable answers with the id or None.
    context_processors: callables that answer with more facts. identify_on_login: alias a browser's id on sign-in.
    """

    user_id: Callable[[Any], Any] | str | None = None
    user_resolution: Resolution | Callable[[Any], Any] = "lazy"
    consent: Callable[[Any], Any] | None = None
    context_processors: tuple[Callable[[Any], Any], ...] = ()
    identify_on_login: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.user_id, str) and not self.user_id.isidentifier():
            text = f"user_id must be an attribute's name, a callable or its dotted path, got {self.user_id!r}"
            raise ConfigError(text, key="user_id")


class Reading(NamedTuple):
    """What was read of a request, once.

    refusal: why its calls are not taken, as one word; None when they are. may_keep: whether the browser may be given an
    id in a cookie.
    """

    refusal: str | None = None
    context: Mapping[str, Any] = {}
    browser_id: str | None = None
    may_keep: bool = False


UNREADABLE = Reading()


def _nobody(request: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Reader:
    """How a framework's request is read.

    view: the request as neutral facts need it. user_id: who is signed in at this moment, without side effects; None for
    nobody, PENDING when only awaiting could tell. loaded_user_id: the same, of a user who was read already. All may raise:
    then nothing is known.
    """

    view: Callable[[Any], RequestView]
    user_id: Callable[[Any], str | Pending | None]
    rules: RequestRules
    visitor: VisitorOptions = field(default_factory=VisitorOptions)
    log: Log = field(default_factory=Log)
    loaded_user_id: Callable[[Any], str | Pending | None] = _nobody

    def read(self, request: Any) -> Reading:
        """Everything but the user, who may change while the request is handled. Never raises."""
        try:
            view = self.view(request)
            refused = refusal(view, self.rules)
            consent: Consent | None = self._consent(request) if self.visitor.consent and not refused else None
            if refused or consent == "denied":
                return Reading(refused or "consent")
            is_private = consent == "unknown" or privacy(view, self.rules) == "anonymize"
            context = facts(view, self.rules, is_private=is_private)
            if self.visitor.context_processors:
                context.update(self._processed(request))
                if is_private:
                    context = {name: value for name, value in context.items() if name not in WITHHELD}
            if is_private:
                return Reading(None, context)
            return Reading(None, context, browser_id(view, self.rules.anonymous_id), may_keep=consent == "granted")
        except Exception:  # noqa: BLE001  # half a request (a factory's, a test's): no facts
            return UNREADABLE

    def _consent(self, request: Any) -> Consent:
        """What `consent` answers; "denied" where it does not answer, because nobody agreed."""
        assert self.visitor.consent is not None
        try:
            answer = self.visitor.consent(request)
        except Exception as exc:  # the site's own
            self.log.exception("CONSENT raised, which counts as denied", exc)
            return "denied"
        if answer in ("granted", "denied", "unknown"):
            return answer  # type: ignore[no-any-return]  # one of the three
        self.log.error_once(
            f"CONSENT must answer 'granted', 'denied' or 'unknown', not {type(answer).__name__}: denied"
        )
        return "denied"

    def _processed(self, request: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for processor in self.visitor.context_processors:
            name = getattr(processor, "__qualname__", type(processor).__name__)
            started_s = time.perf_counter()
            try:
                answer = coerce(dict(processor(request)))[0]
            except Exception as exc:  # the site's own
                self.log.exception(f"CONTEXT_PROCESSORS: {name} raised, and adds nothing", exc)
                continue
            found.update(answer)
            if time.perf_counter() - started_s > SLOW_S:
                self.log.error_once(f"CONTEXT_PROCESSORS: {name} takes more than {SLOW_S * 1000:.0f} ms of a request")
        return found


FindUser = Callable[[Any], "str | Pending | None"]


def resolver(visitor: VisitorOptions, of_framework: FindUser) -> FindUser:
    """What finds the user: the framework's own way, the site's, or none."""
    how = visitor.user_resolution
    if callable(how):
        return lambda request: id_text(how(request))
    return _nobody if how == "off" else of_framework


def id_text(value: Any) -> str | None:
    """An id as calls carry it."""
    return None if value is None else str(value)
