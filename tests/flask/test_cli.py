"""`flask itly …` finds its settings in the app, or in pyproject.toml while there is no app to ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLAN = "itly: 1\nplan: {name: Shop, version: 1.0.0}\nevents:\n  Seen: {properties: {where: {type: string}}}\n"
APP = """
from flask import Flask
from itly_web.flask import Itly
app = Flask(__name__)
app.config["ITLY"] = {"PACKAGE": "shop_events", "SOURCES": {"python": "plan.yaml"}}
Itly(app)
"""
PYPROJECT = '[tool.itly]\npackage = "from_pyproject"\n[tool.itly.sources]\npython = "plan.yaml"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def flask(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments], cwd=project, env=kept, capture_output=True, text=True, timeout=60
    )


def test_pull_uses_the_settings_of_the_app(project: Path) -> None:
    (project / "app.py").write_text(APP)
    done = flask(project, "itly", "pull")

    assert done.returncode == 0, done.stderr
    assert (project / "shop_events" / "__init__.py").is_file()
    assert flask(project, "itly", "pull", "--check").returncode == 0


def test_pull_works_while_the_app_cannot_be_imported(project: Path) -> None:
    (project / "app.py").write_text("import from_pyproject\n" + APP)
    (project / "pyproject.toml").write_text(PYPROJECT)
    done = flask(project, "itly", "pull")

    assert done.returncode == 0, done.stderr
    assert "from_pyproject" in done.stderr
    assert "[tool.itly] of pyproject.toml is used" in done.stderr
    assert (project / "from_pyproject" / "__init__.py").is_file()


@pytest.mark.parametrize("app", ["raise SystemExit(3)", "1 +", "raise ValueError('no')", None, "x = 1"])
def test_pull_works_whatever_is_wrong_with_the_app(project: Path, app: str | None) -> None:
    if app is not None:
        (project / "app.py").write_text(app)
    (project / "pyproject.toml").write_text(PYPROJECT)
    done = flask(project, "itly", "pull")

    assert done.returncode == 0, done.stderr
    assert (project / "from_pyproject" / "__init__.py").is_file()


def test_an_app_without_the_extension_uses_pyproject(project: Path) -> None:
    (project / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (project / "pyproject.toml").write_text(PYPROJECT)

    assert flask(project, "itly", "pull", "--dry-run").returncode == 0
    assert not (project / "from_pyproject").exists()


def test_check_exits_4_for_a_stale_package(project: Path) -> None:
    (project / "app.py").write_text(APP)
    flask(project, "itly", "pull")
    (project / "plan.yaml").write_text(PLAN.replace("where", "place"))

    assert flask(project, "itly", "pull", "--check").returncode == 4


def test_an_unknown_source_exits_2_and_says_where_sources_are_set(project: Path) -> None:
    (project / "app.py").write_text(APP)
    done = flask(project, "itly", "pull", "pyton")

    assert done.returncode == 2
    assert "app.config['ITLY']['SOURCES']" in done.stderr
    assert "python" in done.stderr


def test_other_flask_commands_do_not_pay_for_this_one(project: Path) -> None:
    code = "import sys, itly_web.flask.cli; print([name for name in sys.modules if name.startswith('itly_core')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_the_doctor_speaks_of_the_app_and_in_the_manner_of_flask(project: Path) -> None:
    (project / "app.py").write_text(APP.replace("Itly(app)", "app.config['ITLY_IP'] = 'full'\nItly(app)"))
    done = flask(project, "itly", "doctor", "--offline", "--format", "json")
    findings = {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}

    assert done.returncode == 1, done.stderr
    assert findings.keys() >= {"E003", "E007", "W006"}
    assert findings["E007"]["hint"] == "Generate it: flask itly pull"
    assert "app.config['ITLY']['PACKAGE']" in findings["E007"]["message"]


def test_the_doctor_says_that_there_is_no_app(project: Path) -> None:
    (project / "app.py").write_text("import not_there\n")
    done = flask(project, "itly", "doctor", "--offline")

    assert done.returncode == 1
    assert "E004" in done.stdout
    assert "not_there" in done.stdout
