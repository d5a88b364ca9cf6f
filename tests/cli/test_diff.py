"""`itly diff`, in its three spellings and all formats, from the command line to what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plans.plan_server import PlanServer, send_json

ROOT = Path(__file__).parents[2]
PLAN = """\
itly: 1
plan: {name: Shop, version: 1.0.0}
context: {properties: {app: {type: string}}}
events:
  Order Placed:
    version: 1.0.0
    properties:
      total: {type: number}
      items: {type: array, items: {properties: {sku: {type: string}}}}
      code: {type: string, pattern: ^a}
  Signed In: {}
  Page Read: {sources: [web]}
"""
NARROWER = PLAN.replace("{type: number}", "{type: integer}").replace("1.0.0}", "1.1.0}")
WIDER = PLAN.replace("{type: number}", "{type: [number, string]}")
MORE = PLAN + "  Signed Out: {}\n"
PYPROJECT = '[tool.itly.sources]\npython = "plan.yaml"\n'
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a plan, which the test stands in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


@pytest.fixture
def server() -> Iterator[PlanServer]:
    running = PlanServer()
    yield running
    running.close()


def changes(out: str) -> list[str]:
    """Of JSON: what is breaking for callers, and what else there is."""
    return [
        f"{'!' if change['callers'] == 'breaking' else ''}{'.'.join((change['name'] or change['kind'], *change['path']))}"
        for change in json.loads(out)["changes"]
    ]


def git(*argv: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", *who, *argv], check=True, capture_output=True)


# --- what is compared with what ---------------------------------------------------------------------------------------


def test_without_plans_the_package_is_compared_with_the_source(project: Path, run: Run) -> None:
    run("pull")
    (project / "plan.yaml").write_text(NARROWER)
    code, out, err = run("diff")

    assert (code, err) == (1, "")
    assert [line.rstrip() for line in out.splitlines()] == [
        "Shop 1.0.0 (itly) -> Shop 1.1.0 (plan.yaml)",
        "callers: 1 breaking; consumers: 1 compatible",
        "",
        "  callers      consumers    change",
        "  breaking     compatible   Order Placed: total: number -> integer",
        "The plan's version 1.1.0 is too low after 1.0.0: 2.0.0 (major) at least.",
        "Order Placed: its version is still 1.0.0: 2.0.0 (major) at least.",
    ]


def test_after_a_pull_there_is_no_difference(run: Run) -> None:
    run("pull")

    assert run("diff") == (0, "Shop 1.0.0 (itly) -> Shop 1.0.0 (plan.yaml)\nno differences\n", "")


def test_one_plan_is_compared_with_that_of_the_source(project: Path, run: Run) -> None:
    (project / "old.yaml").write_text(WIDER)
    code, out, _ = run("diff", "old.yaml", "--format", "json")

    assert (code, changes(out)) == (1, ["!Order Placed.total"])


def test_a_source_alone_is_compared_with_the_package(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT + 'web = "more.yaml"\n')
    (project / "more.yaml").write_text(MORE)
    run("pull", "python")
    code, out, _ = run("diff", "web", "--format", "json")

    assert (code, changes(out)) == (0, ["Page Read", "Signed Out"])


def test_two_sources_are_compared(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT + 'next = "more.yaml"\n')
    (project / "more.yaml").write_text(MORE)

    assert changes(run("diff", "python", "next", "--format", "json")[1]) == ["Signed Out"]


def test_a_commit_is_compared_with_the_file_as_it_is(project: Path, run: Run) -> None:
    git("init", "-q", ".")
    git("add", "plan.yaml")
    git("commit", "-q", "-m", "plan")
    (project / "plan.yaml").write_text(MORE)
    code, out, _ = run("diff", "git+file://.@HEAD:plan.yaml", "--format", "json")

    assert (code, changes(out), json.loads(out)["old"]["where"]) == (0, ["Signed Out"], "git+file://.@HEAD:plan.yaml")


def test_events_of_other_sources_are_left_out_of_both(project: Path, run: Run) -> None:
    (project / "old.yaml").write_text(PLAN.replace("Page Read", "Page Seen"))

    assert run("diff", "old.yaml")[1].splitlines()[1] == "no differences"
    assert changes(run("diff", "old.yaml", "plan.yaml", "--format", "json")[1]) == ["!Page Seen", "Page Read"]


def test_what_a_vendor_calls_the_source_counts_for_both(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.itly.sources.python]\nplan = "new.csv"\nfilter = "Web"\n')
    (project / "old.csv").write_text("event,sources\nA,Web\nB,Other\n")
    (project / "new.csv").write_text("event,sources\nA,Web\nC,Other\n")

    assert run("diff", "old.csv")[1].splitlines()[1] == "no differences"


@pytest.mark.parametrize(
    "old", ["itly", "itly/_plan.json", "git+file://.@HEAD:itly", "git+file://.@HEAD:itly/_plan.json"]
)
def test_a_package_may_stand_for_its_plan(old: str, project: Path, run: Run) -> None:
    run("pull")
    git("init", "-q", ".")
    git("add", "itly")
    git("commit", "-q", "-m", "package")
    (project / "plan.yaml").write_text(MORE)
    code, out, _ = run("diff", old, "plan.yaml", "--format", "json")

    assert (code, changes(out)) == (0, ["Page Read", "Signed Out"])


def test_a_plan_in_another_format_is_compared(project: Path, run: Run) -> None:
    (project / "plan.csv").write_text("event,property,type,required\nOrder Placed,total,number,yes\n")
    code, out, _ = run("diff", "plan.csv", "--format", "json")

    assert (code, "Order Placed.total" in changes(out), "Signed In" in changes(out)) == (1, True, True)


def test_an_address_is_asked(server: PlanServer, project: Path, run: Run) -> None:
    server.answers["/plan.json"] = send_json({"itly": 1, "plan": {"name": "Shop"}, "events": {"Signed In": {}}})
    url = f"{server.url}/plan.json"
    code, out, _ = run("diff", f"{url}?key=secret", "--format", "json")

    assert (code, changes(out), json.loads(out)["old"]["where"]) == (0, ["context", "Order Placed"], url)


# --- findings ---------------------------------------------------------------------------------------------------------

FAILS = {
    "breaking callers": (NARROWER, {"breaking", "undecidable", "any", "version"}, {"callers"}),
    "breaking consumers": (WIDER, {"breaking", "undecidable", "any", "version"}, {"consumers"}),
    "undecidable": (
        PLAN.replace("pattern: ^a", "pattern: ^b"),
        {"undecidable", "any", "version"},
        set(),
    ),
    "an addition": (MORE, {"any", "version"}, set()),
    "an addition under its version": (MORE.replace("version: 1.0.0}", "version: 1.1.0}"), {"any"}, set()),
    "nothing": (PLAN, set(), set()),
}


@pytest.mark.parametrize(("plan", "on", "views"), FAILS.values(), ids=FAILS.keys())
def test_it_fails_on_what_it_is_told_to(plan: str, on: set[str], views: set[str], project: Path, run: Run) -> None:
    (project / "old.yaml").write_text(PLAN)
    (project / "plan.yaml").write_text(plan)

    failing = ("breaking", "undecidable", "any", "version", "never")
    assert {name for name in failing if run("diff", "old.yaml", "--fail-on", name)[0] == 1} == on
    assert {view for view in ("callers", "consumers") if run("diff", "old.yaml", "--view", view)[0] == 1} == views
    assert (run("diff", "old.yaml")[0] == 1) is ("breaking" in on)


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(project: Path) -> str:
    """An old plan; the source's is narrower."""
    (project / "old.yaml").write_text(PLAN.replace("Signed In", "Log In"))
    (project / "plan.yaml").write_text(NARROWER)
    return "old.yaml"


def test_json_is_one_object(old: str, run: Run) -> None:
    code, out, err = run("diff", old, "--format", "json")
    found = json.loads(out)

    assert (code, err, found["ok"], found["exit_code"]) == (1, "", False, 1)
    assert found["old"] == {"name": "Shop", "version": "1.0.0", "where": "old.yaml"}
    assert found["callers"] == {"breaking": 2, "undecidable": 0, "compatible": 1}
    assert found["version"] == {
        "old": "1.0.0", "new": "1.1.0", "bump": "major", "suggested": "2.0.0", "is_enough": False,
    }  # fmt: skip
    assert found["event_versions"]["Order Placed"]["suggested"] == "2.0.0"
    assert found["changes"][1] == {
        "kind": "event", "name": "Order Placed", "path": ["total"], "change": "tightened", "rule": "type",
        "message": "number -> integer", "callers": "breaking", "consumers": "compatible", "bump": "major",
        "schemaver": "revision",
    }  # fmt: skip


def test_markdown_is_a_table(old: str, run: Run) -> None:
    lines = run("diff", old, "--format", "markdown", "--view", "callers")[1].splitlines()

    assert lines[0] == "### Shop 1.0.0 (old.yaml) → Shop 1.1.0 (plan.yaml)"
    assert lines[4:6] == ["| change | callers | SchemaVer |", "|---|---|---|"]
    assert "| **Order Placed** `total`: number → integer | **breaking** | revision |" in lines


def test_annotations_stand_where_the_change_is(old: str, run: Run) -> None:
    code, out, _ = run("diff", old, "--format", "github")

    assert code == 1
    assert out.splitlines()[:2] == [
        "::error file=plan.yaml,title=itly diff::Log In: event removed; its function is log_in (breaks callers and consumers)",
        "::error file=plan.yaml,line=8,title=itly diff::Order Placed: total: number -> integer (breaks callers)",
    ]
    assert out.splitlines()[-1].startswith("::notice title=itly diff::Shop 1.0.0")


def test_annotations_name_the_file_and_line_in_a_directory(project: Path, run: Run) -> None:
    for folder, kind in (("old", "number"), ("new", "integer")):
        (project / folder / "events").mkdir(parents=True)
        (project / folder / "plan.yaml").write_text("itly: 1\nevents:\n  Signed In: {}\n")
        (project / folder / "events" / "order.yaml").write_text(
            f"name: Order Placed\nproperties:\n  items:\n    type: array\n    items:\n      properties:\n        n: {{type: {kind}}}\n"
        )
    out = run("diff", "old", "new", "--format", "github")[1]

    assert out.startswith("::error file=new/events/order.yaml,line=7,title=itly diff::Order Placed: items[].n: ")


def test_annotations_of_an_address_name_no_file(server: PlanServer, run: Run) -> None:
    server.answers["/plan.json"] = send_json({"itly": 1, "events": {}})
    out = run("diff", "plan.yaml", f"{server.url}/plan.json", "--format", "github")[1]

    assert out.splitlines()[1].startswith("::error title=itly diff::Order Placed: event removed")


@pytest.mark.parametrize("output", ["text", "markdown", "github"])
def test_a_plan_cannot_steer_the_terminal(output: str, project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text('itly: 1\nevents: {"\\e[31m\\u202eevil\\n::error::": {}}\n')
    (project / "old.yaml").write_text("itly: 1\n")
    out = run("diff", "plan.yaml", "old.yaml", "--format", output)[1]

    assert "evil" in out
    assert not {"\x1b", "\u202e"} & set(out)
    assert not any(line.startswith("::error::") for line in out.splitlines())


# --- the other spellings ----------------------------------------------------------------------------------------------


def process(*argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "PYTEST_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=cwd,
        env={**kept, "PYTHONPATH": f"{cwd}{os.pathsep}{ROOT}", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SETTINGS = """\
INSTALLED_APPS = ["itly_web.django"]
SECRET_KEY = "x"
ITLY = {"PACKAGE": "events", "SOURCES": {"python": "plan.yaml"}}
BASE_DIR = %r
"""
APP = """\
from flask import Flask
from itly_web.flask import Itly
app = Flask(__name__)
app.config["ITLY"] = {"PACKAGE": "events", "SOURCES": {"python": "plan.yaml"}}
Itly(app)
"""
SPELLINGS = {
    "itly": ["itly_core", "diff"],
    "django": ["django", "itly_diff"],
    "flask": ["flask", "itly", "diff"],
}


@pytest.mark.parametrize("diff", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_says_the_same(diff: list[str], project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.itly]\npackage = "events"\n' + PYPROJECT)
    (project / "settings.py").write_text(SETTINGS % str(project))
    (project / "app.py").write_text(APP)
    run("pull")
    (project / "plan.yaml").write_text(NARROWER)

    found = process(*diff, "--format", "json", "--view", "callers", cwd=project, DJANGO_SETTINGS_MODULE="settings")
    assert (found.returncode, found.stderr) == (1, "")
    assert changes(found.stdout) == ["!Order Placed.total"]


def test_django_takes_plans_and_options_by_name_too(project: Path) -> None:
    (project / "settings.py").write_text(SETTINGS % str(project))
    (project / "new.yaml").write_text(MORE)
    call = (
        "import django; django.setup(); from django.core.management import call_command as call\n"
        "call('itly_diff', 'plan.yaml', 'new.yaml', fail_on='never', format='json')\n"
        "call('itly_diff', 'none.yaml')"
    )
    (project / "calls.py").write_text(call)
    found = process("calls", cwd=project, DJANGO_SETTINGS_MODULE="settings")

    assert changes(found.stdout) == ["Signed Out"]
    assert "CommandError: none.yaml: no such file or directory" in found.stderr


# --- what is wrong ----------------------------------------------------------------------------------------------------

WRONG = {
    "no package": (PYPROJECT, ["diff"], "there is no package to compare with: pull again, or name two plans"),
    "no source": ("", ["diff"], "names no source: name two plans, OLD and NEW"),
    "no source for the new one": ("", ["diff", "plan.yaml"], "names no source: name two plans, OLD and NEW"),
    "two sources": (f"{PYPROJECT}web = 'w.yaml'\n", ["diff"], "with which source? Name one of: python, web"),
    "a misspelled source": (PYPROJECT, ["diff", "pyhton", "plan.yaml"], "'pyhton'; did you mean 'python'?"),
    "a file that is not there": (PYPROJECT, ["diff", "none.yaml"], "none.yaml: no such file or directory"),
    "a new file that is not there": (PYPROJECT, ["diff", "plan.yaml", "none.yaml"], "none.yaml: no such file"),
    "a plan that is none": (PYPROJECT, ["diff", "pyproject.toml"], "pyproject.toml"),
    "three plans": (PYPROJECT, ["diff", "a", "b", "c"], "unexpected extra argument"),
    "an unknown view": (PYPROJECT, ["diff", "--view", "mine"], "'mine' is not one of"),
    "an unknown reason to fail": (PYPROJECT, ["diff", "--fail-on", "all"], "'all' is not one of"),
    "an unknown format": (PYPROJECT, ["diff", "--format", "xml"], "'xml' is not one of"),
    "a wrong commit": (PYPROJECT, ["diff", "git+file://.@nowhere:plan.yaml"], "no commit 'nowhere'"),
    "settings that are wrong": ("[tool.itly]\nsource = {}\n", ["diff"], "did you mean 'sources'?"),
}


@pytest.mark.parametrize(("toml", "argv", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_exits_2_and_says_what_would_be_right(
    toml: str, argv: list[str], message: str, project: Path, run: Run
) -> None:
    (project / "pyproject.toml").write_text(toml)
    code, out, err = run(*argv)

    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("found", ["", "{", "[]", '{"itly": 1}', '{"generator": "1", "events": []}', "[" * 100_000])
def test_a_package_that_cannot_be_read_exits_2(found: str, project: Path, run: Run) -> None:
    (project / "itly").mkdir()
    (project / "itly" / "_plan.json").write_text(found)
    code, out, err = run("diff")

    assert (code, out, "pull again" in err) == (2, "", True)


def test_a_bad_plan_exits_2_with_file_line_and_key_in_json_too(project: Path, run: Run) -> None:
    (project / "bad.yaml").write_text("itly: 1\nevents:\n  A: {propertys: {}}\n")
    code, out, _ = run("diff", "bad.yaml", "plan.yaml", "--format", "json")

    assert code == 2
    assert json.loads(out)["error"]["location"] == "bad.yaml:3"


def test_a_server_that_does_not_answer_exits_3(server: PlanServer, run: Run) -> None:
    code, out, err = run("diff", f"{server.url}/plan.json")

    assert (code, out, server.url in err) == (3, "", True)
