"""What the commands work on, and where plain `itly` finds it: `[tool.itly]` in pyproject.toml.

Django and Flask make a Project of their own settings instead.
"""

from __future__ import annotations

import keyword
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import ConfigError
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
    """

    base: Path = field(default_factory=Path.cwd)
    package: str = "itly"
    sources: Mapping[str, Any] = field(default_factory=dict)
    environment: str = "development"
    spool_dir: Path | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    destinations: Mapping[str, Any] = field(default_factory=dict)
    delivery: Mapping[str, Any] = field(default_factory=dict)
    sources_setting: str = "[tool.itly.sources] in pyproject.toml"

    @property
    def package_path(self) -> Path:
        """The directory of the generated package."""
        return self.base.joinpath(*self.package.split("."))


KEYS = frozenset(item.name for item in fields(Project)) - {"base", "sources_setting"}
_TABLES = ("sources", "context", "destinations", "delivery")


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
    if "spool_dir" in given:
        given["spool_dir"] = file.parent / given["spool_dir"]
    return Project(base=file.parent, **given)
