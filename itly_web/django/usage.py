"""A system check that reads the site's code: tag `itly_usage`, `check --deploy` only, because it takes its time."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning

from itly_core.errors import ItlyError

USAGE_TAG = "itly_usage"
SHOWN = 10  # events named; the command shows all


def check_usage(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W010: events of the plan that no code sends."""
    # Late: reading code takes modules that a running site has no use for.
    from itly_core.plans.status import statuses

    from .management.command import project_from_settings

    try:
        found = statuses(project_from_settings())
    except (ItlyError, OSError):  # no package, or wrong settings: the other checks say so
        return []
    names = [finding.event for status in found for finding in status.findings if finding.kind == "missing"]
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    text = f"No code sends {', '.join(map(repr, names[:SHOWN]))}{more}, which the tracking plan has."
    hint = "See what is sent where: python manage.py itly_status. Or mark them as drafts in the plan."
    return [Warning(text, hint=hint, id="itly.W010")]
