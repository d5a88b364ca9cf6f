"""For tests of a site: what it would have sent.

    class CheckoutTests(ItlyTestMixin, TestCase):
        def test_paying(self):
            self.client.post("/pay/")
            self.assertTracked("Order Completed", user_id="7", total=12)

Under `manage.py test` and pytest every call is recorded and none is sent, with or without this class.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps

from itly_core.call import Call
from itly_core.testing import Recorder

from .commit import AfterCommit
from .integration import Integration


def recorder() -> Recorder:
    """Where this process records calls, for the settings in force now.

    Raises:
        AssertionError: nothing is recorded: this is no test run, itly is disabled, or there is no package.
    """
    app: Any = apps.get_app_config("itly_web_django")
    integration: Integration = app.integration
    found = getattr(integration.active().client, "delivery", None)
    found = found.delivery if isinstance(found, AfterCommit) else found
    if not isinstance(found, Recorder):
        raise AssertionError("no calls are recorded: run under `manage.py test` or pytest, with a generated package")
    return found


class ItlyTestMixin:
    """Starts each test with nothing recorded, and asserts on what is. For any TestCase class of Django."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]  # of the TestCase beside it
        recorder().clear()

    @property
    def calls(self) -> list[Call]:
        """Everything recorded since the test started, in order."""
        return recorder().calls

    def assertTracked(self, event: str, *, user_id: str | None = None, **properties: Any) -> Call:
        """The event was tracked with at least these properties, by this user if one is given; the first such call.

        A call that breaks the plan does not count: it fails the assertion with what is wrong.
        """
        found = recorder().tracked(event)
        for call in found:
            if user_id is not None and call.user_id != user_id:
                continue
            if any(name not in call.properties or call.properties[name] != properties[name] for name in properties):
                continue
            if call.violations:
                broken = "; ".join(map(str, call.violations))
                raise AssertionError(f"{event!r} was tracked, and breaks the plan: {broken}")
            return call
        wanted = {**({} if user_id is None else {"user_id": user_id}), **properties}
        raise AssertionError(f"{event!r} was not tracked with {wanted}. {_described(self.calls)}")

    def assertNotTracked(self, event: str) -> None:
        """The event was not tracked at all."""
        found = recorder().tracked(event)
        if found:
            raise AssertionError(f"{event!r} was tracked. {_described(found)}")

    def assertNothingTracked(self) -> None:
        """No call of any kind was made."""
        if self.calls:
            raise AssertionError(_described(self.calls))


def _described(calls: list[Call]) -> str:
    lines = [
        f"\n  {call.kind} {call.name or ''} by {call.user_id or call.anonymous_id}: {dict(call.properties or call.traits)}"
        for call in calls
    ]
    return "Recorded:" + "".join(lines) if lines else "Nothing was recorded."
