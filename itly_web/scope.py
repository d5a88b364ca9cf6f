"""The request scope: what a call made during a request knows, found through one ContextVar.

Knows no framework: a `Reader` (reader.py) says how one is asked. A scope is cheap to make and reads nothing until a call is made.
It compares by identity, because asgiref carries a ContextVar back from a thread only when the value differs. No token
crosses a hook: `bind` answers what was bound before, and `unbind` puts that back.
"""

from __future__ import annotations

import functools
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any, ParamSpec, TypeVar

import orjson

from itly_core.client import PENDING, Pending

from .reader import UNREADABLE, Reader, Reading

P = ParamSpec("P")
R = TypeVar("R")
Resume = Callable[[str | None], None]

CARRIED = ("request_id", "campaign")  # the facts that follow a request into its tasks


class Scope:
    """One request, as the client sees it (itly_core.client.Scope).

    After `close` it still answers what was read before, so that work started in the request keeps its context, but no
    longer refers to the request.
    """

    __slots__ = (
        "_aliased",
        "_encoded",
        "_held",
        "_random_id",
        "_read_by",
        "_reader",
        "_reading",
        "_request",
        "_spare_id",
        "_user_id",
        "owner",
    )

    def __init__(self, request: Any, reader: Reader) -> None:
        self.owner = get_ident()
        self._request: Any = request  # None once closed
        self._reader = reader
        self._reading: Reading | None = None
        self._read_by = 0  # the thread that is about it
        self._encoded: bytes | None = None
        self._user_id: str | Pending | None = PENDING  # as last seen; PENDING also before anyone asked
        self._random_id: str | None = None
        self._spare_id: str | None = None  # what the random id will be, should it be needed: its tasks know it already
        self._aliased: str | None = None  # who the browser's id was joined with
        self._held: deque[Resume] | None = None

    # What the client asks

    def user_id(self) -> str | Pending | None:
        """Who is signed in now: asked anew at each call, because a view may sign its user in or out."""
        request = self._request
        if request is not None:
            try:
                self._user_id = self._reader.user_id(request)
            except Exception:  # noqa: BLE001  # a broken session or user model is the application's to report
                self._user_id = None
        elif self._user_id is PENDING:
            self._user_id = None
        return self._user_id

    def refusal(self) -> str | None:
        """Why calls of this request are not taken, as one word; None when they are."""
        return (self._reading or self._read()).refusal

    def anonymous_id(self) -> str | None:
        """The browser's id. Without one, and when nobody is signed in: a random one, the same for all calls."""
        found = (self._reading or self._read()).browser_id or self._random_id
        if found is None and self._user_id is None:
            found = self._random_id = self.spare_id()
        return found

    def spare_id(self, given: str | None = None) -> str:
        """The random id this request and its tasks share if nobody is known. given: as another process made it."""
        if self._spare_id is None:
            self._spare_id = given or str(uuid.uuid4())
        return self._spare_id

    def context(self) -> Mapping[str, Any]:
        return (self._reading or self._read()).context

    def encoded_context(self) -> bytes:
        encoded = self._encoded
        if encoded is None:
            encoded = orjson.dumps(self.context())
            if self._reading is not None:  # else it is being read
                self._encoded = encoded
        return encoded

    def hold(self, resume: Resume) -> None:
        """Keep a call until the user is known. One thread may hold while another releases: each is resumed once."""
        self._read()
        if self._held is None:
            self._held = deque()
        self._held.append(resume)
        if self._request is None:  # closed meanwhile: nobody else would come for it
            self.release(None if isinstance(self._user_id, Pending) else self._user_id)

    # What the framework's adapter does

    @property
    def is_waiting(self) -> bool:
        """Whether a call is held."""
        return bool(self._held)

    def release(self, user_id: str | None) -> None:
        """Resume the held calls as this user's."""
        self._user_id = user_id
        held = self._held
        while held:
            try:
                resume = held.popleft()
            except IndexError:  # another thread took the last one
                return
            resume(user_id)

    def capture(self) -> None:
        """Read now what a thread may ask for later. Signed-in user included, unless only awaiting could tell."""
        self._read()
        self.user_id()

    def close(self) -> None:
        """The request is over. What is still held is resumed with what can be known without awaiting."""
        if self._held:
            self.user_id()
        self._request = None
        if self._held:
            self.release(None if isinstance(self._user_id, Pending) else self._user_id)

    def is_for(self, request: Any) -> bool:
        """Whether it was made for this request, and is not closed."""
        return self._request is request

    @property
    def is_empty(self) -> bool:
        """Closed before anything was read: it knows nothing any more."""
        return self._request is None and self._reading is None

    def id_to_alias(self, user_id: str) -> str | None:
        """The browser's id, to be joined with this user now; None without one, and when it was joined before."""
        found = (self._reading or self._read()).browser_id
        if found is None or found == user_id or self._aliased == user_id:
            return None
        self._aliased = user_id
        return found

    def carried(self) -> dict[str, Any]:
        """What a task that this request starts may know of it, as plain JSON: ids, request id and campaign; no address.

        The user is named if somebody has read them already: starting a task must not cost a request a query.
        """
        reading = self._reading or self._read()
        user_id = self._user_id
        if self._request is not None and (user_id is PENDING or user_id is None):
            try:
                user_id = self._reader.loaded_user_id(self._request)
            except Exception:  # noqa: BLE001  # a broken user model is the application's to report
                user_id = None
        found = {
            "refusal": reading.refusal,
            "user_id": None if isinstance(user_id, Pending) else user_id,
            "anonymous_id": reading.browser_id or self._random_id,
            "spare_id": self.spare_id(),
            **{name: reading.context.get(name) for name in CARRIED},
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def id_to_keep(self) -> str | None:
        """The random id of this request, if it was used and the browser may be given it."""
        return self._random_id if self._reading is not None and self._reading.may_keep else None

    def _read(self) -> Reading:
        reading = self._reading
        if reading is None:
            request, ident = self._request, get_ident()
            if request is None or self._read_by == ident:  # a context processor makes a call: it finds no context
                return UNREADABLE
            self._read_by = ident
            reading = self._reader.read(request)
            self._read_by = 0
            self._reading = reading
        return reading


_current: ContextVar[Scope | None] = ContextVar("itly_scope", default=None)


def current() -> Scope | None:
    """The scope of the request being handled here; None outside any."""
    scope = _current.get()
    if scope is None or scope.is_empty or (scope.owner != get_ident() and _is_shared_by_greenlets()):
        return None
    return scope


def bind(scope: Scope | None) -> Scope | None:
    """Make `scope` the current one; the one that was, for `unbind`."""
    previous = _current.get()
    _current.set(scope)
    return previous


def unbind(scope: Scope | None, previous: Scope | None) -> None:
    """Undo `bind`. Does nothing where `scope` is not the current one: a teardown may come twice, or somewhere else."""
    if _current.get() is scope:
        _current.set(previous)


def is_bound_to(request: Any) -> bool:
    """Whether the current scope is this request's."""
    scope = _current.get()
    return scope is not None and scope.is_for(request)


_finders: list[Callable[[], Scope | None]] = [current]


def find_with(finder: Callable[[], Scope | None]) -> None:
    """Have `here` ask this too: a framework that keeps its scopes elsewhere says where."""
    if finder not in _finders:
        _finders.append(finder)


def here() -> Scope | None:
    """The scope of the request or task being handled, in whichever framework."""
    return next((scope for find in _finders if (scope := find()) is not None), None)


@contextmanager
def bind_scope(scope: Scope | None) -> Iterator[None]:
    """Make `scope` (from `current()`) the current one for a block, in any thread.

    A view that hands it to a thread calls `scope.capture()` first, or uses `copy_scope`.
    """
    previous = bind(scope)
    try:
        yield
    finally:
        unbind(scope, previous)


def copy_scope(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, to be run in another thread, possibly after the response, with the scope of this request.

    `executor.submit(copy_scope(send_receipt), order)`
    """
    scope = current()
    if scope is not None:
        scope.capture()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        with bind_scope(scope):
            return function(*args, **kwargs)

    return bound


def _is_shared_by_greenlets() -> bool:
    """greenlet before 1.0 (or built without it) gives all greenlets of a thread one context: then the owner decides."""
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and not getattr(greenlet, "GREENLET_USE_CONTEXT_VARS", False)
