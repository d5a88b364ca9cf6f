"""`itly lint` and `itly status` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from itly_core.cli import main

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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        return (code, *capsys.readouterr())

    return run


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
