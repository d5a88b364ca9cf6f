"""`itly fmt`, `itly convert`, `itly init` and `itly schema`, from the command line to the files on disk."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itly_core.plans import load
from tests.plans import samples
from tests.plans.plan_server import PlanServer, send_json
from tests.plans.recorded import RUDDERSTACK

UNTIDY = "events: {A: {owner: me, description: x}}  # all\nitly: 1\n"
TIDY = "itly: 1\nevents:  # all\n  A:\n    description: x\n    owner: me\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fmt_writes_files_in_the_style(project: Path, run: Run) -> None:
    file = project / "plan.yaml"
    file.write_text(UNTIDY)
    file.chmod(0o640)

    assert run("fmt", "plan.yaml")[0] == 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == (TIDY, 0o640)
    assert run("fmt", "plan.yaml")[:2] == (0, "1 file was in the style already.\n")


def test_fmt_check_writes_nothing(project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text(UNTIDY)

    code, out, _ = run("fmt", "--check", "--format", "json", "plan.yaml")

    assert (code, json.loads(out)["changed"], (project / "plan.yaml").read_text()) == (1, ["plan.yaml"], UNTIDY)


def test_fmt_takes_the_files_of_the_sources(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.itly.sources]\npython = "plans"\nweb = "segment:tp_1"\n')
    (project / "plans").mkdir()
    (project / "plans" / "plan.yaml").write_text(UNTIDY)
    (project / "plans" / "b.yaml").write_text("owner: me\nname: B\n")
    (project / "plans" / "other.json").write_text("[1]")

    assert run("fmt")[0] == 0
    assert (project / "plans" / "plan.yaml").read_text() == TIDY
    assert (project / "plans" / "b.yaml").read_text() == "name: B\nowner: me\n"
    assert (project / "plans" / "other.json").read_text() == "[1]"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fmt", "missing.yaml"], "no such file"),
        (["fmt", "other.json"], "is no plan of this format"),
        (["fmt"], "which files?"),
        (["convert"], "which plan?"),
        (["convert", "missing"], "no such file"),
        (["convert", "plan.json", "--out", "other.json"], "is there already"),
        (["init", "other.json"], "is there already"),
    ],
)
def test_what_cannot_be_done_exits_2_and_changes_nothing(
    argv: list[str], message: str, project: Path, run: Run
) -> None:
    (project / "other.json").write_text("[1]")

    code, _, err = run(*argv)

    assert (code, message in err) == (2, True)
    assert (project / "other.json").read_text() == "[1]"
    assert len(list(project.iterdir())) == 1


@pytest.mark.parametrize("out", ["plan.yaml", "deep/plan.json"])
def test_convert_writes_a_plan_that_pulls(out: str, project: Path, run: Run) -> None:
    (project / "sheet.csv").write_text(samples.SHEET)

    code, said, _ = run("convert", "sheet.csv", "--out", out)

    assert (code, said) == (0, f"Wrote {out}: 2 events.\n")
    assert [event.name for event in load(project / out).events] == ["Order Placed", "Signed In"]
    assert run("fmt", "--check", out)[0] == 0


def test_convert_takes_a_source_and_writes_to_standard_output(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.itly.sources]\npython = "sheet.csv"\n')
    (project / "sheet.csv").write_text(samples.SHEET)

    for argv in (["convert"], ["convert", "python"]):
        assert run(*argv)[1].startswith("itly: 1\nplan:")
    assert json.loads(run("convert", "--to", "json")[1])["itly"] == 1


def test_init_writes_a_plan_that_pulls(project: Path, run: Run) -> None:
    code, out, _ = run("init")

    assert (code, "Wrote tracking-plan.yaml." in out) == (0, True)
    assert run("fmt", "--check", "tracking-plan.yaml")[0] == 0
    assert run("pull", "--plan", "tracking-plan.yaml")[0] == 0
    assert "def signed_up(" in (project / "itly" / "__init__.py").read_text()


def test_schema_prints_the_schema_of_the_format(run: Run) -> None:
    assert json.loads(run("schema")[1])["title"] == "itly tracking plan"


# --- a person who watches ---------------------------------------------------------------------------------------------


@pytest.fixture
def pull_of_api() -> Any:
    server = PlanServer()
    for path, value in RUDDERSTACK.pages.items():
        server.answers[path] = send_json(value)
    Path("pyproject.toml").write_text(
        f'[tool.itly.sources.python]\nprovider = "rudderstack"\nplan = "tp_1"\nendpoint = "{server.url}"\n'
    )
    yield [sys.executable, "-m", "itly_core", "pull"]
    server.close()


def test_a_bar_is_shown_on_a_terminal(pull_of_api: list[str]) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "RUDDERSTACK_TOKEN": "tkn-secret", "TERM": "xterm"}
    done = subprocess.run(pull_of_api, env=environment, stderr=theirs, stdout=subprocess.PIPE, text=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Plan Shop 7 from source python: 2 events.")
    assert "Reading" in shown
    assert "tkn-secret" not in shown


def test_nothing_is_shown_where_nobody_watches(pull_of_api: list[str], project: Path) -> None:
    environment = {**os.environ, "RUDDERSTACK_TOKEN": "tkn-secret"}
    done = subprocess.run(pull_of_api, env=environment, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(b"tkn-secret" not in file.read_bytes() for file in project.rglob("*") if file.is_file())
