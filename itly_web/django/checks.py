"""System checks, tag `itly`: cheap, offline, and each with what to do about it.

They run before most management commands, so nothing here may raise: a package that cannot be imported is a finding.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from itly_core.delivery import why_no_spool
from itly_core.errors import InvalidEvent, ItlyError
from itly_core.options import ValidationOptions
from itly_core.package import Package
from itly_core.settings import Problem
from itly_core.testing import Recorder

from .. import uwsgi
from ..settings import Settings, is_serverless, parse
from .integration import find_package, is_test_run, package_name, project_directory, settings_mapping

TAG = "itly"
MIDDLEWARE = "itly_web.django.middleware.ItlyMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
IDS = {"mapping": "itly.E001", "unknown": "itly.E002", "value": "itly.E004"}


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001, E002, E004, W004, W005, W006: `settings.ITLY` as a whole, and the server."""
    found, problems = _parsed()
    messages: list[CheckMessage] = [
        Error(problem.message, hint=_hint(problem), id=IDS[problem.kind]) for problem in problems
    ]
    if found is not None and not found.options.disabled:
        messages.extend(_check_proxies(found))
        messages.extend(Warning(text, hint=_UWSGI, id="itly.W004") for text in uwsgi.found_here())
        if found.rules.ip == "full" and found.visitor.consent is None:
            text = "ITLY['IP'] is 'full', and no ITLY['CONSENT'] says which visitors agreed to it."
            messages.append(Warning(text, hint="Name a CONSENT callable, or keep IP 'truncated'.", id="itly.W006"))
    return messages


def check_package(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E005 to E009, W007: the generated package, its plan, and what depends on it."""
    found, _ = _parsed()
    if found is None or found.options.disabled:
        return []
    name = package_name()
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent that is missing, a module without a spec
        spec = None
    if spec is None or (spec.origin is None and not _has_plan(spec.submodule_search_locations)):
        level = Warning if found.options.is_development else Error
        hint = "Generate it: python manage.py itly_pull"
        return [level(f"There is no package {name!r}, which ITLY['PACKAGE'] names.", hint=hint, id="itly.E007")]
    try:
        package = find_package(name)
    except Exception as exc:  # noqa: BLE001  # whatever importing it does
        text = f"The package {name!r} cannot be imported: {type(exc).__name__}: {exc}"
        return [Error(text, hint="Generate it anew: python manage.py itly_pull", id="itly.E005")]
    if package is None:
        text = f"{name!r} is {spec.origin or 'a folder'}, which itly_pull did not make: it hides the generated package."
        hint = "Remove it, or have the package made under another name with ITLY['PACKAGE']."
        return [Error(text, hint=hint, id="itly.E008")]
    unusable = list(_check_plan(package))
    if unusable:
        return unusable
    return [*_check_context(package, found), *_check_spool(package, found), *_check_freshness(package, found)]


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
    messages: list[CheckMessage] = []
    if AUTHENTICATION in names and ours[0] < names.index(AUTHENTICATION):
        text = f"{MIDDLEWARE!r} stands before AuthenticationMiddleware: calls made on the way in find no user."
        messages.append(Warning(text, hint="Move it below AuthenticationMiddleware.", id="itly.W002"))
    if len(ours) > 1:
        text = f"{MIDDLEWARE!r} is in MIDDLEWARE {len(ours)} times; the first one does all the work."
        messages.append(Warning(text, hint="Remove the others.", id="itly.W003"))
    return messages


def check_deployment(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E003, W008 (`check --deploy`): production without anywhere to send to, or on a host that freezes."""
    found, _ = _parsed()
    if found is None or found.options.disabled:
        return []
    if found.web.flush is None and is_serverless(os.environ):
        text = "This host may freeze a process when its response is out: each request with events waits for delivery."
        hint = "Set ITLY['FLUSH'] to 'before_response' if that is meant, and ITLY['FLUSH_TIMEOUT'] to what it may cost."
        return [Warning(text, hint=hint, id="itly.W008"), *_check_destinations(found)]
    return _check_destinations(found)


def _check_destinations(found: Settings) -> list[CheckMessage]:
    if found.options.is_development or found.options.destinations.enabled():
        return []
    hint = 'Name one, as in ITLY = {"DESTINATIONS": {"segment": {"write_key": ...}}}, or set ITLY["DISABLED"].'
    return [Error("ITLY['DESTINATIONS'] has no destination that is on: events go nowhere.", hint=hint, id="itly.E003")]


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


def _check_plan(package: Package) -> Iterator[CheckMessage]:
    try:
        package.plan  # noqa: B018  # reading it is the check
    except ItlyError as exc:
        yield Error(f"The plan of the generated package cannot be used: {exc}", hint=_PULL, id="itly.E005")


def _check_context(package: Package, found: Settings) -> Iterator[CheckMessage]:
    """In production a wrong context is only logged: here is where somebody reads it."""
    if found.options.validation.disabled:
        return
    strict = replace(found.options, validation=ValidationOptions(fail_on_error=True))
    try:
        package.start(strict, delivery=Recorder())
    except InvalidEvent as exc:
        broken = "; ".join(map(str, exc.violations))
        hint = "Give what `context` in the plan asks for."
        yield Error(f"ITLY['CONTEXT'] breaks the tracking plan: {broken}", hint=hint, id="itly.E009")


def _check_spool(package: Package, found: Settings) -> Iterator[CheckMessage]:
    reason = why_no_spool(package.plan.info, found.options) if found.options.destinations.enabled() else ""
    if reason:
        text = f"Calls are kept in memory, and those not delivered are lost with their process: {reason}."
        hint = 'Set ITLY["SPOOL_DIR"], or ITLY["DELIVERY"] = {"MODE": "memory"} if that is meant.'
        yield Warning(text, hint=hint, id="itly.W007")


_UWSGI = "See docs/django.md, uWSGI."
_PULL = "Generate it anew: python manage.py itly_pull"


def _check_freshness(package: Package, found: Settings) -> Iterator[CheckMessage]:
    """The package against its source, where that is on this machine and is what the package was made of."""
    try:
        source = package.plan.info.get("source", "")
    except ItlyError:
        return
    reference = found.web.sources.get(source)
    if reference is None:
        return
    # Late, and only here: reading plans takes YAML, which a running site has no use for.
    from itly_core import codegen
    from itly_core.plans import load
    from itly_core.plans.loading import is_remote, source_table

    try:
        if is_remote(reference) or not (project_directory() / source_table(reference)["plan"]).exists():
            return  # a server is not asked, and a plan need not be deployed with the site
        files = codegen.render(load(reference, source=source, base=project_directory()))
        differences = codegen.compare(files, package.directory)
    except ItlyError as exc:
        yield Error(
            f"The plan of ITLY['SOURCES'][{source!r}] cannot be used: {exc}", hint="Correct it.", id="itly.E005"
        )
        return
    if differences:
        names = ", ".join(f"{item.name} is {item.kind}" for item in differences)
        text = f"The generated package is not what ITLY['SOURCES'][{source!r}] gives: {names}."
        yield Error(text, hint=f"Generate it anew: python manage.py itly_pull {source}", id="itly.E006")


def _has_plan(directories: Any) -> bool:
    return any((Path(directory) / "_plan.json").is_file() for directory in directories or ())
