"""The test site: in this process, where its calls are recorded, or in a server, which sends them to a sink."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from itly_core import codegen, plans
from sample_projects.local_sink import LocalSink
from tests.servers import Server

ROOT = Path(__file__).parents[2]
SITE = ROOT / "tests" / "django_site"
MODULE = "tests.django_site.settings"
SETTINGS: dict[str, Any] = {
    "PACKAGE": "site_events",
    "SOURCES": {"python": str(SITE / "tracking-plan.yaml")},
    "CONTEXT": {"version": "1.0"},
}

# Django can be set up once a process, and its urls import the package: it is made before, here.
_made = TemporaryDirectory(prefix="itly-site-")
SITE_DIR = Path(_made.name)
codegen.write(
    codegen.render(plans.load(SITE / "tracking-plan.yaml", source="python", base=SITE)), SITE_DIR / "site_events"
)
sys.path.insert(0, str(SITE_DIR))
os.environ["DJANGO_SETTINGS_MODULE"] = MODULE

import django  # noqa: E402

django.setup()

from django.apps import apps  # noqa: E402
from django.test import AsyncClient, Client  # noqa: E402

from itly_core.testing import Recorder  # noqa: E402


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """What the site's calls were, in this process."""
    integration = apps.get_app_config("itly_web_django").integration
    found: Recorder = integration.active().client.delivery
    found.clear()
    yield found
    found.clear()


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def async_client() -> AsyncClient:
    return AsyncClient(raise_request_exception=False)


@pytest.fixture
def jane(db: None) -> Any:
    """A user of the site."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user("jane", email="jane@example.org", password="secret")


@pytest.fixture(scope="session")
def site_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers have their database, with one user in it."""
    folder = tmp_path_factory.mktemp("django-site")
    for command in (["migrate", "--verbosity", "0"], ["shell", "--command", CREATE_JANE]):
        result = manage(*command, cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


CREATE_JANE = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_user("jane", password="secret")
"""


def environment(site_dir: Path, settings: Mapping[str, Any] | None = None, **more: str) -> dict[str, str]:
    """For a process of its own: no trace of pytest."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ITLY", "SITE_"))}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": MODULE,
        "PYTHONPATH": f"{SITE_DIR}:{ROOT}",
        "SITE_DIR": str(site_dir),
        "SITE_ITLY": json.dumps({**SETTINGS, **(settings or {})}),
        **more,
    }


def manage(
    *arguments: str, cwd: Path, settings: Mapping[str, Any] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """`manage.py` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=cwd,
        env=environment(cwd, settings, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(code: str, *, cwd: Path, settings: Mapping[str, Any] | None = None, **more: str) -> str:
    """What a script prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(cwd, settings, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def to_sink(sink: LocalSink, **settings: Any) -> dict[str, Any]:
    """Settings of a site in production that sends to the sink."""
    return {
        "ENVIRONMENT": "production",
        "DESTINATIONS": {"amplitude": {"api_key": "AK", "endpoint": sink.amplitude_url}},
        "DELIVERY": {"MODE": "memory", "FLUSH_INTERVAL": 0.2},
        **settings,
    }


@pytest.fixture
def serve(site_dir: Path, sink: LocalSink) -> Callable[..., Any]:
    """Starts the site in a server that sends to `sink`: `with serve("gunicorn", "--workers", "2") as server`."""
    return lambda *arguments, **named: serving(site_dir, sink, *arguments, **named)


@contextmanager
def serving(
    site_dir: Path, sink: LocalSink, kind: str, *options: str, env: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[Server]:
    """kind: gunicorn, uvicorn, daphne or uwsgi. settings: of ITLY, laid over those that send to the sink."""
    if kind == "gunicorn":
        where = ["--bind", "127.0.0.1:0", "--no-control-socket", "--graceful-timeout", "5"]
        command = ["gunicorn", *where, *options, "tests.django_site.wsgi:application"]
    elif kind == "uwsgi":
        program = shutil.which("uwsgi", path=str(Path(sys.executable).parent))
        if program is None:
            pytest.skip("needs uWSGI")
        where = ["--http-socket", "127.0.0.1:0", "--master", "--die-on-term", "--listen", "64"]
        command = [program, *where, *options, "--module", "tests.django_site.wsgi:application"]
    elif kind == "daphne":
        command = ["daphne", "-b", "127.0.0.1", "-p", "0", *options, "tests.django_site.consumers:application"]
    else:
        where = ["--port", "0", "--lifespan", "off", "--no-access-log"]
        command = ["uvicorn", *where, *options, "tests.django_site.asgi:application"]
    given = environment(site_dir, to_sink(sink, **settings), **(env or {}))
    names = ("PYTHONPATH", "SITE_DIR", "SITE_ITLY", "DJANGO_SETTINGS_MODULE", *(env or {}))
    with Server(command, cwd=site_dir, env={name: given[name] for name in names}) as server:
        yield server
