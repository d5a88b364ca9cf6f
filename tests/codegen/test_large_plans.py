"""A plan of thousands of events stays quick to pull and to import. `make bench` has the figures; these bounds are three
times the targets, in time of the processor, so that a busy machine passes and a loop within a loop does not."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.codegen.plans import ROOT


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("packages")


@pytest.mark.timeout(400)
def test_two_thousand_events_are_pulled_and_imported_in_reasonable_time(packages: ModuleType, tmp_path: Path) -> None:
    pulled = packages.pull(tmp_path, "events-2000")
    imported = packages.imports(tmp_path, 3)

    assert pulled["pull_cpu_s"] < 15
    assert imported["import_cpu_ms"] < 90
