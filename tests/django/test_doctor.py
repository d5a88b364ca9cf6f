"""`manage.py itly_doctor`: what the checks say, and what only somebody who looks around can say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test.utils import override_settings

from sample_projects.local_sink import LocalSink
from tests.django.conftest import SETTINGS, manage, to_sink


def said_of(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the findings but for those of the machine that runs this."""
    capsys.readouterr()
    try:
        call_command("itly_doctor", "--format", "json", *options)
        code = 0
    except SystemExit as exc:
        code = int(exc.code or 0)
    findings = json.loads(capsys.readouterr().out)["findings"]
    return code, [finding for finding in findings if finding["id"] != "W015"]


def ids_of(output: str) -> list[str]:
    return [finding["id"] for finding in json.loads(output)["findings"] if finding["id"] != "W015"]


def test_a_good_site_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(ITLY={**SETTINGS, "ENVIRONMENT": "development"}):
        assert said_of(capsys, "--offline") == (0, [])


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({"ITLY": {"DESTINATION": {}}}, ["E002"]),
        ({"ITLY": {**SETTINGS, "DESTINATIONS": {"console": {}}, "IP": "full"}}, ["W006"]),
        ({"ITLY": {**SETTINGS}}, ["E003"]),
        ({"ITLY": {**SETTINGS, "ENVIRONMENT": "development"}, "MIDDLEWARE": []}, ["W001"]),
        ({"ITLY": {**SETTINGS, "DISABLED": True}}, []),
    ],
    ids=["unknown key", "full addresses", "nowhere to send to", "no middleware", "switched off"],
)
def test_it_says_what_the_checks_say(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], ids: list[str]
) -> None:
    with override_settings(**changes):
        code, findings = said_of(capsys, "--offline")

    assert [finding["id"] for finding in findings] == ids
    assert code == (1 if ids else 0)


def test_what_is_silenced_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"ITLY": {**SETTINGS, "ENVIRONMENT": "development"}, "MIDDLEWARE": []}
    with override_settings(**given, SILENCED_SYSTEM_CHECKS=["itly.W001"]):
        assert said_of(capsys, "--offline") == (0, [])


def test_scenario_11_it_knows_a_host_that_freezes(site_dir: Path, sink: LocalSink, tmp_path: Path) -> None:
    settings = {"DELIVERY": {"MODE": "memory"}}
    looked = manage(
        "itly_doctor", "--format", "json", cwd=site_dir, settings=to_sink(sink, **settings), K_SERVICE="shop"
    )

    assert (looked.returncode, ids_of(looked.stdout)) == (1, ["W008"]), looked.stderr


def test_a_spool_where_nobody_put_it_and_commands_in_the_manner_of_django(
    site_dir: Path, sink: LocalSink, tmp_path: Path
) -> None:
    sink.go_down()
    settings = to_sink(sink, DELIVERY={"SHUTDOWN_TIMEOUT": 0.1})
    call = "import site_events; site_events.seen('user-1', where='shell')"
    assert manage("shell", "-c", call, cwd=tmp_path, settings=settings).returncode == 0
    looked = manage("itly_doctor", "--format", "json", cwd=tmp_path, settings=settings)
    findings = {finding["id"]: finding for finding in json.loads(looked.stdout)["findings"]}

    assert "ITLY['SPOOL_DIR']" in findings["W016"]["hint"]
    assert "python manage.py itly_worker" in findings["W013"]["hint"]
    assert "cannot be reached" in findings["E012"]["message"]
