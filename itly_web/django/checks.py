"""System checks, tag `itly`: cheap, offline, and each with what to do about it.

They run before most management commands, so nothing here may raise: a package that cannot be imported is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from itly_core.examination import examine_package
from itly_core.findings import Finding, Severity, Words, destination_findings
from itly_core.settings import Problem

from .. import uwsgi
from ..findings import host_findings, privacy_findings
from ..settings import Settings, in_dict, parse
from .integration import is_test_run, package_name, project_directory, settings_mapping

TAG = "itly"
MIDDLEWARE = "itly_web.django.middleware.ItlyMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
WORDS = Words(setting=in_dict, command=lambda name: f"python manage.py itly_{name}")
IDS = {"mapping": "itly.E001", "unknown": "itly.E002", "value": "itly.E004"}


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001, E002, E004, W004, W005, W006: `settings.ITLY` as a whole, and the server."""
    found, problems = _parsed()
    told: list[CheckMessage] = [
        Error(problem.message, hint=_hint(problem), id=IDS[problem.kind]) for problem in problems
    ]
    if found is not None and not found.options.disabled:
        told.extend(_check_proxies(found))
        told.extend(Warning(text, hint=_UWSGI, id="itly.W004") for text in uwsgi.found_here())
        told.extend(messages(privacy_findings(found, WORDS)))
    return told


def check_package(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E005 to E009, W007: the generated package, its plan, and what depends on it."""
    found, _ = _parsed()
    if found is None:
        return []
    base = project_directory()
    return messages(examine_package(package_name(), found.options, found.web.sources, base, WORDS))


def check_middleware(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W001, W002, W003: where the middleware stands."""
    found, _ = _parsed()
    if found is not None and found.options.disabled:
        return []
    names = [str(name) for name in django_settings.MIDDLEWARE]
    ours = [index for index, name in enumerate(names) if _is_ours(name)]
    if not ours:
        text = f"{MIDDLEWARE!r} is not in MIDDLEWARE: calls carry no request context and find no user."
        return [Warning(text, hint="Add it after AuthenticationMiddleware.", id="itly.W001")]
    told: list[CheckMessage] = []
    if AUTHENTICATION in names and ours[0] < names.index(AUTHENTICATION):
        text = f"{MIDDLEWARE!r} stands before AuthenticationMiddleware: calls made on the way in find no user."
        told.append(Warning(text, hint="Move it below AuthenticationMiddleware.", id="itly.W002"))
    if len(ours) > 1:
        text = f"{MIDDLEWARE!r} is in MIDDLEWARE {len(ours)} times; the first one does all the work."
        told.append(Warning(text, hint="Remove the others.", id="itly.W003"))
    return told


def check_deployment(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E003, W008 (`check --deploy`): production without anywhere to send to, or on a host that freezes."""
    found, _ = _parsed()
    if found is None or found.options.disabled:
        return []
    return messages([*host_findings(found, WORDS), *destination_findings(found.options, WORDS)])


def findings() -> Iterator[Finding]:
    """What the checks say, but for the package's, for `itly_doctor`. Silenced ones are silent there too."""
    for check in (check_settings, check_middleware, check_deployment):
        for message in check(None):
            if not message.is_silenced():
                severity: Severity = "error" if message.is_serious() else "warning"
                id = str(message.id).removeprefix("itly.")
                yield Finding(id=id, severity=severity, message=str(message.msg), hint=str(message.hint or ""))


def messages(found: Iterable[Finding]) -> list[CheckMessage]:
    """Findings in Django's manner."""
    levels = {"error": Error, "warning": Warning}
    return [levels[item.severity](item.message, hint=item.hint, id=f"itly.{item.id}") for item in found]


def _parsed() -> tuple[Settings | None, list[Problem]]:
    return parse(settings_mapping(), is_debug=django_settings.DEBUG, needs_keys=not is_test_run())


def _hint(problem: Problem) -> str:
    return {
        "mapping": 'Write ITLY = {"PACKAGE": "itly", ...}.',
        "unknown": "The settings are listed in docs/settings.md.",
        "value": "See docs/settings.md for what it takes.",
    }[problem.kind]


def _is_ours(name: str) -> bool:
    """Whether this entry is our middleware, a subclass of it included."""
    if name == MIDDLEWARE:
        return True
    from .middleware import ItlyMiddleware

    try:
        found = import_string(name)
    except ImportError:  # Django says so itself
        return False
    return isinstance(found, type) and issubclass(found, ItlyMiddleware)


def _check_proxies(found: Settings) -> Iterator[CheckMessage]:
    names = [
        name for name in ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST") if getattr(django_settings, name, None)
    ]
    if names and found.rules.trusted_proxies == 0 and found.rules.ip != "off":
        text = f"{names[0]} says that requests come through a proxy, and ITLY['TRUSTED_PROXIES'] that none do."
        hint = "Set ITLY['TRUSTED_PROXIES'] to how many proxies stand in front; else every visitor has the proxy's address."
        yield Warning(text, hint=hint, id="itly.W005")


_UWSGI = "See docs/django.md, uWSGI."
