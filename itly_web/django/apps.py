"""The Django app. `ready()` registers checks and receivers and opens nothing."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks
from django.core.signals import request_finished, setting_changed
from django.utils.translation import gettext_lazy as _

from .checks import TAG, check_deployment, check_middleware, check_package, check_settings
from .integration import Integration
from .missing import explain_missing_package
from .usage import USAGE_TAG, check_usage


class ItlyConfig(AppConfig):
    """Holds the one Integration of the process."""

    name = "itly_web.django"
    label = "itly_web_django"
    verbose_name = _("Product analytics")
    default_auto_field = "django.db.models.BigAutoField"

    integration: Integration

    def ready(self) -> None:
        explain_missing_package()
        self.integration = Integration()
        for check in (check_settings, check_package, check_middleware):
            checks.register(check, TAG)
        checks.register(check_deployment, TAG, deploy=True)
        checks.register(check_usage, USAGE_TAG, deploy=True)
        request_finished.connect(self._request_finished, dispatch_uid=f"{self.label}.request_finished", weak=False)
        setting_changed.connect(self._setting_changed, dispatch_uid=f"{self.label}.setting_changed", weak=False)
        user_logged_in.connect(self._signed_in, dispatch_uid=f"{self.label}.signed_in", weak=False)
        self.integration.hook()

    def _signed_in(self, *, user: Any, request: Any = None, **_: Any) -> None:
        self.integration.signed_in(request, user)

    def _request_finished(self, **_: Any) -> None:
        self.integration.after_response()

    def _setting_changed(self, *, setting: str, **_: Any) -> None:
        if setting in ("ITLY", "DEBUG"):
            self.integration.reset()
