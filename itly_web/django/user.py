"""Who is signed in, without anyone noticing that we asked.

Reading `request.user` loads the session and marks it as accessed, for which Django adds `Vary: Cookie`; and it keeps the
user, so that a view which reads it later no longer marks anything. Both would be wrong: the first splits caches for pages
that show nothing of the user, the second lets a page that does show something be cached for all. So a lazy user is read
once and kept where the view's own first look finds it, and that look is what marks the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from itly_core.client import PENDING, Pending

from ..reader import VisitorOptions, id_text

CACHES = ("_cached_user", "_acached_user")  # where django.contrib.auth's middleware keeps a user it has read


class Users:
    """Finds the user of a request as the settings say."""

    __slots__ = ("_is_lazy", "_key", "_make")

    def __init__(self, options: VisitorOptions) -> None:
        self._is_lazy = options.user_resolution == "lazy"
        self._key = options.user_id if isinstance(options.user_id, str) else "pk"
        self._make = options.user_id if callable(options.user_id) else None

    def user_id(self, request: HttpRequest) -> str | Pending | None:
        """The id of the signed-in user as text; PENDING in an async view whose user is not read yet.

        A user set on the request counts before one read from the session: `login()` and Django REST framework set it.
        """
        user = getattr(request, "user", None)
        if isinstance(user, LazyObject):
            found = _loaded(request, user)
            if found is None and self._is_lazy:
                if _in_event_loop():
                    return PENDING
                found = _read_quietly(request, user)
            user = found
        return self.id_of(user)

    def id_of(self, user: Any) -> str | None:
        """The id of a user object; None for nobody."""
        if user is None or not getattr(user, "is_authenticated", True):
            return None
        return id_text(getattr(user, self._key, None) if self._make is None else self._make(user))

    async def user_id_async(self, request: HttpRequest) -> str | None:
        """The same where awaiting is possible: never PENDING."""
        found = self.user_id(request)
        if not isinstance(found, Pending):
            return found
        return await sync_to_async(self._user_id_in_thread)(request)

    def _user_id_in_thread(self, request: HttpRequest) -> str | None:
        found = self.user_id(request)
        return None if isinstance(found, Pending) else found


def _loaded(request: HttpRequest, user: LazyObject[Any]) -> Any:
    """The user object, if anyone has read it; None else."""
    wrapped = user.__dict__.get("_wrapped", empty)
    if wrapped is not empty:
        return wrapped
    for name in (*CACHES, "_itly_user"):
        found = request.__dict__.get(name)
        if found is not None:
            return found
    return None


def _read_quietly(request: HttpRequest, user: LazyObject[Any]) -> Any:
    """Read a lazy user and leave no trace of it, but for what reading really changed (a session that was replaced)."""
    setup = user.__dict__.get("_setupfunc")
    if setup is None:
        return None  # not Django's own: what reading it does is not for us to find out
    session = getattr(request, "session", None)
    before = dict(vars(session)) if session is not None else {}
    found = setup()
    if session is None or getattr(session, "modified", False):
        return found
    if getattr(session, "session_key", None) != before.get("_SessionBase__session_key"):
        vars(session).clear()  # the cookie is stale, which only the view's own look at the session may act on
        vars(session).update(before)
    elif "accessed" in before:
        session.accessed = before["accessed"]
    kept = {name: request.__dict__.pop(name) for name in CACHES if name in request.__dict__}
    request.__dict__["_itly_user"] = found
    user.__dict__["_setupfunc"] = _first_look(request, session, found, kept)
    return found


def _first_look(request: HttpRequest, session: Any, found: Any, kept: dict[str, Any]) -> Callable[[], Any]:
    """What the view's own reading of the user does: mark the session, as if it were read only now."""

    def look() -> Any:
        session.accessed = True
        request.__dict__.update(kept)
        return found

    return look


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
