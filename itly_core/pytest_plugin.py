"""pytest fixtures, there as soon as the distribution is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Recorder


@pytest.fixture
def itly_recording() -> Iterator[Callable[[ModuleType], Recorder]]:
    """Record the calls of a generated package for the length of the test: `recorder = itly_recording(itly)`."""
    from .testing import recording  # late: a test run that has no use for itly should not import it

    with ExitStack() as stack:
        yield lambda package: stack.enter_context(recording(package))
