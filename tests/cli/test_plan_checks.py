"""`itly lint` and `itly status` from the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAN = "itly: 1\nplan: {owner: me, source: python}\nevents:\n  Seen:\n    description: A page was seen.\n"
ERROR = "    properties: {a: {type: string, example: 1}}\n"
WARNING = "    properties: {a: {}}\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.itly.sources]\npython = "plan.yaml"\n')
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


@pytest.mark.parametrize(
    ("more", "argv", "code"),
    [("", [], 0), ("", ["--strict"], 0), (WARNING, [], 0), (WARNING, ["--strict"], 1), (ERROR, [], 1)],
)
def test_lint_exits_1_for_errors_and_if_strict_for_warnings(
    more: str, argv: list[str], code: int, project: Path, run: Run
) -> None:
    (project / "plan.yaml").write_text(PLAN + more)

    for format_ in ("text", "json", "github"):
        assert run("lint", *argv, "--format", format_)[0] == code


def test_lint_takes_sources_files_and_directories(project: Path, run: Run) -> None:
    (project / "more").mkdir()
    (project / "more" / "one.yaml").write_text(PLAN + WARNING)

    assert run("lint")[1] == "0 errors and 0 warnings in 1 event.\n"
    assert run("lint", "python", "plan.yaml", "more")[1].splitlines() == [
        "more/one.yaml:6: warning S001 events.Seen.properties.a: may be anything: give it a type",
        "0 errors and 1 warning in 3 events.",
    ]


def test_lint_in_json(project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text(PLAN + WARNING)

    assert json.loads(run("lint", "--format", "json")[1]) == {
        "ok": True,
        "exit_code": 0,
        "events": 1,
        "errors": 0,
        "warnings": 1,
        "findings": [
            {
                "rule": "S001",
                "severity": "warning",
                "message": "may be anything: give it a type",
                "path": "events.Seen.properties.a",
                "file": "plan.yaml",
                "line": 6,
            }
        ],
    }


def test_lint_annotates_for_github_and_nothing_in_a_plan_ends_a_line(project: Path, run: Run) -> None:
    name = "a,b:c\\r\\n::error::d%"
    (project / "plan.yaml").write_text(PLAN + f'    properties: {{"{name}": {{}}}}\n')

    lines = run("lint", "--format", "github")[1].splitlines()

    assert lines == [
        "::warning file=plan.yaml,line=6,title=itly lint S001::"
        "events.Seen.properties.a,b:c%0D%0A::error::d%25: may be anything: give it a type",
        "0 errors and 1 warning in 1 event.",
    ]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["pyhton"], 2, "did you mean 'python'?"),
        (["missing.yaml"], 2, "no such file"),
        (["broken.yaml"], 2, "broken.yaml:2: event: unknown key 'event'; did you mean 'events'?"),
        (["http://127.0.0.1:1/plan.yaml"], 3, "127.0.0.1"),
        (["--explain", "S06"], 2, "unknown rule 'S06'; did you mean 'S006'?"),
    ],
)
def test_lint_says_what_cannot_be_looked_at(argv: list[str], code: int, message: str, project: Path, run: Run) -> None:
    (project / "broken.yaml").write_text("itly: 1\nevent: {}\n")

    found, _, err = run("lint", *argv)

    assert (found, message in err) == (code, True)


def test_lint_without_sources_asks_which_plan(project: Path, run: Run) -> None:
    (project / "pyproject.toml").unlink()

    code, _, err = run("lint")

    assert (code, "which plan?" in err) == (2, True)


def test_lint_obeys_the_projects_settings(project: Path, run: Run) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write('[tool.itly.lint]\ncase = "snake"\n[tool.itly.lint.rules]\nN001 = "error"\n')

    assert run("lint")[:2] == (
        1,
        "plan.yaml:4: error N001 events.Seen: is not in snake case, as order_placed is\n"
        "1 error and 0 warnings in 1 event.\n",
    )


def test_lint_names_a_wrong_setting(project: Path, run: Run) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write('[tool.itly.lint]\ncase = "camel"\n')

    code, _, err = run("lint")

    assert (code, "[tool.itly.lint] in pyproject.toml: case must be one of" in err) == (2, True)


def test_lint_explains_a_rule_by_its_examples(run: Run) -> None:
    code, out, _ = run("lint", "--explain", "S008")

    assert code == 0
    assert out.startswith("S008 (warning): An array says what its items are.\n\nBad:\n  itly: 1\n")
    assert json.loads(run("lint", "--explain", "S008", "--format", "json")[1])["id"] == "S008"


CODE = "import itly\nitly.seen(a=1)\nitly.sen()\n"


@pytest.fixture
def pulled(project: Path, run: Run) -> Path:
    (project / "plan.yaml").write_text(
        PLAN + "    properties: {a: {type: string}}\n  Old: {status: deprecated}\n  Unused: {}\n"
    )
    assert run("pull")[0] == 0
    (project / "app.py").write_text(CODE)
    return project


def test_status_says_where_events_are_sent_and_what_is_wrong(pulled: Path, run: Run) -> None:
    code, out, _ = run("status")

    assert code == 1
    assert re.sub(r"plan \w{12} ", "plan VERSION ", out.replace("Plan python", "plan")).splitlines() == [
        "plan VERSION in itly: 1 of 3 events sent, in 1 file of code.",
        "  Old     nowhere (deprecated)",
        "  Seen    app.py:2",
        "  Unused  nowhere",
        'app.py:2: bad: seen: a 1 is not of type "string"',
        "app.py:3: unknown: there is no 'sen' in the package; did you mean 'seen'?",
    ]


@pytest.mark.parametrize(
    ("code", "argv", "exit_code"),
    [
        ("import itly\nitly.seen()\n", [], 0),
        ("import itly\nitly.seen(a=1)\n", [], 1),
        ("import itly\nitly.seen(a=1)\n", ["--fail-on", "never"], 0),
        ("import itly\nitly.seen(a=1)\n", ["--fail-on", "removed, unknown"], 0),
        ("import itly\nitly.seen()\n", ["--fail-on", "missing"], 1),
        ("import itly\nitly.old()\n", [], 0),
        ("import itly\nitly.old()\n", ["--fail-on", "unknown,deprecated"], 1),
        ("import itly\nitly.(\n", [], 0),
        ("import itly\nitly.(\n", ["--fail-on", "unreadable"], 1),
        ("import itly\nitly.seen(a=1)\n", ["--exclude", "*/x.py,app*"], 0),
        ("import itly\nitly.seen(a=1)\n", ["other"], 0),
        ("import itly\nitly.seen(a=1)\n", ["other", "app.py"], 1),
        ("", ["--fail-on", "mising"], 2),
        ("", ["missing"], 2),
    ],
)
def test_status_exits_1_for_what_fail_on_names(
    code: str, argv: list[str], exit_code: int, pulled: Path, run: Run
) -> None:
    (pulled / "app.py").write_text(code)
    (pulled / "other").mkdir()

    for format_ in ("text", "json", "github"):
        assert run("status", *argv, "--format", format_)[0] == exit_code


def test_status_in_json(pulled: Path, run: Run) -> None:
    found = json.loads(run("status", "--format", "json")[1])

    (package,) = found["packages"]
    assert (found["ok"], found["exit_code"], package["path"], package["files"]) == (False, 1, "itly", 1)
    assert package["events"][1] == {
        "name": "Seen",
        "function": "seen",
        "status": "active",
        "places": [{"file": "app.py", "line": 2, "column": 1, "role": "call"}],
    }
    assert package["findings"][1] == {
        "kind": "unknown",
        "message": "there is no 'sen' in the package; did you mean 'seen'?",
        "event": "",
        "file": "app.py",
        "line": 3,
    }


def test_status_annotates_for_github(pulled: Path, run: Run) -> None:
    lines = run("status", "--format", "github")[1].splitlines()

    assert lines[0] == '::error file=app.py,line=2,title=itly status%3A bad::seen: a 1 is not of type "string"'
    assert lines[2] == "::notice title=itly status%3A missing::Unused is sent nowhere: itly.unused"


def test_status_can_ask_whether_the_package_is_the_latest(pulled: Path, run: Run) -> None:
    (pulled / "app.py").write_text("import itly\nitly.seen()\n")

    assert run("status", "--is-latest")[0] == 0
    (pulled / "plan.yaml").write_text(PLAN)
    code, out, _ = run("status", "--is-latest")

    assert (code, out.splitlines()[-1]) == (4, "The package is not what its source gives: pull again.")
    assert json.loads(run("status", "--is-latest", "--format", "json")[1])["is_latest"] is False
    assert run("status")[0] == 0


def test_status_without_a_package_says_to_pull(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.itly]\npackage = "not_pulled_yet"\n')

    code, _, err = run("status")

    assert (code, "run `itly pull` again" in err) == (2, True)


@pytest.mark.parametrize("command", ["lint", "status"])
def test_both_are_django_commands_with_the_settings_of_the_project(command: str, pulled: Path) -> None:
    (pulled / "pyproject.toml").unlink()
    (pulled / "shop.py").write_text(
        "from pathlib import Path\nBASE_DIR = Path(__file__).parent\nSECRET_KEY = 'x'\n"
        "INSTALLED_APPS = ['itly_web.django']\n"
        "ITLY = {'SOURCES': {'python': 'plan.yaml'}, 'LINT': {'RULES': {'D001': 'error'}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", f"itly_{command}", "--format", "json"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "shop", "PYTHONPATH": f"{pulled}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["exit_code"] == 1


@pytest.mark.parametrize("command", ["lint", "status"])
def test_both_are_flask_commands_with_the_settings_of_the_app(command: str, pulled: Path) -> None:
    (pulled / "pyproject.toml").unlink()
    (pulled / "blog.py").write_text(
        "from flask import Flask\nfrom itly_web.flask import Itly\napp = Flask(__name__)\n"
        "app.config['ITLY'] = {'SOURCES': {'python': 'plan.yaml'}, 'LINT': {'RULES': {'D001': 'error'}}}\nItly(app)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "blog", "itly", command, "--format", "json"],
        env={**os.environ, "PYTHONPATH": f"{pulled}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1
