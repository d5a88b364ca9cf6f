"""Who may import whom, what a running app loads, and which names are public."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("itly_core", "itly_web")

# module or package -> what it must not import. The most specific line counts.
FORBIDDEN = {
    "itly_core": ("itly_web", "django", "flask", "celery", "rq"),
    "itly_core.destinations": ("itly_core.delivery", "itly_core.client", "itly_core.package", "itly_web", "requests"),
    "itly_core.delivery.retry": (
        "itly_core.delivery",
        "itly_core.client",
        "itly_core.options",
        "requests",
        "threading",
    ),
    "itly_core.delivery": ("itly_core.client", "itly_core.package", "itly_core.plans", "itly_core.codegen", "itly_web"),
    "itly_core.plans": ("itly_core.client", "itly_core.delivery", "itly_core.destinations", "itly_web"),
    "itly_core.codegen": ("itly_core.client", "itly_core.delivery", "itly_core.destinations", "itly_web"),
    "itly_core.validation": ("itly_core.client", "itly_core.delivery", "itly_core.options"),
    "itly_core.encoding": ("itly_core.client", "itly_core.delivery", "itly_core.options", "itly_core.validation"),
    "itly_web": ("django", "flask", "itly_web.django", "itly_web.flask"),
    "itly_web.django": ("flask", "itly_web.flask"),
    "itly_web.flask": ("django", "itly_web.django"),
}
# What a web application that sends events has no use for: it costs memory, and start-up time in every worker.
PULL_SIDE = ("yaml", "click", "rich", "itly_core.plans", "itly_core.codegen", "itly_core.commands", "itly_core.cli")


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def imported(name: str, path: Path) -> Iterator[str]:
    """Every module that a module imports, anywhere in it, by its full name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            source = ".".join(part for part in (base if node.level else "", node.module or "") if part)
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rules_of(name: str) -> tuple[str, ...]:
    rule = max((each for each in FORBIDDEN if is_within(name, each)), key=len)
    return FORBIDDEN[rule]


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=each[0]) for each in modules()])
def test_imports_point_downwards(name: str, path: Path) -> None:
    found = {
        source
        for source in imported(name, path)
        for each in rules_of(name)
        if is_within(source, each) and source != name
    }
    assert not found


def test_threads_files_and_sockets_are_in_one_place() -> None:
    """But for the command line, what pulls plans and what looks a host over: programs of their own."""
    opening = {"socket", "requests", "fcntl", "selectors", "subprocess", "sqlite3", "signal", "atexit"}
    own = (
        "itly_core.delivery",
        "itly_core.plans",
        "itly_core.commands",
        "itly_core.codegen",
        "itly_core.cli",
        "itly_core.examination",
    )
    found = {
        name: seen
        for name, path in modules()
        if not any(is_within(name, each) for each in own)
        and (seen := {source.partition(".")[0] for source in imported(name, path)} & opening)
    }
    assert found == {}


APPS = {
    "a script": "import itly_core.package, itly_core.delivery",
    "django": "import django.conf; django.conf.settings.configure(); import itly_web.django.middleware, itly_web.django.apps",
    "flask": "from itly_web.flask import Itly",
}


@pytest.mark.parametrize("code", APPS.values(), ids=APPS)
def test_a_running_app_loads_nothing_of_the_pull_side(code: str) -> None:
    program = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    ).stdout.split()
    assert "itly_core.client" in loaded
    unwanted = [each for each in PULL_SIDE if each != "click" or "flask" not in loaded]  # Flask itself imports click
    assert [name for name in loaded if any(is_within(name, each) for each in unwanted)] == []


def test_a_pull_of_a_file_loads_neither_delivery_nor_an_http_client(tmp_path: Path) -> None:
    """They take longer to load than a small plan takes to pull."""
    program = (
        "import sys; from itly_core.cli import main; code = main(['pull', '--plan', sys.argv[1], '--path', sys.argv[2]]);"
        "assert code == 0; print(*sys.modules)"
    )
    plan = tmp_path / "plan.yaml"
    plan.write_text("itly: 1\nplan: {name: P, version: 1.0.0}\nevents: {Seen: {}}\n", "utf-8")
    loaded = subprocess.run(
        [sys.executable, "-c", program, plan, tmp_path / "itly"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    ).stdout.split()
    assert "itly_core.codegen" in loaded
    assert [name for name in loaded if name in ("requests", "itly_core.delivery", "sqlite3")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("name", ["itly_core", "itly_core.testing", "itly_core.package", "itly_web.flask"])
def test_everything_public_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert all(getattr(module, each) is not None for each in module.__all__)


def test_the_public_names_are_these() -> None:
    """A name that is taken away breaks somebody: then this list changes, and CHANGELOG.md says so."""
    import itly_core

    assert set(itly_core.__all__) == {
        *("Options", "Environment", "DestinationsOptions", "AllOptions", "ValidationOptions", "DeliveryOptions"),
        *("AmplitudeOptions", "SegmentOptions", "ConsoleOptions", "CustomOptions", "ItlyLogger"),
        *("Event", "EventOptions", "Call", "Violation"),
        *("ItlyError", "ConfigError", "PlanError", "PullError", "NotLoaded", "AlreadyLoaded", "Closed", "InvalidEvent"),
        "__version__",
    }
