"""Fixtures every area may use."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sample_projects.local_sink import LocalSink


@pytest.fixture
def sink() -> Iterator[LocalSink]:
    """A vendor on this machine; see sample_projects/local_sink.py."""
    with LocalSink() as running:
        yield running


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a Redis server of this run's own, for what Celery and RQ put in it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("eady to accept connections" in line for line in server.stdout), "redis-server did not start"
            yield folder / "redis.sock"
        finally:
            server.kill()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what runs in its background ignore Ctrl+C, and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Times on a busy machine say nothing about the code.
settings.register_profile("itly", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("itly")
settings.register_profile(
    "thorough", settings.get_profile("itly"), max_examples=1000
)  # pytest --hypothesis-profile=thorough
