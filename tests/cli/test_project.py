"""Where the plain commands find their settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from itly_core.cli import Project, project_from_pyproject
from itly_core.errors import ConfigError

WHOLE = """
[tool.itly]
package = "shop.itly"
environment = "production"
spool_dir = "var/spool"
[tool.itly.context]
version = "1.0"
[tool.itly.sources]
python = "plan.yaml"
[tool.itly.destinations.amplitude]
api_key = "k"
[tool.itly.delivery]
mode = "memory"
"""


def test_every_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(WHOLE, "utf-8")

    project = project_from_pyproject(tmp_path)

    assert project == Project(
        base=tmp_path,
        package="shop.itly",
        environment="production",
        spool_dir=tmp_path / "var" / "spool",
        context={"version": "1.0"},
        sources={"python": "plan.yaml"},
        destinations={"amplitude": {"api_key": "k"}},
        delivery={"mode": "memory"},
    )
    assert project.package_path == tmp_path / "shop" / "itly"


def test_without_settings_there_are_defaults(tmp_path: Path) -> None:
    assert project_from_pyproject(tmp_path) == Project(base=tmp_path)


def test_the_nearest_file_with_settings_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.itly]\npackage = "outer"\n', "utf-8")
    inner = tmp_path / "member" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "member" / "pyproject.toml").write_text("[tool.other]\n", "utf-8")

    assert project_from_pyproject(inner) == Project(base=tmp_path, package="outer")


WRONG = {
    "an unknown key": ("[tool.itly]\npakage = 'x'\n", "pakage", "did you mean 'package'?"),
    "an upper-case key": ("[tool.itly]\nSOURCES = {}\n", "SOURCES", "did you mean 'sources'?"),
    "a text for a table": ("[tool.itly]\ncontext = 'x'\n", "context", "must be a table"),
    "a number for a text": ("[tool.itly]\npackage = 1\n", "package", "must be text, got 1"),
    "an unknown environment": ("[tool.itly]\nenvironment = 'prod'\n", "environment", "must be 'development' or 'production'"),
    "a keyword as the package": ("[tool.itly]\npackage = 'class'\n", "package", "must be the import name"),
    "no table": ("[tool]\nitly = 1\n", "tool.itly", "must be a table"),
    "no TOML": ("[tool.itly]\npackage = \n", "pyproject.toml", "line 2"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_names_file_and_key(text: str, key: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(text, "utf-8")

    with pytest.raises(ConfigError) as caught:
        project_from_pyproject(tmp_path)

    assert caught.value.key == key
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
