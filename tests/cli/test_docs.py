"""`itly docs`, in its spellings, from the command line to the page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.django.conftest import manage

PLAN = "itly: 1\nplan: {name: Shop, version: 1.0.0}\nevents:\n  Seen: {properties: {where: {type: string}}}\n"
PYPROJECT = '[tool.itly.sources]\npython = "plan.yaml"\n'
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_the_only_source_goes_into_the_working_directory(project: Path, run: Run) -> None:
    assert run("docs") == (0, "Wrote tracking-plan.html: 1 event.\n", "")
    assert "itly.seen(" in (project / "tracking-plan.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("out", "file"),
    [
        ("a/b.html", "a/b.html"),
        ("site", "site/index.html"),
        ("made", "made/index.html"),
        ("x.html", "x.html/index.html"),
    ],
)
def test_out_is_a_file_or_a_directory(project: Path, run: Run, out: str, file: str) -> None:
    for name in ("made", "x.html"):
        (project / name).mkdir()

    code, said, _ = run("docs", "plan.yaml", "--out", out, "--format", "json")

    assert (code, json.loads(said)) == (0, {"ok": True, "exit_code": 0, "path": file, "events": 1})
    assert (project / file).read_bytes().startswith(b"<!doctype html>")


def test_its_own_page_is_written_anew_and_no_other_file(project: Path, run: Run) -> None:
    run("docs", "--out", "ours.html")
    (project / "plan.yaml").write_text(PLAN.replace("Seen", "Heard"))
    (project / "theirs.html").write_text("mine")

    assert run("docs", "--out", "ours.html")[0] == 0
    assert "itly.heard(" in (project / "ours.html").read_text("utf-8")
    code, _, error = run("docs", "--out", "theirs.html")
    assert (code, (project / "theirs.html").read_text()) == (2, "mine")
    assert "--force" in error
    assert run("docs", "--out", "theirs.html", "--force")[0] == 0


def test_what_cannot_be_read_or_written_exits_2_and_leaves_nothing(project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text("itly: 1\nevents: {A: {colour: red}}\n")
    (project / "file").write_text("")

    assert run("docs")[0] == 2
    assert run("docs", "pyhton")[0] == 2
    assert not (project / "tracking-plan.html").exists()
    (project / "plan.yaml").write_text(PLAN)
    assert run("docs", "--out", "file/below.html")[0] == 2


def test_it_is_there_in_django_and_in_flask(project: Path) -> None:
    django = manage("itly_docs", "--out", "django.html", cwd=project, settings={"SOURCES": {"python": "plan.yaml"}})
    flask = subprocess.run(
        [sys.executable, "-m", "flask", "itly", "docs", "--out", "flask.html"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (django.returncode, django.stdout) == (0, "Wrote django.html: 1 event.\n"), django.stderr
    assert flask.returncode == 0, flask.stderr
    assert (project / "django.html").read_bytes() == (project / "flask.html").read_bytes()
