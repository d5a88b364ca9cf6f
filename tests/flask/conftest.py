"""A generated package for the test site, and the site itself: in this process (recording) or in a server (sending)."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from itly_core import codegen, plans
from sample_projects.local_sink import LocalSink
from tests.servers import Server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SETTINGS: dict[str, Any] = {"CONTEXT": {"version": "1.0"}}


@pytest.fixture(scope="session")
def package_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a generated package `itly` of tracking-plan.yaml."""
    folder = tmp_path_factory.mktemp("site")
    codegen.write(codegen.render(plans.load(HERE / "tracking-plan.yaml", base=HERE)), folder / "itly")
    return folder


@pytest.fixture
def itly(package_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The generated package, imported as if for the first time."""
    before = sys.modules.pop("itly", None)
    monkeypatch.syspath_prepend(str(package_dir))
    try:
        yield importlib.import_module("itly")
    finally:
        sys.modules.pop("itly", None)
        if before is not None:
            sys.modules["itly"] = before


@pytest.fixture
def create_app(itly: ModuleType) -> Callable[..., Any]:
    """Makes the test site in this process. Keyword arguments go to its configuration."""
    from tests.flask import site_app

    def create(**config: Any) -> Any:
        return site_app.create_app(**{"ITLY": SETTINGS, **config})

    return create


@pytest.fixture
def serve(package_dir: Path, sink: LocalSink) -> Callable[..., Any]:
    """Starts the test site in a server that sends to `sink`: `with serve("gunicorn", workers=2) as server`."""
    return lambda *args, **named: serving(package_dir, sink, *args, **named)


@contextmanager
def serving(
    package_dir: Path,
    sink: LocalSink,
    kind: str,
    *options: str,
    app: str = "tests.flask.site_app:create_app()",
    env: dict[str, str] | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """kind: gunicorn, uvicorn or flask (its development server). settings: of ITLY, laid over those that send to the sink."""
    given = {
        **SETTINGS,
        "ENVIRONMENT": "production",
        "DESTINATIONS": {"amplitude": {"api_key": "AK", "endpoint": sink.amplitude_url}},
        "DELIVERY": {"MODE": "memory"},
        **settings,
    }
    if kind == "gunicorn":
        where = ["--bind", "127.0.0.1:0", "--no-control-socket", "--graceful-timeout", "5"]
        command = ["gunicorn", *where, *options, app]
    elif kind == "uvicorn":
        command = ["uvicorn", "--port", "0", "--lifespan", "off", "--no-access-log", *options, app]
    else:
        command = ["flask", "--app", app, "run", "--port", "0", *options]
    paths = {"PYTHONPATH": f"{package_dir}:{ROOT}", "SITE_ITLY": json.dumps(given)}
    with Server(command, cwd=package_dir, env={**paths, **(env or {})}) as server:
        yield server
