from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from itly_core.call import Call

MESSAGE_ID = "0190b3c2-6a0e-7c1e-9a55-0d2f6f3b1e01"
AT = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=timezone.utc)


@pytest.fixture
def call() -> Callable[..., Call]:
    """A track call of user 42, but for what is given."""

    def make(**fields: Any) -> Call:
        base: dict[str, Any] = {
            "kind": "track",
            "message_id": MESSAGE_ID,
            "timestamp": AT,
            "user_id": "42",
            "name": "Order Completed",
        }
        return Call(**{**base, **fields})

    return make
