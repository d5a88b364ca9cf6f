"""docs/web-scenarios.md names tests that are there, all of them by their numbers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "web-scenarios.md").read_text("utf-8")
SCENARIOS, DEFECTS = PAGE.split("\n## ", 1)
ROWS = re.compile(r"^\| (\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def names_in(folder: Path) -> set[str]:
    return {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def rows(part: str) -> dict[int, list[str]]:
    return {int(number): re.findall(r"`(\w+)`", tests) for number, tests in ROWS.findall(part)}


@pytest.fixture(scope="module")
def names() -> set[str]:
    return names_in(ROOT / "tests")


def test_every_scenario_has_a_row_and_a_test(names: set[str]) -> None:
    found = rows(SCENARIOS)

    assert list(found) == list(range(1, 66))
    for number, tests in found.items():
        assert tests, f"{number} names no test"
        for name in tests:
            numbers = re.match(r"test_scenario_((?:\d+_)+)", name)
            assert numbers, name
            assert str(number) in numbers[1].split("_"), f"{name} is not about {number}"
            assert name in names, f"{name} is not there"


def test_every_test_of_a_scenario_has_a_number_of_the_page(names: set[str]) -> None:
    numbers = {
        int(number)
        for name in names
        if (found := re.match(r"test_scenario_((?:\d+_)+)", name))
        for number in found[1].strip("_").split("_")
    }

    assert numbers == set(rows(SCENARIOS))


def test_every_defect_is_absent_in_both_frameworks(names: set[str]) -> None:
    found = rows(DEFECTS)

    assert list(found) == list(range(1, 8))
    for framework in ("django", "flask"):
        there = names_in(ROOT / "tests" / framework)
        assert [name for tests in found.values() for name in tests if name not in there] == []
