"""Where the plain commands find their settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from itly_core import AmplitudeOptions, DeliveryOptions, DestinationsOptions, Environment, Options
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

    assert (project.base, project.package) == (tmp_path, "shop.itly")
    assert project.sources == {"python": "plan.yaml"}
    assert project.package_path == tmp_path / "shop" / "itly"
    assert project.options() == Options(
        environment=Environment.PRODUCTION,
        context={"version": "1.0"},
        destinations=DestinationsOptions(amplitude=AmplitudeOptions(api_key="k")),
        delivery=DeliveryOptions(mode="memory", spool_dir=tmp_path / "var" / "spool"),
    )


def test_without_settings_there_are_defaults(tmp_path: Path) -> None:
    assert project_from_pyproject(tmp_path) == Project(base=tmp_path)


def test_the_spool_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.itly]\n", "utf-8")

    assert project_from_pyproject(tmp_path).options().delivery.spool_path == tmp_path / ".itly"


def test_an_adapter_is_found_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_adapters_here.py").write_text("class Adapter:\n    def send(self, calls): ...\n", "utf-8")
    text = '[tool.itly.destinations.custom]\nadapter = "my_adapters_here.Adapter"\n'
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    (name,) = project_from_pyproject(tmp_path).options().destinations.enabled()

    assert name == "custom"


def test_the_nearest_file_with_settings_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.itly]\npackage = "outer"\n', "utf-8")
    inner = tmp_path / "member" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "member" / "pyproject.toml").write_text("[tool.other]\n", "utf-8")

    project = project_from_pyproject(inner)

    assert (project.base, project.package) == (tmp_path, "outer")


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


WRONG_OPTIONS = {
    "a key": ("[tool.itly.destinations.amplitud]\napi_key = 'k'\n", "did you mean 'amplitude'?"),
    "no vendor key": ("[tool.itly.destinations.amplitude]\napi_key = ''\n", "['api_key']"),
    "a value": ("[tool.itly.delivery]\nflush_interval = 'soon'\n", "must be a number, got 'soon'"),
    "a directory twice": ("[tool.itly]\nspool_dir = 'a'\n[tool.itly.delivery]\nspool_dir = 'b'\n", "is given twice"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS.keys())
def test_wrong_options_stop_only_the_commands_that_need_them(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(text, "utf-8")
    project = project_from_pyproject(tmp_path)

    with pytest.raises(ConfigError) as caught:
        project.options()
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
