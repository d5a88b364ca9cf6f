from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from itly_core.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command here: exit code, standard output, standard error."""

    def run(*argv: str, **options: Any) -> tuple[int, str, str]:
        code = main(argv, **options)
        return (code, *capsys.readouterr())

    return run
