"""`itly pull`, from the command line to the files on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from itly_core.cli import Project
from tests.plans.bad_plans import BAD_PLANS, BadPlan

PLAN = """\
itly: 1
plan: {name: Shop, version: 1.0.0, source: python}
context: {properties: {version: {type: string, required: true}}}
events:
  Process Started:
    properties:
      available_processors: {type: integer, minimum: 1}
  Signed In: {}
"""
FILES = ["__init__.py", "__init__.pyi", "_plan.json", "py.typed", "requirements.txt"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which the test stands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plan(project: Path) -> Path:
    file = project / "tracking-plan.yaml"
    file.write_text(PLAN, "utf-8")
    return file


def contents(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


Run = Callable[..., tuple[int, str, str]]


def run_process(*argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "itly_core", *argv],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_pull_writes_a_package_that_python_imports(plan: Path, project: Path) -> None:
    pulled = run_process("pull", "--plan", plan.name, cwd=project)
    use = "import itly; print(itly.ProcessStarted(available_processors=4), itly.signed_in, itly.Context)"
    used = subprocess.run([sys.executable, "-c", use], cwd=project, capture_output=True, text=True, check=False)

    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert "Shop 1.0.0" in pulled.stdout
    assert "2 events" in pulled.stdout
    assert sorted(contents(project / "itly")) == FILES
    assert used.returncode == 0, used.stderr


def test_pulling_the_same_again_touches_no_file(plan: Path, project: Path, run: Run) -> None:
    run("pull", "--plan", plan.name)
    before = {file: file.stat().st_mtime_ns for file in (project / "itly").iterdir()}
    code, out, _ = run("pull", "--plan", plan.name)

    assert (code, "up to date" in out) == (0, True)
    assert {file: file.stat().st_mtime_ns for file in (project / "itly").iterdir()} == before


def test_a_pull_says_what_changed_since_the_last(plan: Path, run: Run) -> None:
    run("pull", "--plan", plan.name)
    plan.write_text(
        PLAN.replace("Signed In", "Signed Out").replace("minimum: 1", "minimum: 2").replace("context:", "identify:"),
        "utf-8",
    )
    _, out, _ = run("pull", "--plan", plan.name)

    said = out.splitlines()
    assert (
        said[1]
        == "Since the last pull (Shop 1.0.0): callers: 4 breaking, 1 compatible; consumers: 2 breaking, 3 compatible"
    )
    assert [" ".join(line.split()) for line in said[2:8]] == [
        "callers consumers change",
        "breaking breaking (context): removed",
        "breaking breaking Signed In: event removed; its function is signed_in",
        "breaking compatible (identify): added; required: version",
        "breaking compatible Process Started: available_processors: minimum 1 -> 2",
        "compatible compatible Signed Out: event added; its function is signed_out",
    ]
    assert "The plan's version is still 1.0.0: 2.0.0 (major) at least." in said


def test_what_changed_is_in_json_too(plan: Path, run: Run) -> None:
    run("pull", "--plan", plan.name)
    plan.write_text(PLAN.replace("Signed In", "Signed Out"), "utf-8")
    _, out, _ = run("pull", "--plan", plan.name, "--dry-run", "--format", "json")
    said = json.loads(out)["diff"]

    assert [(change["name"], change["change"]) for change in said["changes"]] == [
        ("Signed In", "removed"),
        ("Signed Out", "added"),
    ]
    assert (said["callers"]["breaking"], said["version"]["suggested"]) == (1, "2.0.0")


@pytest.mark.parametrize(
    "found",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"itly": 0, "events": ["Signed In"], "context": 3}',
        '{"events": {"Signed In": null, "A": {"schema": {"type": 3}, "arguments": [1]}}, "plan": "x", "files": ["a"]}',
        '{"events": {"Process Started": {"schema": {"type": "object", "properties": {"a": {"type": {}}}}}}}',
        '{"files": {"\\u0000": 1}, "events": 3}',
        "[" * 100_000,
    ],
)
def test_a_plan_on_disk_that_cannot_be_read_fails_nothing(found: str, plan: Path, project: Path, run: Run) -> None:
    (project / "itly").mkdir()
    (project / "itly" / "_plan.json").write_text(found)
    settings(project, '[tool.itly.sources]\npython = "https://plans.example/plan.yaml"\n')

    assert run("pull", "--plan", plan.name, "--check")[0] == 4
    assert run("pull", "--offline")[0] == (0 if found.startswith("{") else 3)


def test_the_package_goes_where_path_says(plan: Path, project: Path, run: Run) -> None:
    code, *_ = run("pull", "--plan", plan.name, "--path", "shop/analytics")

    assert code == 0
    assert sorted(contents(project / "shop" / "analytics")) == FILES
    assert not (project / "itly").exists()


def test_a_users_own_file_in_the_package_survives(plan: Path, project: Path, run: Run) -> None:
    (project / "itly").mkdir()
    (project / "itly" / "notes.md").write_text("mine", "utf-8")
    run("pull", "--plan", plan.name)

    assert (project / "itly" / "notes.md").read_text("utf-8") == "mine"


def test_somebody_elses_package_is_never_overwritten(plan: Path, project: Path, run: Run) -> None:
    (project / "shop").mkdir()
    (project / "shop" / "__init__.py").write_text("import something\n", "utf-8")
    code, _, err = run("pull", "--plan", plan.name, "--path", "shop")

    assert (code, "not written by itly" in err) == (2, True)
    assert contents(project / "shop") == {"__init__.py": b"import something\n"}


def test_a_directory_of_plan_files_is_pulled(project: Path, run: Run) -> None:
    (project / "plan" / "events").mkdir(parents=True)
    (project / "plan" / "plan.yaml").write_text("itly: 1\nplan: {name: Shop}\n", "utf-8")
    (project / "plan" / "events" / "a.json").write_text('{"name": "A"}', "utf-8")
    code, out, _ = run("pull", "--plan", "plan")

    assert (code, "1 event" in out) == (0, True)


# --- check and dry run ------------------------------------------------------------------------------------------------


def test_check_of_a_fresh_package_is_quiet_about_it(plan: Path, run: Run) -> None:
    run("pull", "--plan", plan.name)

    assert run("pull", "--plan", plan.name, "--check")[0] == 0


@pytest.mark.parametrize("spoil", ["missing", "stale", "edited"])
def test_check_finds_what_is_not_as_the_plan_gives_it(spoil: str, plan: Path, project: Path, run: Run) -> None:
    if spoil != "missing":
        run("pull", "--plan", plan.name)
    if spoil == "stale":
        plan.write_text(PLAN.replace("Signed In", "Signed Out"), "utf-8")
    if spoil == "edited":
        with (project / "itly" / "__init__.py").open("a") as file:
            file.write("print('hello')\n")
    before = contents(project)
    code, out, _ = run("pull", "--plan", plan.name, "--check")

    assert code == 4
    assert f"__init__.py is {spoil}" in out
    assert contents(project) == before


def test_a_dry_run_writes_nothing_and_says_what_it_would(plan: Path, project: Path, run: Run) -> None:
    code, out, _ = run("pull", "--plan", plan.name, "--dry-run")

    assert (code, "Would write __init__.py" in out) == (0, True)
    assert not (project / "itly").exists()


# --- sources ----------------------------------------------------------------------------------------------------------

TWO_SOURCES = '[tool.itly.sources]\npython = "tracking-plan.yaml"\nweb = "web.yaml"\n'


def settings(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text, "utf-8")


def test_a_source_is_looked_up_in_pyproject(plan: Path, project: Path, run: Run) -> None:
    settings(project, TWO_SOURCES)

    assert run("pull", "python")[0] == 0
    assert json.loads((project / "itly" / "_plan.json").read_bytes())["plan"]["source"] == "python"


def test_the_only_source_needs_no_name_and_the_package_goes_where_the_settings_say(
    plan: Path, project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(project, '[tool.itly]\npackage = "shop.events"\n[tool.itly.sources.python]\nplan = "tracking-plan.yaml"\n')
    (project / "deep").mkdir()
    monkeypatch.chdir(project / "deep")

    assert run("pull")[0] == 0
    assert sorted(contents(project / "shop" / "events")) == FILES


def test_events_of_other_sources_are_left_out(project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text("itly: 1\nevents: {A: {}, B: {sources: [web]}}\n", "utf-8")
    _, out, _ = run("pull", "python", "--plan", "plan.yaml", "--format", "json")

    assert json.loads(out)["plan"]["events"] == 1


WRONG = {
    "no source and no plan": ("", ["pull"], "with --plan"),
    "two sources and no name": (TWO_SOURCES, ["pull"], "Name one of: python, web"),
    "a source that is not there": (TWO_SOURCES, ["pull", "pyton"], "did you mean 'python'?"),
    "a source where there are none": ("", ["pull", "plan.yaml"], "to pull a file, write --plan FILE"),
    "a file that is not there": ("", ["pull", "--plan", "none.yaml"], "none.yaml: no such file"),
    "an unknown setting": ("[tool.itly]\nsource = {}\n", ["pull"], "tool.itly.source is not a setting; did you mean 'sources'?"),
    "an unknown key of a source": ('[tool.itly.sources.a]\nplna = "x"\n', ["pull"], "did you mean 'plan'?"),
    "sources that are a text": ('[tool.itly]\nsources = "x"\n', ["pull"], "tool.itly.sources must be a table"),
    "a package that is a path": ('[tool.itly]\npackage = "../x"\n', ["pull"], "must be the import name of a package"),
    "TOML that is none": ("[tool.itly\n", ["pull"], "pyproject.toml: "),
    "an unknown option": ("", ["pull", "--chek"], "--check"),
    "an unknown format": ("", ["pull", "--format", "xml"], "'xml' is not one of"),
    "no encryption": ("", ["pull", "--plan", "http://plans.example/p"], "use https"),
}  # fmt: skip


@pytest.mark.parametrize(("toml", "argv", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_exits_2_and_says_what_would_be_right(
    toml: str, argv: list[str], message: str, project: Path, run: Run
) -> None:
    settings(project, toml)
    code, out, err = run(*argv)

    assert (code, out) == (2, "")
    assert message in err
    assert not (project / "itly").exists()


def test_another_front_end_gives_its_own_project(plan: Path, project: Path, run: Run) -> None:
    asked: list[Project] = []

    def of_a_framework() -> Project:
        asked.append(Project(base=project, package="theirs", sources={"python": plan.name}))
        return asked[-1]

    assert run("pull", project=of_a_framework)[0] == 0
    assert (project / "theirs" / "__init__.py").exists()
    assert run("--help", project=of_a_framework)[0] == 0
    assert run("pull", "--help", project=of_a_framework)[0] == 0
    assert len(asked) == 1


# --- bad plans --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_PLANS.values(), ids=BAD_PLANS.keys())
def test_a_bad_plan_exits_2_names_line_and_key_and_leaves_the_package_alone(
    bad: BadPlan, plan: Path, project: Path, run: Run
) -> None:
    run("pull", "--plan", plan.name)
    before = contents(project / "itly")
    plan.write_text(bad.text, "utf-8")
    code, out, err = run("pull", "--plan", plan.name)

    assert (code, out) == (2, "")
    assert err.startswith(f"tracking-plan.yaml:{bad.line}: {f'{bad.path}: ' if bad.path else ''}")
    assert bad.message in err
    assert contents(project / "itly") == before


# --- addresses --------------------------------------------------------------------------------------------------------


class OnePlan:
    """A server with one answer, which a test may change."""

    def __init__(self) -> None:
        self.status = 200
        self.body = PLAN.encode()
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/plan.yaml"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[OnePlan]:
    running = OnePlan()
    yield running
    running.close()


@pytest.mark.parametrize(
    ("status", "body", "code"), [(500, b"", 3), (404, b"", 3), (200, b"<html>", 3), (200, b"x: 1", 2)]
)
def test_a_wrong_answer_exits_3_and_a_wrong_document_2(
    status: int, body: bytes, code: int, server: OnePlan, project: Path, run: Run
) -> None:
    assert run("pull", "--plan", server.url)[0] == 0
    before = contents(project / "itly")
    server.status, server.body = status, body
    found, out, err = run("pull", "--plan", server.url)

    assert (found, out) == (code, "")
    assert server.url in err
    assert contents(project / "itly") == before


def test_a_source_may_be_an_address(server: OnePlan, project: Path, run: Run) -> None:
    settings(project, f'[tool.itly.sources]\npython = "{server.url}"\n')

    assert run("pull", "python")[0] == 0
    assert sorted(contents(project / "itly")) == FILES


def test_offline_keeps_what_an_address_gave_last_and_asks_nobody(server: OnePlan, project: Path, run: Run) -> None:
    run("pull", "--plan", server.url)
    before = contents(project / "itly")
    code, out, _ = run("pull", "--plan", server.url, "--offline")

    assert (code, server.asked) == (0, 1)
    assert "stays as it is: plan Shop 1.0.0, 2 events" in out
    assert contents(project / "itly") == before
    assert run("pull", "--plan", server.url, "--offline", "--check")[0] == 0


def test_offline_check_finds_edits(server: OnePlan, project: Path, run: Run) -> None:
    run("pull", "--plan", server.url)
    (project / "itly" / "__init__.pyi").write_text("x: int\n", "utf-8")

    assert run("pull", "--plan", server.url, "--offline", "--check")[0] == 4


def test_offline_with_nothing_to_go_on_with_exits_3(server: OnePlan, run: Run) -> None:
    code, _, err = run("pull", "--plan", server.url, "--offline")

    assert (code, server.asked) == (3, 0)
    assert "pull once with the network" in err


def test_offline_reads_a_file_as_ever(plan: Path, project: Path, run: Run) -> None:
    assert run("pull", "--plan", plan.name, "--offline")[0] == 0
    assert (project / "itly" / "__init__.py").exists()


# --- output -----------------------------------------------------------------------------------------------------------


def test_json_is_one_object(plan: Path, run: Run) -> None:
    code, out, err = run("pull", "--plan", plan.name, "--format", "json")
    said = json.loads(out)

    assert (code, err) == (0, "")
    assert (said["ok"], said["exit_code"], said["path"]) == (True, 0, "itly")
    assert said["plan"] == {"name": "Shop", "version": "1.0.0", "events": 2}
    assert said["files"] == FILES
    assert said["diff"] is None


def test_json_is_one_object_for_a_stale_package_too(plan: Path, run: Run) -> None:
    code, out, _ = run("pull", "--plan", plan.name, "--check", "--format", "json")
    said = json.loads(out)

    assert (code, said["ok"], said["exit_code"]) == (4, False, 4)
    assert said["differences"]["__init__.py"] == "missing"


def test_json_is_one_object_for_errors_too(plan: Path, run: Run) -> None:
    plan.write_text("itly: 1\nevents:\n  A: {propertys: {}}\n", "utf-8")
    code, out, err = run("pull", "--plan", plan.name, "--format", "json")

    assert (code, err) == (2, "")
    assert json.loads(out) == {
        "ok": False,
        "exit_code": 2,
        "error": {
            "type": "PlanError",
            "message": "unknown key 'propertys'; did you mean 'properties'?",
            "location": "tracking-plan.yaml:3",
            "path": "events.A.propertys",
        },
    }


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("is_bad", [False, True])
def test_a_terminal_that_is_not_utf_8_is_written_to(output: str, is_bad: bool, project: Path) -> None:
    key = "état" if is_bad else "description"
    (project / "plan.yaml").write_text(
        f'itly: 1\nplan: {{name: "Café ☕"}}\nevents: {{Größe 状态: {{{key}: 1}}}}\n', "utf-8"
    )
    done = run_process(
        "pull",
        "--plan",
        "plan.yaml",
        "--format",
        output,
        cwd=project,
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
        LC_ALL="C",
    )

    assert (done.returncode, "Traceback" in done.stderr) == (2 if is_bad else 0, False)
    assert (done.stdout + done.stderr).isascii()


def test_a_plan_cannot_steer_the_terminal(project: Path, run: Run) -> None:
    (project / "plan.yaml").write_text('itly: 1\nplan: {name: "\\e[31m\\u202eevil\\n"}\n', "utf-8")
    _, out, _ = run("pull", "--plan", "plan.yaml")

    assert "\\x1b[31m\\u202eevil\\n " in out
    assert "\x1b" not in out


def test_the_version_is_told(run: Run) -> None:
    code, out, _ = run("--version")

    assert (code, out.startswith("itly ")) == (0, True)
