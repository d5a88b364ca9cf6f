"""Plans and packages for these tests: made here, written to a directory, imported from it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from itly_core.codegen import render
from itly_core.plans.document import Plan, Section

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"

_numbers = itertools.count(1)


def closed(properties: Mapping[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """The schema that `properties:` stands for in a plan file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": dict(properties),
        "required": required or [],
        "additionalProperties": False,
        **more,
    }


def event(
    name: str, properties: Mapping[str, Any] | None = None, required: list[str] | None = None, **more: Any
) -> Section:
    return Section(name=name, schema=closed(properties or {}, required), **more)


def plan_of(*events: Section, **more: Any) -> Plan:
    about: dict[str, Any] = {"name": "Shop", "version": "1.0.0", "source": "python", "origin": {"provider": "file"}}
    return Plan(events=events, **{**about, **more})


def imported(plan: Plan, directory: Path) -> ModuleType:
    """The plan's package, written below the directory and imported under a name of its own."""
    name = f"generated_{next(_numbers)}"
    (directory / name).mkdir(parents=True)
    for file, data in render(plan).items():
        (directory / name / file).write_bytes(data)
    return imported_from(directory / name)


@dataclass(frozen=True)
class Names:
    """What an event is called in a generated package. arguments: Python name -> wire name."""

    function: str
    cls: str
    arguments: dict[str, str]


def names_of(package: ModuleType) -> dict[str, Names]:
    """Event -> names, as the generator recorded them."""
    return recorded_names(package._package.directory)


def recorded_names(directory: Path) -> dict[str, Names]:
    """The same, without importing the package."""
    events = json.loads((directory / "_plan.json").read_bytes())["events"]
    return {name: Names(given["function"], given["class"], given["arguments"]) for name, given in events.items()}


def imported_from(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        path.name, path / "__init__.py", submodule_search_locations=[str(path)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.name]
    return module
