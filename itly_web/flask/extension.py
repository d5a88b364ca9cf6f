"""The Flask extension: an app's settings in, its requests' scope, its client, and a wake-up when a request ends.

Nothing happens when a request comes in. The first call in a request builds the scope, which is kept in that request's
WSGI environ, so that neither nested contexts nor a second teardown can mix requests up. Each app has its own client;
the generated package asks which one is meant on every call.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Config, Flask, Request, Response, current_app, request

from itly_core.client import Client
from itly_core.errors import ConfigError, NotLoaded
from itly_core.log import Log
from itly_core.options import Options
from itly_core.package import Disabled, Package

from .. import scope as scopes
from ..reader import Reader, resolver
from ..request import RequestView, may_set_cookie
from ..runner import is_pytest
from ..scope import Scope
from ..settings import Settings, in_dict, read
from ..uwsgi import warn_about_uwsgi
from .user import Users

if TYPE_CHECKING:
    from itly_core.testing import Recorder

P = ParamSpec("P")
R = TypeVar("R")

SCOPES_KEY = "itly.scope"  # in the WSGI environ: {AppState: Scope}

_states: weakref.WeakSet[AppState] = weakref.WeakSet()  # of all apps here, for calls outside any app context


class Itly:
    """Sends an app's analytics events. `Itly(app)`, or `Itly()` and later `init_app(app)`, once per app.

    Keeps nothing itself: one object serves any number of apps, and each has its own client in `app.extensions["itly"]`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the app's configuration and make its client. Opens no file for writing, no socket, no thread.

        `app.config["ITLY"]` is a dict of settings; each may also stand alone as `ITLY_<KEY>`, which wins. Configuration
        that changes afterwards is not seen, but for `TESTING` and `DEBUG`, which count as they are at the first call.

        Raises:
            ConfigError: a setting is wrong, the app is no Flask app, or it was initialised before.
            PlanError: the generated package cannot be used.
            InvalidEvent: the plan context breaks the plan, in development.
        """
        _refuse_strangers(app)
        if "itly" in app.extensions:
            raise ConfigError(
                "itly is already initialised for this app: call init_app once per app, in the factory, and import"
                " the generated package where events are sent",
                key="ITLY",
            )
        state = AppState(app)
        app.extensions["itly"] = state
        _states.add(state)
        scopes.find_with(_scope_of_request)
        app.teardown_request(state.end_request)
        if state.settings.web.flush_when() is not None:
            app.after_request(state.flush_response)
        if state.settings.rules.anonymous_id.cookie is not None:
            app.after_request(state.give_id)
        _hear_of_sign_ins(app, state)


class AppState:
    """What one app has: its settings, its client, and how its requests are read. In `app.extensions["itly"]`."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = RLock()
        self._is_settled = False  # whether TESTING and DEBUG were looked at by a call
        self._made_for = self._circumstances()
        self.settings = self._read_settings()
        self._log = Log(self.settings.options.logger)
        self._users = Users(self.settings.visitor)
        find = resolver(self.settings.visitor, self._users.user_id)
        visitor = self.settings.visitor
        # Flask-Login keeps the id itself: finding it out loads nobody, unless the settings want it of the user.
        loaded = find if visitor.user_id is None else Users(replace(visitor, user_resolution="loaded")).user_id
        self._reader = Reader(view, find, self.settings.rules, visitor, self._log, loaded)
        self._recorder: Recorder | None = None
        self._client: Client | Disabled | None = None
        self.package = _generated_package(self.settings.web.package)
        if self.package is None:
            app.logger.warning(
                "itly: there is no package %r yet; generate it with `flask itly pull`", self.settings.web.package
            )
        else:
            self._start(self.package)

    def client(self) -> Client | Disabled:
        """The app's client: recording under a test runner, else delivering."""
        if not self._is_settled:
            self._settle()
        if self._client is None:
            raise NotLoaded(f"there is no package {self.settings.web.package!r}: generate it with `flask itly pull`")
        return self._client

    @property
    def recorder(self) -> Recorder | None:
        """Under a test runner, what would have been sent."""
        if not self._is_settled:
            self._settle()
        return self._recorder

    def scope(self) -> Scope | None:
        """The scope of the request being handled, made when first asked for; None outside any."""
        found = _request()
        if found is None:
            return scopes.current()
        by_app = found.environ.get(SCOPES_KEY)
        if by_app is None:
            by_app = found.environ.setdefault(SCOPES_KEY, {})
        scope = by_app.get(self)
        if scope is None:
            scope = by_app.setdefault(self, Scope(found, self._reader))
        return scope  # type: ignore[no-any-return]  # an environ holds anything

    def end_request(self, exc: BaseException | None = None) -> None:
        """Teardown: have what this request sent delivered soon. May run twice, or in a thread with a copied context."""
        scope = self._called_scope()
        if scope is None:
            return
        try:
            self.client().wake()
            if scope.owner == get_ident():
                scope.close()
        except Exception:
            self._app.logger.exception("itly: the end of a request went wrong; the response is not touched")

    def signed_in(self, app: Flask, user: Any, **_: Any) -> None:
        """Flask-Login's signal: join what this browser did before with the user it turns out to be."""
        try:
            scope, client = self.scope(), self.client()
            user_id = self._users.id_of(user)
            if scope is not None and user_id is not None and (previous := scope.id_to_alias(user_id)):
                client.alias(user_id, previous)
        except Exception as exc:  # noqa: BLE001  # signing in is the application's
            self._log.exception("a sign-in could not be told", exc)

    def give_id(self, response: Response) -> Response:
        """after_request: have the browser keep the id its calls carried, where the response is for it alone."""
        scope = self._called_scope()
        options = self.settings.rules.anonymous_id
        if options.cookie is None or scope is None or scope.id_to_keep is None:
            return response
        try:
            if may_set_cookie(response.headers.get("Cache-Control", "")):
                response.set_cookie(
                    options.cookie,
                    scope.id_to_keep,
                    max_age=options.max_age,
                    secure=request.is_secure if options.secure is None else options.secure,
                    httponly=True,
                    samesite=options.samesite,
                )
                response.vary.add("Cookie")
        except Exception as exc:  # noqa: BLE001  # the response is the application's
            self._log.exception("the cookie of an anonymous id could not be set", exc)
        return response

    def flush_response(self, response: Response) -> Response:
        """after_request: wait for delivery, a bounded time, before or after the body is sent.

        A response that is passed through (`send_file`) never says that it was sent: the teardown's wake-up stands.
        """
        found = _request()
        if found is None:
            return response
        if self.settings.web.flush_when() == "after_response":
            response.call_on_close(partial(self._flush, found.environ))
        else:
            self._flush(found.environ)
        return response

    def _flush(self, environ: Mapping[str, Any]) -> None:
        """Wait for delivery if this request made calls."""
        try:
            if self in environ.get(SCOPES_KEY, ()):
                self.client().flush(self.settings.web.flush_timeout)
        except Exception:
            self._app.logger.exception("itly: waiting for delivery went wrong; the response is not touched")

    def _called_scope(self) -> Scope | None:
        """The request's scope if a call was made in it."""
        found = _request()
        return found.environ.get(SCOPES_KEY, {}).get(self) if found is not None else None

    def _circumstances(self) -> tuple[bool, bool]:
        """Whether calls are recorded, and whether this is development."""
        return (self._app.testing or is_pytest(), self._app.debug)

    def _read_settings(self) -> Settings:
        is_recording, is_debug = self._made_for
        return _settings(self._app.config, is_debug=is_debug, needs_keys=not is_recording)

    def _settle(self) -> None:
        """Start anew if TESTING or DEBUG changed after init_app, or the package is there only now."""
        with self._lock:
            if self._is_settled:
                return
            package = self.package or _generated_package(self.settings.web.package)
            circumstances = self._circumstances()
            if package is not None and (self._client is None or self._made_for != circumstances):
                self._made_for = circumstances
                self.settings = self._read_settings()
                self._start(package)
            if self._recorder is None and not _leads_somewhere(self.settings.options):
                self._app.logger.warning("itly: events go nowhere: ITLY['DESTINATIONS'] names no destination")
            warn_about_uwsgi(self._log)
            self._is_settled = True

    def _start(self, package: Package) -> None:
        delivery = None
        if self._made_for[0]:
            from itly_core.testing import Recorder

            delivery = Recorder()
        self.package, self._recorder = package, delivery
        self._client = package.start(self.settings.options, scope=self.scope, delivery=delivery)
        package.resolver = partial(_current_client, package)


def copy_scope(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, to be run in another thread, possibly after the response, with the scope of this request.

    `executor.submit(copy_scope(send_receipt), order)`. Where several apps share the process, use Flask's
    `copy_current_request_context`, which takes the app along as well.
    """
    state = _current_state()
    with scopes.bind_scope(state.scope() if state is not None else scopes.current()):
        return scopes.copy_scope(function)


def view(request: Request) -> RequestView:
    """A Flask request as the neutral facts need it. Not `request.url` nor `request.host`: they raise on a bad Host."""
    return RequestView(
        variables=request.environ,
        path=request.root_path.rstrip("/") + request.path,
        route=lambda: request.url_rule.rule if request.url_rule is not None else None,
        scheme=lambda: request.scheme,
    )


def _hear_of_sign_ins(app: Flask, state: AppState) -> None:
    if not state.settings.visitor.identify_on_login:
        return
    try:
        from flask_login.signals import user_logged_in  # type: ignore[import-untyped]
    except ImportError:  # not used here
        return
    user_logged_in.connect(state.signed_in, sender=app)  # weak: the app holds its state, and nothing else shall


def _request() -> Request | None:
    try:
        return request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # a LocalProxy
    except RuntimeError:
        return None


def _current_state() -> AppState | None:
    """What the current app has; outside any app context, None."""
    try:
        # Not current_app.extensions: reading an attribute through the proxy takes three times as long.
        app = current_app._get_current_object()  # type: ignore[attr-defined]
    except RuntimeError:
        return None
    return app.extensions.get("itly")  # type: ignore[no-any-return]


def _scope_of_request() -> Scope | None:
    state = _current_state()
    return state.scope() if state is not None else None


def _current_client(package: Package) -> Client | Disabled | None:
    """Package.resolver: the client of the current app, where it uses this package.

    Raises:
        NotLoaded: there is no current app, and several use the package.
    """
    state = _current_state()
    if state is not None:
        return state.client() if state.package is package else None
    users = [state for state in list(_states) if state.package is package]
    if len(users) == 1:
        return users[0].client()
    if users and not package.is_loaded:
        raise NotLoaded("several Flask apps of this process use itly: make the call inside `with app.app_context():`")
    return None


def _generated_package(name: str) -> Package | None:
    """What the generated package hands its calls to; None where there is no such package.

    Raises:
        ConfigError: another package of that name is found first.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            return None
        raise
    package = getattr(module, "_package", None)
    if not isinstance(package, Package):
        raise ConfigError(
            f"ITLY['PACKAGE'] is {name!r}, but {getattr(module, '__file__', None) or 'a folder of that name'} is not a"
            " package made by `flask itly pull`: generate it there, or name the one that is",
            key="PACKAGE",
        )
    return package


def _leads_somewhere(options: Options) -> bool:
    """Whether events have somewhere to go, or were told to go nowhere. Development prints them."""
    is_off = options.disabled or options.destinations.all.disabled
    return is_off or options.is_development or bool(options.destinations.enabled())


def _settings(config: Config, *, is_debug: bool, needs_keys: bool) -> Settings:
    given = config.setdefault("ITLY", {})
    alone = {key.removeprefix("ITLY_"): value for key, value in config.items() if key.startswith("ITLY_")}

    def spelled(key: str) -> str:
        return f"ITLY_{key}" if key in alone else in_dict(key)

    if isinstance(given, Mapping):
        given = _merged(given, alone)
    settings = read(given, is_debug=is_debug, needs_keys=needs_keys, spell=spelled)
    if settings.web.after_commit:
        raise ConfigError(
            f"{spelled('AFTER_COMMIT')} is for Django: make calls after the commit yourself", key="AFTER_COMMIT"
        )
    return settings


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, dict by dict."""
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        found[key] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return found


def _refuse_strangers(app: object) -> None:
    if any(kind.__module__.partition(".")[0] == "quart" for kind in type(app).__mro__):
        raise ConfigError("itly_web.flask works with Flask only, and this is a Quart app: use itly.load() there")
    if not isinstance(app, Flask):
        raise ConfigError(f"init_app takes a Flask app, got {type(app).__name__}")
