"""What a command line that is not quite right is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("typed", "meant"), [("wurker", "worker"), ("pul", "pull"), ("statsu", "stats"), ("fmd", "fmt")]
)
def test_a_mistyped_command_is_told_the_nearest_one(run: Run, typed: str, meant: str) -> None:
    code, out, err = run(typed)

    assert (code, out) == (2, "")
    assert f"'{typed}'" in err
    assert f"'{meant}'" in err


def test_all_commands_are_listed(run: Run) -> None:
    code, out, _ = run("--help")
    listed = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines() if line.strip()]

    assert code == 0
    assert " ".join(listed) == "convert diff dlq docs doctor fmt init lint pull schema stats status worker"
