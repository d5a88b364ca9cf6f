"""What the commands work on, and where plain `itly` finds it: `[tool.itly]` in pyproject.toml.

Django and Flask make a Project of their own settings instead.
"""

from __future__ import annotations

import importlib.util
import keyword
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .findings import Finding, Words
from .options import DEFAULT_SPOOL, Options
from .plan import PLAN_FILE, Plan
from .settings import read_options
from .suggest import unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Project:
    """Settings of a project, as far as commands need them.

    base: the directory that its relative paths count from. package: import name of the generated package.
    sources: {name: file, directory, address, or a table with `plan`}. sources_setting: where the user writes them.
    lint: what it says of the rules of `itly lint`; read when that runs. lint_setting: where the user writes it.
    options: reads the options of its clients when asked, so that a wrong one does not stop a command that needs none;
    raises ConfigError. examine: what its framework finds wrong with it. words: how its people write things.
    """

    base: Path = field(default_factory=Path.cwd)
    package: str = "itly"
    sources: Mapping[str, Any] = field(default_factory=dict)
    sources_setting: str = "[tool.itly.sources] in pyproject.toml"
    lint: Mapping[str, Any] = field(default_factory=dict)
    lint_setting: str = "[tool.itly.lint] in pyproject.toml"
    options: Callable[[], Options] = Options
    examine: Callable[[], Iterable[Finding]] = tuple
    words: Words = field(default_factory=Words)

    @property
    def package_path(self) -> Path:
        """The directory of the generated package."""
        return self.base.joinpath(*self.package.split("."))

    def installed_path(self) -> Path:
        """The directory of the generated package, if it is there: at its usual place, else wherever Python finds it."""
        if (self.package_path / PLAN_FILE).is_file():
            return self.package_path
        try:
            found = importlib.util.find_spec(self.package)
        except (ImportError, ValueError):  # the package it is in is not there, or is something else
            found = None
        places = list(found.submodule_search_locations or ()) if found is not None else []
        return Path(places[0]) if places else self.package_path

    def plan(self) -> Plan:
        """The plan in the generated package.

        Raises:
            PlanError: it was not pulled yet, or cannot be read.
        """
        return Plan.read(self.installed_path())


_OPTIONS = ("environment", "context", "destinations", "delivery")
KEYS = frozenset({"package", "sources", "lint", "spool_dir", *_OPTIONS})
_TABLES = ("sources", "lint", "context", "destinations", "delivery")


def project_from_pyproject(directory: Path | None = None) -> Project:
    """The project a directory belongs to: the nearest pyproject.toml with a `[tool.itly]`, there or above.

    directory: the working directory if None. Without such a file: the defaults.

    Raises:
        ConfigError: the file cannot be read, has an unknown key, or a value of the wrong type.
    """
    start = (directory or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _tool_itly(file)
            if table is not None:
                return _project(table, file)
    return Project(base=start)


def _tool_itly(file: Path) -> Any:
    try:
        tool = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{file}: {exc}", key="pyproject.toml") from exc
    return tool.get("itly") if isinstance(tool, dict) else None


def _project(table: Any, file: Path) -> Project:
    def wrong(key: str, message: str) -> ConfigError:
        return ConfigError(f"{file}: tool.itly.{key} {message}", key=key)

    if not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.itly must be a table, got {table!r}", key="tool.itly")
    for key, value in table.items():
        if key not in KEYS:
            raise wrong(key, f"is not a setting; {unknown(key, KEYS)}")
        if key in _TABLES and not isinstance(value, dict):
            raise wrong(key, f"must be a table, got {value!r}")
        if key not in _TABLES and not isinstance(value, str):
            raise wrong(key, f"must be text, got {value!r}")
    given = dict(table)
    package = given.get("package", "itly")
    if not all(step.isidentifier() and not keyword.iskeyword(step) for step in package.split(".")):
        raise wrong("package", f"must be the import name of a package, got {package!r}")
    if given.get("environment", "development") not in ("development", "production"):
        raise wrong("environment", f"must be 'development' or 'production', got {given['environment']!r}")
    return Project(
        base=file.parent,
        package=package,
        sources=given.get("sources", {}),
        lint=given.get("lint", {}),
        options=partial(_options, given, file),
    )


def _options(table: Mapping[str, Any], file: Path) -> Options:
    """The options in `[tool.itly]`. Paths count from the file's directory, and modules are found there."""
    given = {key: table[key] for key in _OPTIONS if key in table}
    delivery = dict(given.get("delivery", {}))
    if "spool_dir" in table:
        if "spool_dir" in delivery:
            raise ConfigError(
                f"{file}: tool.itly.spool_dir is given twice, the other time in delivery", key="spool_dir"
            )
        delivery["spool_dir"] = table["spool_dir"]
    if isinstance(spool_dir := delivery.get("spool_dir", DEFAULT_SPOOL), str):
        delivery["spool_dir"] = file.parent / spool_dir
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    return read_options({**given, "delivery": delivery}, spell=lambda key: f"{file}: tool.itly.{key}")
