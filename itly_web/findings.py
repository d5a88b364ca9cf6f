"""What is wrong with the settings of a web site, in any framework. Ids: those of Django's system checks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from itly_core.findings import Finding, Words, warning

from .settings import Settings, is_serverless


def privacy_findings(settings: Settings, words: Words) -> Iterator[Finding]:
    """W006."""
    if settings.rules.ip == "full" and settings.visitor.consent is None:
        consent = words.setting("CONSENT")
        text = f"{words.setting('IP')} is 'full', and no {consent} says which visitors agreed to it."
        yield warning("W006", text, "Name a CONSENT callable, or keep IP 'truncated'.")


def host_findings(settings: Settings, words: Words, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """W008."""
    if settings.web.flush is None and is_serverless(environ):
        text = "This host may freeze a process when its response is out: each request with events waits for delivery."
        flush, timeout = words.setting("FLUSH"), words.setting("FLUSH_TIMEOUT")
        hint = f"Set {flush} to 'before_response' if that is meant, and {timeout} to what it may cost."
        yield warning("W008", text, hint)
