"""What README shows is what happens: its files are written, its commands run, and what it says they give is compared."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from sample_projects.local_sink import LocalSink
from tests.docs.snippets import ROOT, Snippet, snippets
from tests.servers import Server

README = snippets("README.md")
FILES = {snippet.file: snippet.text for snippet in README if snippet.file}
COMMANDS = {command: output for snippet in README for command, output in snippet.commands}
ARRIVALS = [json.loads(snippet.text) for snippet in README if snippet.language == "json"]
PLAN = "tracking-plan.yaml"

# The seed's own example, word for word.
SEED = """
import itly
itly.load(itly.Options(context=itly.Context(version="1.0"), logger=SampleLogger(), destinations=itly.DestinationsOptions(custom=itly.CustomOptions(adapter=CustomDestination()))))
itly.process_started("some-user-id", available_processors=4)
"""

# What a Django project has besides: a route to the view, and a way in.
URLS = """
from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from mysite import views

def enter(request):
    login(request, get_user_model().objects.get_or_create(pk=7, username="seven")[0])
    return HttpResponse()

urlpatterns += [path("checkout/", views.checkout), path("enter/", enter)]
"""


def run(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command as README writes it, in a process that knows nothing of this test run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_", "ITLY"))}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        shlex.split(command),
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def succeeds(command: str, folder: Path, **env: str) -> str:
    done = run(command, folder, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder: Path, *files: str) -> None:
    """README's files. Its settings come at the end of those that are there."""
    for file in files:
        target = folder / file
        target.parent.mkdir(exist_ok=True)
        before = target.read_text("utf-8") if file == "mysite/settings.py" else ""
        target.write_text(before + FILES[file], "utf-8")


def agrees(shown: Any, got: Any, path: str = "") -> None:
    """The same keys and values; of ids and times, which are new every time, the same form."""
    if isinstance(shown, dict):
        assert sorted(shown) == sorted(got), path
        for name in shown:
            agrees(shown[name], got[name], f"{path}.{name}")
    elif path in (".insert_id", ".messageId", ".anonymousId", ".time", ".timestamp"):
        assert re.sub(r"[0-9a-f]", "0", str(shown)) == re.sub(r"[0-9a-f]", "0", str(got)), path
    else:
        assert shown == got, path


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with README's plan and the package of it."""
    folder = tmp_path_factory.mktemp("readme")
    write(folder, PLAN)
    succeeds(f"python -m itly_core pull --plan {PLAN}", folder)
    return folder


@pytest.fixture(scope="session")
def django_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new Django project with what README adds to one."""
    folder = tmp_path_factory.mktemp("readme-django")
    succeeds("django-admin startproject mysite .", folder)
    write(folder, PLAN, "mysite/settings.py", "mysite/views.py", "mysite/tests.py")
    with (folder / "mysite" / "urls.py").open("a", encoding="utf-8") as urls:
        urls.write(URLS)
    return folder


@pytest.fixture(scope="session")
def pulled_in_django(django_project: Path) -> str:
    """What pulling printed."""
    return succeeds("python manage.py itly_pull python", django_project)


@pytest.fixture(scope="session")
def flask_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme-flask")
    write(folder, PLAN, "app.py", "test_app.py")
    succeeds(f"flask itly pull --plan {PLAN}", folder)
    return folder


def test_every_file_and_command_is_used_here() -> None:
    assert set(FILES) == {
        *(PLAN, "mysite/settings.py", "mysite/views.py", "mysite/tests.py"),
        *("app.py", "test_app.py", "worker.py", "calls.py", "broken.py", "test_worker.py"),
    }
    assert set(COMMANDS) == {
        *("python manage.py itly_pull python", f"flask itly pull --plan {PLAN}"),
        *("python worker.py", "python broken.py"),
    }
    assert [
        snippet.language for snippet in README if not snippet.file and snippet.language not in ("console", "json")
    ] == [
        "sh",
        "sh",
    ]


@pytest.mark.parametrize("snippet", [snippet for snippet in README if snippet.language == "sh"], ids=str)
def test_a_make_target_exists(snippet: Snippet) -> None:
    succeeds(f"{snippet.text.strip()} --dry-run", ROOT)


def test_the_django_package_is_pulled_and_the_settings_pass_the_checks(
    django_project: Path, pulled_in_django: str
) -> None:
    assert pulled_in_django.strip() == COMMANDS["python manage.py itly_pull python"].strip()
    succeeds("python manage.py check --fail-level WARNING", django_project)


def test_what_a_django_view_sends_arrives_as_shown(
    django_project: Path, pulled_in_django: str, sink: LocalSink, tmp_path: Path
) -> None:
    settings = "from mysite.settings import *\nfrom os import environ\n" + (
        'ITLY["DESTINATIONS"]["amplitude"]["endpoint"] = environ["ENDPOINT"]\nITLY["SPOOL_DIR"] = environ["SPOOL"]\n'
    )
    (django_project / "mysite" / "to_the_sink.py").write_text(settings, "utf-8")
    env = {
        "DJANGO_SETTINGS_MODULE": "mysite.to_the_sink",
        "ENDPOINT": sink.amplitude_url,
        "SPOOL": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    succeeds("python manage.py migrate -v0", django_project, **env)
    command = ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "mysite.wsgi"]
    with Server(command, cwd=django_project, env=env) as server, requests.Session() as browser:
        browser.headers["User-Agent"] = "Mozilla/5.0"
        browser.get(f"{server.url}/enter/", timeout=20).raise_for_status()
        assert browser.get(f"{server.url}/checkout/", timeout=20).text == "Thank you"
        (event,) = sink.wait_for(1)

    agrees(ARRIVALS[0], event)


def test_the_tests_of_a_django_site_pass(django_project: Path, pulled_in_django: str) -> None:
    done = run("python manage.py test", django_project)

    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


def test_what_a_flask_view_sends_arrives_as_shown(flask_project: Path, sink: LocalSink, tmp_path: Path) -> None:
    (flask_project / "to_the_sink.py").write_text(
        FILES["app.py"].replace('"your key"', f'"your key", "endpoint": {sink.segment_url!r}'), "utf-8"
    )
    env = {"PYTHONPATH": str(ROOT), "FLASK_ITLY_SPOOL_DIR": str(tmp_path)}
    with Server(["flask", "--app", "to_the_sink", "run", "--port", "0"], cwd=flask_project, env=env) as server:
        answer = requests.get(f"{server.url}/checkout", headers={"User-Agent": "Mozilla/5.0"}, timeout=20)
        assert answer.text == "Thank you"
        (message,) = sink.wait_for(1)

    agrees(ARRIVALS[1], message)


def test_the_tests_of_a_flask_app_pass(flask_project: Path) -> None:
    assert "1 passed" in succeeds("python -m pytest -q -p no:cacheprovider test_app.py", flask_project)


def test_the_pytest_fixture_records(package: Path) -> None:
    write(package, "test_worker.py")

    assert "1 passed" in succeeds("python -m pytest -q -p no:cacheprovider test_worker.py", package)


def test_a_script_prints_what_is_shown(package: Path) -> None:
    write(package, "worker.py")

    assert succeeds("python worker.py", package).strip() == COMMANDS["python worker.py"].strip()


def test_every_kind_of_call_is_accepted(package: Path) -> None:
    write(package, "calls.py")
    printed = succeeds("python calls.py", package).splitlines()

    kinds = [line.split()[1] for line in printed]
    assert kinds == ["identify", "group", "page", "alias", "track", "track", "track"]
    assert "INVALID" not in "".join(printed)


def test_a_broken_call_raises_what_is_shown(package: Path) -> None:
    write(package, "broken.py")
    done = run("python broken.py", package)

    assert done.returncode == 1
    assert done.stderr.endswith(COMMANDS["python broken.py"])


def test_the_seeds_own_example_works_word_for_word(package: Path) -> None:
    shown = FILES["worker.py"]
    for line in SEED.strip().splitlines():
        assert "".join(line.split()) in "".join(shown.split())
    classes = shown[shown.index("class SampleLogger") : shown.index("itly.load")]
    (package / "seed.py").write_text(classes + SEED, "utf-8")

    assert succeeds("python seed.py", package).strip() == COMMANDS["python worker.py"].strip()


def test_what_breaks_the_plan_is_found_by_a_type_checker(package: Path) -> None:
    write(package, "broken.py", "calls.py")
    environment: Mapping[str, str] = {"MYPYPATH": str(package)}
    broken = run("python -m mypy --strict --cache-dir=/dev/null broken.py", package, **environment)
    right = run("python -m mypy --strict --cache-dir=/dev/null calls.py", package, **environment)

    assert 'Argument "items"' in broken.stdout
    assert right.returncode == 0, right.stdout
