"""`manage.py check`: every misconfiguration has an id, a sentence and a hint."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.test.utils import override_settings

from itly_web.django.middleware import ItlyMiddleware
from tests.django.conftest import SETTINGS, SITE, SITE_DIR, manage


class Subclass(ItlyMiddleware):
    """A site's own, which is as good."""


OURS = "itly_web.django.middleware.ItlyMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


def found(deploy: bool = False) -> list[tuple[str, str]]:
    return [
        (message.id or "", message.msg)
        for message in checks.run_checks(tags=["itly"], include_deployment_checks=deploy)
    ]


def ids(deploy: bool = False) -> list[str]:
    return [name for name, _ in found(deploy)]


def with_itly(**given: Any) -> Any:
    return override_settings(ITLY={**SETTINGS, **given})


def test_a_good_site_passes() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("given", "name", "text"),
    [
        ([], "itly.E001", "ITLY must be a dict, got a value of type list"),
        ({"DESTINATION": {}}, "itly.E002", "did you mean 'DESTINATIONS'?"),
        ({"DESTINATIONS": {"segmnt": {}}}, "itly.E002", "did you mean 'segment'?"),
        ({"FLUSH": "always"}, "itly.E004", "ITLY['FLUSH'] must be one of"),
        ({"LOGGER": "no.such.Logger"}, "itly.E004", "cannot be imported"),
        ({"DESTINATIONS": {"amplitude": {}}}, "itly.E004", "['api_key'] is missing"),
    ],
)
def test_a_wrong_setting_is_an_error(given: Any, name: str, text: str) -> None:
    with override_settings(ITLY=given):
        messages = [item for item in found() if item[0] in ("itly.E001", "itly.E002", "itly.E004")]

    ((got, message),) = messages
    assert (got, text in message) == (name, True), message


def test_every_message_has_a_hint() -> None:
    with override_settings(ITLY={"FLUSH": 1, "NOPE": 2}, MIDDLEWARE=[]):
        assert all(message.hint for message in checks.run_checks(tags=["itly"]))


def test_everything_wrong_is_reported_at_once() -> None:
    with override_settings(ITLY={"FLUSH": 1, "NOPE": 2, "IP": "x"}, MIDDLEWARE=[SESSION, AUTH, OURS]):
        assert ids() == ["itly.E004", "itly.E002", "itly.E004"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["itly.E003"]),
        ({"ENVIRONMENT": "development"}, []),
        ({"DISABLED": True}, []),
        ({"DESTINATIONS": {"console": {}}}, []),
        ({"DESTINATIONS": {"all": {"disabled": True}, "console": {}}}, ["itly.E003"]),
    ],
)
def test_production_without_a_destination_is_an_error_when_deploying(given: Any, expected: list[str]) -> None:
    with with_itly(**given):
        assert [name for name in ids(deploy=True) if name == "itly.E003"] == expected
        assert "itly.E003" not in ids()


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ([SESSION, AUTH, OURS], []),
        ([SESSION, AUTH, "tests.django.test_checks.Subclass"], []),
        ([SESSION, AUTH], ["itly.W001"]),
        ([OURS, SESSION, AUTH], ["itly.W002"]),
        ([OURS], []),
        ([SESSION, AUTH, OURS, OURS], ["itly.W003"]),
        ([OURS, SESSION, AUTH, OURS], ["itly.W002", "itly.W003"]),
    ],
)
def test_scenario_38_the_middlewares_place_is_checked(middleware: list[str], expected: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        assert ids() == expected


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        ({}, {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, ["itly.W005"]),
        ({}, {"USE_X_FORWARDED_HOST": True}, ["itly.W005"]),
        ({"TRUSTED_PROXIES": 1}, {"USE_X_FORWARDED_HOST": True}, []),
        ({"IP": "off"}, {"USE_X_FORWARDED_HOST": True}, []),
    ],
)
def test_a_proxy_nobody_mentioned_is_a_warning(given: Any, settings: Any, expected: list[str]) -> None:
    with with_itly(**given), override_settings(**settings):
        assert ids() == expected


@pytest.mark.parametrize(("environment", "level"), [("development", checks.WARNING), ("production", checks.ERROR)])
def test_scenario_51_a_missing_package_is_an_error_in_production(environment: str, level: int) -> None:
    with override_settings(ITLY={"PACKAGE": "not_pulled_yet", "ENVIRONMENT": environment}):
        (message,) = checks.run_checks(tags=["itly"])

    assert (message.id, message.level) == ("itly.E007", level)
    assert "itly_pull" in (message.hint or "")


def test_scenario_51_something_else_of_that_name_is_an_error() -> None:
    with override_settings(ITLY={"PACKAGE": "json"}):
        ((name, text),) = found()

    assert name == "itly.E008"
    assert "json" in text


def test_scenario_51_a_package_that_is_not_what_its_source_gives_is_stale(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text((SITE / "tracking-plan.yaml").read_text().replace("minimum: 0", "minimum: 1"))
    with with_itly(SOURCES={"python": str(plan)}):
        ((name, text),) = found()

    assert name == "itly.E006"
    assert "__init__.py is stale" in text


def test_scenario_51_a_package_edited_by_hand_is_stale(tmp_path: Path) -> None:
    shutil.copytree(SITE_DIR / "site_events", tmp_path / "site_events")
    with (tmp_path / "site_events" / "__init__.py").open("a") as file:
        file.write("\n# edited\n")
    result = manage("check", "--tag", "itly", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{SITE.parents[1]}")

    assert "(itly.E006)" in result.stderr
    assert "__init__.py is edited" in result.stderr


def test_a_source_that_is_not_deployed_is_not_checked(tmp_path: Path) -> None:
    with with_itly(SOURCES={"python": str(tmp_path / "not-here.yaml")}):
        assert found() == []


def test_a_source_behind_an_address_is_not_asked() -> None:
    with with_itly(SOURCES={"python": "https://plans.invalid/plan.yaml"}):
        assert found() == []


def test_a_source_that_is_no_plan_is_an_error(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("itly: 1\nevents: [")
    with with_itly(SOURCES={"python": str(plan)}):
        assert ids() == ["itly.E005"]


def test_a_broken_package_is_an_error(tmp_path: Path) -> None:
    package = tmp_path / "broken_events"
    package.mkdir()
    (package / "__init__.py").write_text("def (")
    result = manage(
        "check", "--tag", "itly", cwd=tmp_path, settings={"PACKAGE": "broken_events"},
        PYTHONPATH=f"{tmp_path}:{SITE_DIR}:{SITE.parents[1]}",
    )  # fmt: skip

    assert "(itly.E005)" in result.stderr
    assert "SyntaxError" in result.stderr


def test_a_disabled_site_is_checked_for_its_settings_only() -> None:
    with override_settings(ITLY={"DISABLED": True, "PACKAGE": "nowhere"}, MIDDLEWARE=[]):
        assert found() == []


def test_check_runs_without_opening_anything_and_exits_1_on_an_error(tmp_path: Path) -> None:
    result = manage("check", cwd=tmp_path, settings={"ENVIROMENT": "production"})

    assert result.returncode == 1
    assert "(itly.E002) ITLY['ENVIROMENT'] is not a setting; did you mean 'ENVIRONMENT'?" in result.stderr
    assert not [name.name for name in tmp_path.iterdir() if "itly" in name.name]


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_context_that_breaks_the_plan_is_an_error(environment: str) -> None:
    with with_itly(ENVIRONMENT=environment, CONTEXT={"versoin": "1.0"}):
        ((name, message),) = found()

    assert name == "itly.E009"
    assert "version: is required and missing; versoin: is not in the plan" in message


def test_a_spool_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    destinations = {"segment": {"write_key": "WK"}}
    with with_itly(DESTINATIONS=destinations, SPOOL_DIR=tmp_path / "file" / "spool"):
        ((name, message),) = found()
    with with_itly(DESTINATIONS=destinations, SPOOL_DIR=tmp_path / "not yet" / "spool"):
        assert found() == []

    assert name == "itly.W007"
    assert "kept in memory" in message
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_importing_a_package_that_is_not_there_yet_says_how_to_make_it() -> None:
    with with_itly(PACKAGE="not_there_yet"), pytest.raises(ModuleNotFoundError, match=r"python manage\.py itly_pull"):
        importlib.import_module("not_there_yet")
