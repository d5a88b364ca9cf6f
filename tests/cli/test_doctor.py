"""`itly doctor` on real things: packages on disk, spools with history, servers that run, ports that are closed."""

from __future__ import annotations

import importlib
import itertools
import json
import logging
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from itly_core import codegen, plans
from itly_core.cli import main
from itly_core.delivery.state import STATE_FILE
from itly_core.examination import running_servers, why_unreachable
from itly_core.package import Package
from itly_core.project import project_from_pyproject
from itly_core.settings import PythonLogger
from sample_projects.local_sink import LocalSink
from tests.servers import Process, Server

PLAN = (
    "itly: 1\nplan: {name: Shop, version: 1.0.0, source: python}\nevents: {Seen: {properties: {n: {type: integer}}}}\n"
)
Doctor = Callable[..., dict[str, Any]]
_numbers = itertools.count()


class Shop:
    """A project in production, with a package and a spool. Settings are the tables of its pyproject.toml."""

    def __init__(self, folder: Path, sink: LocalSink) -> None:
        self.folder = folder
        self.name = f"doctors_shop_{next(_numbers)}"
        self.settings: dict[str, Any] = {
            "package": self.name,
            "environment": "production",
            "spool_dir": "spool",
            "sources": {"python": "plan.yaml"},
            "destinations": {"amplitude": {"api_key": "key", "endpoint": sink.amplitude_url}},
            "delivery": {"flush_interval": 0.1},
        }
        (folder / "plan.yaml").write_text(PLAN)
        self.generate()
        self.set()

    def generate(self) -> None:
        found = plans.load(self.folder / "plan.yaml", source="python", base=self.folder)
        codegen.write(codegen.render(found), self.folder / self.name)

    def set(self, **settings: Any) -> None:
        """Write these settings, over those that are there; None takes one away."""
        self.settings = {key: value for key, value in {**self.settings, **settings}.items() if value is not None}
        tables = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items() if not isinstance(value, dict)]
        for key, value in self.settings.items():
            if isinstance(value, dict):
                plain = {name: inner for name, inner in value.items() if not isinstance(inner, dict)}
                tables += [f"[tool.itly.{key}]", *(f"{name} = {json.dumps(inner)}" for name, inner in plain.items())]
                for name, inner in value.items():
                    if isinstance(inner, dict):
                        tables += [f"[tool.itly.{key}.{name}]"]
                        tables += [f"{field} = {json.dumps(content)}" for field, content in inner.items()]
        (self.folder / "pyproject.toml").write_text("\n".join(["[tool.itly]", *tables]) + "\n")

    def client(self) -> Any:
        package: Package = importlib.import_module(self.name)._package
        options = project_from_pyproject(self.folder).options()
        return package.start(replace(options, logger=PythonLogger(logging.getLogger(self.name))))


@pytest.fixture
def shop(tmp_path: Path, sink: LocalSink, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return Shop(tmp_path, sink)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """What the doctor says as JSON, {id: message} of it in `ids`; disk and user of the machine that runs this left out."""

    def look(*argv: str) -> dict[str, Any]:
        code = main(["doctor", "--format", "json", *argv])
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert said["exit_code"] == code
        of_this_machine = ("W015",)
        return {**said, "ids": {f["id"]: f["message"] for f in said["findings"] if f["id"] not in of_this_machine}}

    return look


def test_a_project_in_order_has_no_findings(
    shop: Shop, doctor: Doctor, sink: LocalSink, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.set(environment="development")
    client = shop.client()
    client.event("Seen", "user-1", {"n": 1})
    sink.wait_for(1)
    said = doctor()
    client.shutdown(5.0)

    assert (said["ok"], said["exit_code"], said["findings"]) == (True, 0, [])
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "Nothing found.\n"


def test_looking_sends_nothing_and_changes_nothing(shop: Shop, doctor: Doctor, sink: LocalSink) -> None:
    before = sorted(shop.folder.rglob("*"))
    doctor()

    assert sink.requests == []
    assert [path for path in sorted(shop.folder.rglob("*")) if "__pycache__" not in str(path)] == before


def test_no_package_and_a_stale_one(shop: Shop, doctor: Doctor) -> None:
    (shop.folder / "plan.yaml").write_text(PLAN.replace("Seen", "Looked At"))
    assert "is stale" in doctor()["ids"]["E006"]

    shop.set(package="not_there")
    assert "not_there" in doctor()["ids"]["E007"]


def test_a_package_edited_by_hand_or_hidden(shop: Shop, doctor: Doctor) -> None:
    with (shop.folder / shop.name / "__init__.py").open("a") as file:
        file.write("# mine\n")
    assert "E006" in doctor()["ids"]

    (shop.folder / "hides_it.py").write_text("")
    shop.set(package="hides_it")
    assert "E008" in doctor()["ids"]


def test_production_without_a_destination_or_without_its_key(shop: Shop, doctor: Doctor) -> None:
    shop.set(destinations={"amplitude": {"api_key": ""}})
    assert "api_key" in doctor()["ids"]["E004"]

    shop.set(destinations=None)
    assert "nowhere" in doctor()["ids"]["E003"]


def test_a_setting_that_cannot_be_read_is_the_finding(shop: Shop, doctor: Doctor) -> None:
    shop.set(delivery={"mode": "disk"})

    said = doctor()

    assert "disk" in said["ids"]["E004"]
    assert said["exit_code"] == 1


def test_a_file_that_cannot_be_read_exits_2(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    (shop.folder / "pyproject.toml").write_text("[tool.itly")

    assert main(["doctor"]) == 2


def test_a_vendor_that_cannot_be_reached_unless_nobody_asks(shop: Shop, doctor: Doctor, sink: LocalSink) -> None:
    sink.go_down()

    assert "cannot be reached" in doctor()["ids"]["E012"]
    assert "E012" not in doctor("--offline")["ids"]


def test_a_vendor_that_speaks_no_tls_is_not_reached(sink: LocalSink) -> None:
    assert why_unreachable(sink.amplitude_url) == ""
    assert "SSL" in why_unreachable(sink.amplitude_url.replace("http://", "https://"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "refused" in why_unreachable(f"http://127.0.0.1:{unused.getsockname()[1]}/")


def test_a_held_lane_and_dead_letters_most_severe_first(
    shop: Shop, doctor: Doctor, sink: LocalSink, capsys: pytest.CaptureFixture[str]
) -> None:
    sink.script(match={"event_properties": {"n": 1}})
    client = shop.client()
    for number in (1, 2):
        client.event("Seen", "user-1", {"n": number})
    sink.wait_for(1)
    sink.script(status=401)
    client.event("Seen", "user-1", {"n": 3})
    try:
        wait_until(lambda: "E011" in doctor()["ids"])
        said = doctor()
        main(["doctor"])
        text = capsys.readouterr().out
    finally:
        client.shutdown(0.1)

    assert "HTTP 401" in said["ids"]["E011"]
    assert "refused 1 calls" in said["ids"]["W012"]
    severities = [finding["severity"] for finding in said["findings"]]
    assert severities == sorted(severities)  # errors before warnings
    assert text.index("E011") < text.index("W012")
    assert "1 error, " in text.splitlines()[-1]
    assert "key" not in text.replace("Check its key", "")


def test_a_spool_others_can_read_that_nobody_ships(shop: Shop, doctor: Doctor, sink: LocalSink) -> None:
    sink.go_down()
    client = shop.client()
    client.event("Seen", "user-1", {"n": 1})
    client.shutdown(0.1)
    (shop.folder / "spool").chmod(0o755)

    ids = doctor("--offline")["ids"]

    assert "no process ships" in ids["W013"]
    assert "755" in ids["W014"]


def test_a_spool_of_another_project(shop: Shop, doctor: Doctor) -> None:
    client = shop.client()
    client.event("Seen", "user-1", {"n": 1})
    client.shutdown(5.0)
    (shop.folder / "plan.yaml").write_text(PLAN.replace("Shop", "Blog"))
    shop.name = shop.settings["package"] = f"{shop.name}_blog"
    shop.generate()
    shop.set()

    assert "belongs to the plan 'Shop'" in doctor()["ids"]["W007"]


def test_a_state_of_a_later_version(shop: Shop, doctor: Doctor) -> None:
    client = shop.client()
    client.event("Seen", "user-1", {"n": 1})
    client.shutdown(5.0)
    with sqlite3.connect(shop.folder / "spool" / STATE_FILE) as state:
        state.execute("PRAGMA user_version = 999")
    state.close()

    assert "E013" in doctor()["ids"]


APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_memory_in_a_server_of_many_processes(shop: Shop, doctor: Doctor) -> None:
    (shop.folder / "app.py").write_text(APP)
    shop.set(delivery={"mode": "memory"})
    command = ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--workers", "2", "app:application"]
    with Server(command, cwd=shop.folder) as server:
        server.wait_for_lines("Booting worker", 2)
        ids = doctor()["ids"]

    assert "gunicorn (2)" in ids["W011"]


def test_scenario_5_a_uwsgi_that_runs_without_threads(shop: Shop, doctor: Doctor) -> None:
    program = Path(sys.executable).with_name("uwsgi")
    if not program.exists():
        pytest.skip("needs uWSGI")
    (shop.folder / "app.py").write_text(APP)
    ini = "[uwsgi]\nhttp-socket = 127.0.0.1:0\nmaster = true\nprocesses = 2\nmodule = app:application\ndie-on-term = true\n"
    (shop.folder / "shop.ini").write_text(ini)
    with Process([str(program), "--ini", "shop.ini"], cwd=shop.folder) as process:
        process.wait_for_lines("spawned uWSGI worker", 2)
        (server,) = running_servers(shop.folder)
        said = doctor()

    assert (server.kind, server.processes) == ("uwsgi", 2)
    assert len([finding for finding in said["findings"] if finding["id"] == "W004"]) == 2


def test_what_is_switched_off_is_not_looked_at(shop: Shop, doctor: Doctor, sink: LocalSink) -> None:
    shop.set(destinations={"all": {"disabled": True}})
    sink.go_down()

    assert set(doctor()["ids"]) <= {"E003"}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Asks until it is; each asking takes a while by itself."""
    until_s = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < until_s, "it never came to that"
