"""What mypy says of generated packages, and of calls of them."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from itly_core.codegen import render
from itly_core.codegen.render import EXPORTED, FUNCTIONS
from itly_core.plans import load
from itly_core.plans.document import Plan
from tests.codegen import regenerate
from tests.codegen.plans import CORPUS, ROOT, imported_from, recorded_names
from tests.codegen.test_hostile_plans import plans
from tests.codegen.test_verdicts import corpus_files, instances, reference

USAGE = Path(__file__).parent / "usage.py"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def mypy(arguments: Iterable[str], cache: Path, search: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--python-version=3.10",
        "--follow-imports=silent",
    ]
    return subprocess.run(
        [*command, "--no-error-summary", f"--cache-dir={cache}", *arguments],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": os.pathsep.join({str(ROOT), str(search)})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_mypy_flags_wrong_calls_and_no_others(cache: Path) -> None:
    done = mypy(["--namespace-packages", "--explicit-package-bases", "-m", "tests.codegen.usage"], cache)

    flagged = {int(line) for line in re.findall(r"usage\.py:(\d+): error:", done.stdout)}
    wrong = {number for number, line in enumerate(USAGE.read_text("utf-8").splitlines(), 1) if line.endswith("# error")}
    assert done.stderr == ""
    assert flagged == wrong, done.stdout


def corpus_plans() -> dict[str, Plan]:
    """Package name -> plan, of every file."""
    return {
        f"corpus_{re.sub(r'[^a-z0-9]', '_', f'{file.parent.name}_{file.stem}'.lower())}": load(file)
        for file in corpus_files()
    }


def hostile_plans() -> dict[str, Plan]:
    found: list[Plan] = []

    @settings(
        max_examples=40,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(plans())
    def collect(plan: Plan) -> None:
        found.append(plan)

    collect()
    return {f"hostile_{number}": plan for number, plan in enumerate(found)}


def write_all(chosen: dict[str, Plan], directory: Path) -> None:
    for name, plan in chosen.items():
        (directory / name).mkdir()
        for file, data in render(plan).items():
            (directory / name / file).write_bytes(data)


def import_all(names: Iterable[str], directory: Path) -> subprocess.CompletedProcess[str]:
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *names],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(directory), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )


def check_all(chosen: dict[str, Plan], directory: Path, cache: Path) -> None:
    write_all(chosen, directory)
    done = mypy([argument for name in chosen for argument in ("-p", name)], cache, directory)
    imported = import_all(chosen, directory)

    assert (done.stdout, done.stderr) == ("", "")
    assert imported.stderr == ""


def test_packages_of_hostile_plans_are_strictly_typed(tmp_path: Path, cache: Path) -> None:
    chosen = hostile_plans()
    assert len(chosen) == 40

    check_all(chosen, tmp_path, cache)


@pytest.mark.timeout(400)
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
def test_packages_of_real_plans_are_strictly_typed_and_take_valid_calls(tmp_path: Path, cache: Path) -> None:
    chosen = corpus_plans()
    assert len(chosen) == len(corpus_files()) > 50

    check_all(chosen, tmp_path, cache)
    calls = [line for name, plan in chosen.items() for line in valid_calls(name, plan, tmp_path / name)]
    (tmp_path / "calls.py").write_text("\n".join(calls) + "\n", "utf-8")
    done = mypy([str(tmp_path / "calls.py")], cache, tmp_path)

    assert len(calls) > 1000
    assert (done.stdout, done.stderr) == ("", "")


def valid_calls(package: str, plan: Plan, directory: Path) -> Iterator[str]:
    """Calls of its events, as source, that the plan accepts. For JSON Schema 1.0 is an integer; for a type checker it is
    not, so there is none here."""
    yield f"import {package}"
    names = recorded_names(directory)
    for event in plan.events:
        called, validator = names[event.name], reference(event)
        for properties in instances(event, 8):
            arguments = {name: properties[wire] for name, wire in called.arguments.items() if wire in properties}
            if validator.is_valid(properties) and not re.search(r"\.0\b", repr(arguments)):
                spelled = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
                yield f"{package}.{called.function}('u1', {spelled})"


def stubbed(body: Iterable[ast.stmt]) -> Iterator[tuple[str, list[str]]]:
    """What a stub says can be called, each with the names of what it takes."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        elif isinstance(node, ast.ClassDef):
            yield from ((node.name, [name for name in taken if name != "self"]) for _, taken in stubbed(node.body))


def test_the_run_time_and_the_stub_offer_the_same() -> None:
    package = imported_from(regenerate.PACKAGE)
    stub = dict(stubbed(ast.parse(regenerate.files()["__init__.pyi"]).body))
    for name in ("load", "alias", "track", "flush", "shutdown", "stats"):  # methods of the run time's Package
        del stub[name]
    taken = {
        name: [
            each.name
            for each in inspect.signature(getattr(package, name)).parameters.values()
            if each.kind != each.VAR_KEYWORD
        ]
        for name in stub
    }

    assert taken == stub
    assert {*stub} == {*package.__all__} - {*EXPORTED, *FUNCTIONS} | {"identify", "group", "page"}
