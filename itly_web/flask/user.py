"""Who is signed in, asked without leaving a trace: no session marked as used, no user loaded that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask.globals
from flask import Request, current_app, g, has_request_context
from flask.sessions import SessionMixin

LOADING_KEY = "itly.is_loading"
SEEN_KEY = "itly.user"

# Flask 3.2 made one context of two, and warns when the old name is used.
_context: Any = flask.globals.request_ctx if "request_ctx" in vars(flask.globals) else flask.globals.app_ctx


def signed_in_user(request: Request, is_lazy: bool) -> Any:
    """Flask-Login's user of this request; None for nobody.

    is_lazy: load the user if no view did so far; without, only a user already loaded is found.
    Without a request context (a thread that took only the scope along) it is the user last seen.
    """
    environ = request.environ
    if not has_request_context():
        return environ.get(SEEN_KEY)
    user = g.get("_login_user")
    if user is None and is_lazy:
        user = _load(environ)
    environ[SEEN_KEY] = user = user if _is_known(user) else None
    return user


def _load(environ: dict[str, Any]) -> Any:
    """What Flask-Login's `current_user` does, once per request, without marking the session as used."""
    manager = getattr(current_app, "login_manager", None)
    if manager is None or environ.get(LOADING_KEY):  # a user_loader that sends events itself
        return None
    environ[LOADING_KEY] = True
    try:
        with _session_left_unmarked():
            manager._load_user()  # Flask-Login has no public name for it; it is what current_user calls
        return g.get("_login_user")
    finally:
        del environ[LOADING_KEY]


def _is_known(user: Any) -> bool:
    return user is not None and getattr(user, "is_authenticated", True) is True


@contextmanager
def _session_left_unmarked() -> Iterator[None]:
    """Reading a session makes Flask add `Vary: Cookie`: undone, unless the session was changed as well."""
    before = _session()
    was_accessed = before is not None and before.accessed
    try:
        yield
    finally:
        after = _session()
        if after is not None and not after.modified:
            after.accessed = was_accessed


def _session() -> SessionMixin | None:
    """The session, without the mark that asking for it leaves (the public attribute sets it since Flask 3.1.3)."""
    context = _context._get_current_object()
    return context._session if hasattr(context, "_session") else context.session  # type: ignore[no-any-return]
