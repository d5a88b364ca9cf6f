"""Fixtures every area may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sample_projects.local_sink import LocalSink


@pytest.fixture
def sink() -> Iterator[LocalSink]:
    """A vendor on this machine; see sample_projects/local_sink.py."""
    with LocalSink() as running:
        yield running


# Times on a busy machine say nothing about the code.
settings.register_profile("itly", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("itly")
settings.register_profile(
    "thorough", settings.get_profile("itly"), max_examples=1000
)  # pytest --hypothesis-profile=thorough
