from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plans.plan_server import PlanServer


@pytest.fixture
def server() -> Iterator[PlanServer]:
    running = PlanServer()
    yield running
    running.close()
