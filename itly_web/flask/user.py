"""Who is signed in with Flask-Login, asked without leaving a trace.

Loading the user would cost a query, mark the session as used, for which Flask adds `Vary: Cookie`, and keep the user where
a view that shows it finds it without marking the session itself, so that its page could be cached for everybody. So a
user somebody loaded is asked for its id; otherwise the id is read where Flask-Login keeps it, and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask.globals
from flask import Request, current_app, g, has_request_context
from flask.sessions import SessionMixin

from ..reader import VisitorOptions, id_text

LOADING_KEY = "itly.is_loading_user"
SEEN_KEY = "itly.user_id"

# Flask 3.2 made one context of two, and warns when the old name is used.
_context: Any = flask.globals.request_ctx if "request_ctx" in vars(flask.globals) else flask.globals.app_ctx


class Users:
    """Finds the user of a request as the settings say."""

    __slots__ = ("_is_lazy", "_key", "_make")

    def __init__(self, options: VisitorOptions) -> None:
        self._is_lazy = options.user_resolution == "lazy"
        self._key = options.user_id if isinstance(options.user_id, str) else None
        self._make = options.user_id if callable(options.user_id) else None

    @property
    def _needs_user(self) -> bool:
        """Whether the id is made of the user object, and not the one that Flask-Login keeps."""
        return self._key is not None or self._make is not None

    def user_id(self, request: Request) -> str | None:
        """The id of who is signed in at this moment, as Flask-Login has it (`get_id()`); None for nobody.

        Without a request context (a thread that took only the scope along) it is the one seen last.
        """
        environ = request.environ
        if not has_request_context():
            return environ.get(SEEN_KEY)
        # Reading attributes through Flask's proxies would take most of the time this takes.
        user = getattr(g._get_current_object(), "_login_user", None)
        found = None
        if user is not None:
            found = self.id_of(user)
        elif self._is_lazy:
            app = current_app._get_current_object()  # type: ignore[attr-defined]
            manager = getattr(app, "login_manager", None)
            if manager is not None:
                found = self._loaded_id(manager, request) if self._needs_user else _kept_id(manager, request)
        environ[SEEN_KEY] = found
        return found

    def id_of(self, user: Any) -> str | None:
        """The id of a user object; None for nobody."""
        if getattr(user, "is_authenticated", True) is not True:
            return None
        if self._make is not None:
            return id_text(self._make(user))
        return id_text(user.get_id() if self._key is None else getattr(user, self._key, None))

    def _loaded_id(self, manager: Any, request: Request) -> str | None:
        """Flask-Login's id leads to the user, whom the site's own loader reads; nobody is told."""
        kept = _kept_id(manager, request)
        user = manager._user_callback(kept) if kept is not None and manager._user_callback is not None else None
        return None if user is None else self.id_of(user)


def _id_of(user: Any) -> str | None:
    if getattr(user, "is_authenticated", True) is not True:
        return None
    return id_text(user.get_id())


def _kept_id(manager: Any, request: Request) -> str | None:
    """The id in the session, else in the "remember me" cookie, else of the user a `request_loader` makes of a token."""
    with _session_left_unmarked() as session:
        found = session.get("_user_id") if session is not None else None
        if found is not None:
            return None if session is not None and _is_stolen(manager, session) else str(found)
        if session is None or session.get("_remember") != "clear":
            found = _remembered_id(request)
        if found is None and manager._request_callback is not None:
            found = _id_from_token(manager, request)
    return found


def _is_stolen(manager: Any, session: SessionMixin) -> bool:
    """Whether Flask-Login's "strong" session protection would refuse this session."""
    mode = current_app.config.get("SESSION_PROTECTION", manager.session_protection)
    if mode != "strong" or session.permanent:
        return False
    return bool(session.get("_id") != manager._session_identifier_generator())


def _remembered_id(request: Request) -> str | None:
    from flask_login import COOKIE_NAME  # type: ignore[import-untyped]
    from flask_login.utils import decode_cookie  # type: ignore[import-untyped]

    cookie = request.cookies.get(current_app.config.get("REMEMBER_COOKIE_NAME", COOKIE_NAME))
    found = decode_cookie(cookie) if cookie else None
    return None if found is None else str(found)


def _id_from_token(manager: Any, request: Request) -> str | None:
    environ = request.environ
    if environ.get(LOADING_KEY):  # the request_loader sends an event itself
        return None
    environ[LOADING_KEY] = True
    try:
        user = manager._request_callback(request)
        return None if user is None else _id_of(user)
    finally:
        del environ[LOADING_KEY]


@contextmanager
def _session_left_unmarked() -> Iterator[SessionMixin | None]:
    """The session; reading it makes Flask add `Vary: Cookie`, which is undone, unless it was changed as well."""
    context = _context._get_current_object()
    # The public attribute leaves the mark just by being asked, since Flask 3.1.3.
    session = context._session if hasattr(context, "_session") else context.session
    was_accessed = session is not None and session.accessed
    try:
        yield session
    finally:
        if session is not None and not session.modified:
            session.accessed = was_accessed
