"""Whether this process runs tests: then calls are recorded and never sent."""

from __future__ import annotations

import os
import sys


def is_pytest() -> bool:
    """Whether pytest runs in this very process. A server that a test starts inherits the environment, and sends."""
    return "_pytest" in sys.modules and ("PYTEST_VERSION" in os.environ or "PYTEST_CURRENT_TEST" in os.environ)
