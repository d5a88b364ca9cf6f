"""The one client of a Django process: made of the settings when first needed, and again when they change.

Its place is the AppConfig. Making it opens no file, socket or thread.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core import mail

from itly_core.client import Client
from itly_core.log import Log
from itly_core.package import Disabled, Package, find_package
from itly_core.testing import Recorder

from ..reader import Reader, resolver
from ..request import RequestView
from ..runner import is_pytest
from ..scope import Scope, current
from ..settings import Flush, Settings, read
from ..uwsgi import warn_about_uwsgi
from .commit import AfterCommit
from .user import Users


@dataclass(frozen=True)
class Active:
    """What is in force. client: None while there is no generated package. reader: None when requests are left alone."""

    settings: Settings
    client: Client | Disabled | None
    reader: Reader | None
    users: Users
    flush: Flush | None
    log: Log


class Integration:
    """Makes the client, answers the generated package's calls with it, and drops it when settings change."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_making = False
        self._active: Active | None = None
        self._package: Package | None = None

    def hook(self) -> None:
        """Have the generated package ask here for its client, where there is a package. Never raises: `itly_pull` must
        run while it is missing or broken, and the system checks say so."""
        try:
            self._ask_us(find_package(package_name()))
        except Exception:  # noqa: BLE001  # whatever its import does
            pass

    def active(self) -> Active:
        """What is in force; made of the settings if nothing is yet.

        Raises:
            ConfigError, PlanError, InvalidEvent: the settings, the package or the context cannot be used.
        """
        return self._active or self._make()

    def client(self) -> Client | Disabled | None:
        """What a generated function calls."""
        if self._is_making:  # a module named in the settings makes a call while it is imported
            return None
        return self.active().client

    def reset(self) -> None:
        """Forget everything; the next call reads the settings anew. What was accepted is still delivered."""
        with self._lock:
            active, self._active = self._active, None
            if self._package is not None:
                self._package.resolver = None
                self._package = None
            self.hook()
        if active is not None and active.client is not None:
            # Draining may take its timeout, which whoever changed a setting is not made to wait for, but the exit is.
            threading.Thread(target=active.client.shutdown, name="itly-reset", daemon=False).start()

    @property
    def flushes_before_response(self) -> bool:
        return self._active is not None and self._active.flush == "before_response"

    def report(self, message: str, exc: Exception) -> None:
        """Log something that went wrong beside a request."""
        if self._active is not None:
            self._active.log.exception(message, exc)

    def after_response(self) -> None:
        """Deliver soon, or for a bounded time now where the settings say so. Never raises."""
        active = self._active
        if active is None or active.client is None:
            return
        try:
            if active.flush == "after_response":
                active.client.flush(active.settings.web.flush_timeout)
            else:
                active.client.wake()
        except Exception as exc:  # noqa: BLE001  # request_finished passes it on to the server
            self.report("waking delivery after a response failed", exc)

    def before_response(self) -> None:
        """Deliver for a bounded time, where the settings say so. Never raises."""
        active = self._active
        if active is None or active.client is None or active.flush != "before_response":
            return
        try:
            active.client.flush(active.settings.web.flush_timeout)
        except Exception as exc:  # noqa: BLE001  # the response is the application's
            self.report("flushing before a response failed", exc)

    def signed_in(self, request: Any, user: Any) -> None:
        """Join what this browser did before with the user it turns out to be. Never raises."""
        try:
            active = self.active()
            if isinstance(active.client, Client) and active.settings.visitor.identify_on_login:
                scope = current()
                if scope is None and request is not None and active.reader is not None:  # without the middleware
                    scope = Scope(request, active.reader)
                user_id = active.users.id_of(user)
                if scope is not None and user_id is not None and (previous := scope.id_to_alias(user_id)):
                    active.client.alias(user_id, previous)
        except Exception as exc:  # noqa: BLE001  # signing in is the application's
            self.report("a sign-in could not be told", exc)

    def _make(self) -> Active:
        with self._lock:
            if self._active is not None:
                return self._active
            self._is_making = True
            try:
                self._active = self._made()
            finally:
                self._is_making = False
            return self._active

    def _made(self) -> Active:
        is_test = is_test_run()
        given = read(settings_mapping(), is_debug=django_settings.DEBUG, needs_keys=not is_test)
        package = find_package(given.web.package)
        client: Client | Disabled | None = None
        if package is not None:
            delivery = Recorder() if is_test else None
            client = package.start(given.options, scope=current, delivery=delivery)
            if given.web.after_commit and isinstance(client, Client):
                client.delivery = AfterCommit(client.delivery)
            self._ask_us(package)
        log = Log(given.options.logger)
        warn_about_uwsgi(log)
        users = Users(given.visitor)
        reader = None
        if isinstance(client, Client):
            find = resolver(given.visitor, users.user_id)
            loaded = resolver(given.visitor, Users(replace(given.visitor, user_resolution="loaded")).user_id)
            reader = Reader(request_view, find, given.rules, given.visitor, log, loaded)
        return Active(given, client, reader, users, given.web.flush_when(), log)

    def _ask_us(self, package: Package | None) -> None:
        if package is not None and package is not self._package:  # what a test has put in our place stays there
            package.resolver = self.client
            self._package = package


def settings_mapping() -> Any:
    """`settings.ITLY` as it stands."""
    return getattr(django_settings, "ITLY", {})


def package_name() -> str:
    """The generated package's name, without asking whether any other setting is right."""
    given = settings_mapping()
    name = given.get("PACKAGE") if isinstance(given, dict) else None
    return name if isinstance(name, str) else "itly"


def request_view(request: Any) -> RequestView:
    """Django's request as neutral facts need it. Nothing is read here that Django computes."""
    return RequestView(
        request.META,
        request.path,
        lambda: request.resolver_match.route or "/",  # Django writes the root's as ""
        lambda: getattr(request, "LANGUAGE_CODE", None),  # set by LocaleMiddleware only
        lambda: request.scheme,
    )


def is_test_run() -> bool:
    """Whether calls are recorded: under `manage.py test`, a runner built on Django's, or pytest.

    A script that uses the test client, `override_settings` or `setup_test_environment()` is not a test run.
    """
    if is_pytest() or sys.argv[1:2] == ["test"]:
        return True
    return hasattr(mail, "outbox") and "django.test.runner" in sys.modules


def project_directory() -> Path:
    """What relative paths in the settings count from: BASE_DIR where the project has it."""
    return Path(getattr(django_settings, "BASE_DIR", None) or Path.cwd())
