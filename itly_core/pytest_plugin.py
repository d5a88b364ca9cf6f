"""pytest fixtures, there as soon as the distribution is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .options import Options
    from .testing import Recorder


@pytest.fixture
def itly_recording() -> Iterator[Callable[..., Recorder]]:
    """Record the calls of a generated package for the length of the test: `recorder = itly_recording(itly)`.

    Takes the arguments of `itly_core.testing.recording`: a plan with a required context wants `itly.Options(context=...)`.
    """
    from .testing import recording  # late: a test run that has no use for itly should not import it

    with ExitStack() as stack:

        def start(package: ModuleType, options: Options | None = None) -> Recorder:
            return stack.enter_context(recording(package, options))

        yield start
