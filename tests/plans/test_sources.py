"""Where a plan may be, besides a file: a pattern, a commit, a provider of another distribution."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from itly_core.errors import ConfigError, PlanError
from itly_core.plans import load

PLAN = "itly: 1\nplan: {name: Shop, version: 1.0.0}\nevents: {A: {}}\n"


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", "-C", str(directory), *arguments],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: `v1` has one event, the head two."""
    where = tmp_path / "repo"
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    (where / "plan.yaml").write_text(PLAN)
    (where / "events").mkdir()
    (where / "events" / "plan.yaml").write_text("itly: 1\nplan: {name: Folder}\n")
    (where / "events" / "b é.yaml").write_text("name: B\n")
    (where / "events" / ".hidden.yaml").write_text("name: C\n")
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "one")
    git(where, "tag", "v1")
    (where / "plan.yaml").write_text(PLAN.replace("{A: {}}", "{A: {}, B: {}}"))
    git(where, "commit", "-q", "-a", "-m", "two")
    (where / "plan.yaml").write_text("not committed")
    return where


# --- git --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "events"), [("v1", ["A"]), ("main", ["A", "B"]), ("main~1", ["A"]), ("HEAD", ["A", "B"])]
)
def test_a_plan_is_read_as_a_commit_has_it(repository: Path, ref: str, events: list[str]) -> None:
    plan = load(f"git+file://{repository}@{ref}:plan.yaml")

    assert [event.name for event in plan.events] == events


def test_a_directory_of_a_commit_and_a_relative_repository(repository: Path) -> None:
    plan = load("git+file://./repo@v1:events", base=repository.parent)

    assert (plan.name, [event.name for event in plan.events]) == ("Folder", ["B"])


def test_a_commit_says_nothing_of_this_machine(repository: Path) -> None:
    (repository / "bad.yaml").write_text("itly: 1\nevents: {A: {x: 1}}\n")
    git(repository, "add", "bad.yaml")
    git(repository, "commit", "-q", "-m", "three")

    with pytest.raises(PlanError) as caught:
        load(f"git+file://{repository}@main:bad.yaml")

    assert caught.value.location == "main:bad.yaml:2"


@pytest.mark.parametrize(
    ("reference", "message"),
    [("@nope:plan.yaml", "no commit 'nope'"), ("@v1:nope.yaml", "no such file or directory in that commit")],
)
def test_what_no_commit_has_is_a_plan_error(repository: Path, reference: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        load(f"git+file://{repository}{reference}")


@pytest.mark.parametrize("reference", ["git+file://repo", "git+file://repo@--output=x:plan.yaml", "git+ssh://host/x"])
def test_a_wrong_reference_to_a_commit_is_a_config_error(reference: str) -> None:
    with pytest.raises(ConfigError, match=r"git\+file://REPOSITORY@REF:PATH"):
        load(reference)


def test_no_repository_is_a_plan_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no commit 'main'"):
        load(f"git+file://{tmp_path}@main:plan.yaml")


# --- patterns ---------------------------------------------------------------------------------------------------------


def test_the_files_of_a_pattern_are_one_plan(tmp_path: Path) -> None:
    (tmp_path / "plans" / "deep").mkdir(parents=True)
    (tmp_path / "plans" / "plan.yaml").write_text("itly: 1\nplan: {name: Shop}\n")
    (tmp_path / "plans" / "deep" / "a.yaml").write_text("name: A\n")
    (tmp_path / "plans" / "deep" / "notes.txt").write_text("none of it")

    assert [event.name for event in load("plans/**/*.yaml", base=tmp_path).events] == ["A"]


def test_a_pattern_that_matches_nothing_is_a_plan_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plans/\*\.yaml: matches no file"):
        load("plans/*.yaml", base=tmp_path)


def test_a_file_that_is_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "plan[1].yaml").write_text(PLAN)

    assert load("plan[1].yaml", base=tmp_path).name == "Shop"


# --- other distributions ----------------------------------------------------------------------------------------------

PROVIDER = """
    from itly_core.plans import Plan, Provider, Section

    def recognises(raws):
        return all(isinstance(raw.value, dict) and "ours" in raw.value for raw in raws)

    def parse(raws):
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
        events = tuple(Section(name=name, schema=schema) for name in raws[0].value["ours"])
        return Plan(name="Theirs", version="1", source="", events=events, origin={"provider": "theirs"})

    PROVIDER = Provider("theirs", recognises, parse)
"""


def installed(directory: Path, entry_point: str, module: str = PROVIDER) -> str:
    """A directory to import from, with a distribution in it that has one provider."""
    (directory / "their_plans.py").write_text(textwrap.dedent(module))
    about = directory / "their_plans-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plans\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[itly.plan_providers]\n{entry_point}\n")
    return str(directory)


def run(directory: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from itly_core.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, path, *arguments], cwd=directory, capture_output=True, text=True, timeout=60
    )


def test_another_distribution_adds_a_format(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"ours": ["Order Placed"]}')

    done = run(tmp_path, installed(tmp_path, "theirs = their_plans:PROVIDER"), "pull", "--plan", "plan.json")

    assert (done.returncode, done.stderr) == (0, "")
    assert "def order_placed(" in (tmp_path / "itly" / "__init__.py").read_text()


@pytest.mark.parametrize(
    ("entry_point", "message"),
    [
        ("theirs = their_plans:MISSING", "the plan provider 'theirs' of their-plans cannot be loaded: AttributeError"),
        ("theirs = their_plans:parse", "the plan provider 'theirs' of their-plans is not a Provider of that name"),
        ("segment = their_plans:PROVIDER", "the plan provider 'segment' of their-plans is not a Provider of that name"),
    ],
)
def test_a_format_that_cannot_be_added_is_a_config_error(tmp_path: Path, entry_point: str, message: str) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)

    done = run(tmp_path, installed(tmp_path, entry_point), "pull", "--plan", "plan.yaml")

    assert (done.returncode, message in done.stderr) == (2, True)
