"""`manage.py itly_pull`, and the client in commands, shells and scripts."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from sample_projects.local_sink import LocalSink
from tests.django.conftest import SITE, manage, run, to_sink

NEW = {"PACKAGE": "new_events", "SOURCES": {"python": "plan.yaml"}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose urls import a package that is not generated yet."""
    shutil.copy(SITE / "tracking-plan.yaml", tmp_path / "plan.yaml")
    (tmp_path / "new_urls.py").write_text("import new_events\nurlpatterns = []\n")
    return tmp_path


def pull(project: Path, *arguments: str, **settings: Any) -> Any:
    return manage("itly_pull", *arguments, cwd=project, settings={**NEW, **settings}, SITE_URLS="new_urls")


def test_scenario_51_pull_works_before_the_package_that_urls_import_exists(project: Path) -> None:
    assert manage("check", cwd=project, settings=NEW, SITE_URLS="new_urls").returncode != 0

    result = pull(project, "python")

    assert (result.returncode, result.stderr) == (0, "")
    assert (project / "new_events" / "_plan.json").is_file()
    assert manage("check", cwd=project, settings=NEW, SITE_URLS="new_urls").returncode == 0


def test_scenario_51_pull_repairs_a_package_that_cannot_be_imported(project: Path) -> None:
    pull(project, "python")
    (project / "new_events" / "__init__.py").write_text("def (")

    assert pull(project, "python").returncode == 0
    assert pull(project, "python", "--check").returncode == 0


def test_events_that_no_code_sends_are_a_warning_when_deploying(project: Path) -> None:
    def check(*options: str) -> str:
        arguments = ("check", *options, "--tag", "itly_usage")
        return manage(*arguments, cwd=project, settings=NEW, SITE_URLS="new_urls").stderr

    assert "W010" not in check("--deploy")  # nothing is pulled yet, which other checks say
    pull(project, "python")
    assert "(itly.W010) No code sends 'Seen', which the tracking plan has." in check("--deploy")
    assert "W010" not in check()
    (project / "views.py").write_text("import new_events\n\ndef view(request):\n    new_events.seen(where='x')\n")
    assert "W010" not in check("--deploy")


def test_pull_has_the_exit_codes_of_all_spellings(project: Path) -> None:
    assert pull(project, "python", "--check").returncode == 4
    assert pull(project, "pyhton").returncode == 2
    assert pull(project, "--plan", "missing.yaml").returncode == 2
    assert pull(project, "--plan", "http://127.0.0.1:1/plan.yaml").returncode == 3
    assert not (project / "new_events").exists()


def test_an_unknown_source_is_named_with_the_nearest(project: Path) -> None:
    result = pull(project, "pyhton")

    assert "CommandError: " in result.stderr
    assert "did you mean 'python'?" in result.stderr
    assert "ITLY['SOURCES']" in result.stderr


def test_a_wrong_setting_elsewhere_does_not_stop_a_pull(project: Path) -> None:
    result = pull(project, "python", DESTINATIONS={"amplitude": {}}, LOGGER="shop.views.logger", NOPE=1)

    assert result.returncode == 0


def test_a_wrong_setting_that_a_pull_needs_is_named(project: Path) -> None:
    result = pull(project, "python", PACKAGE="new-events")

    assert result.returncode == 2
    assert "ITLY['PACKAGE'] must be the import name of a package, got 'new-events'" in result.stderr


def test_options_are_those_of_every_spelling(project: Path) -> None:
    result = pull(project, "--help")

    for option in ("--plan", "--path", "--check", "--dry-run", "--offline", "--format {text,json}"):
        assert option in result.stdout


def test_json_goes_to_standard_output(project: Path) -> None:
    result = pull(project, "python", "--dry-run", "--format", "json")

    assert json.loads(result.stdout)["plan"]["name"] == "Site"
    assert not (project / "new_events").exists()


def test_call_command_takes_options_by_name_and_writes_where_it_is_told(project: Path) -> None:
    out = io.StringIO()
    with override_settings(ITLY=NEW, BASE_DIR=project):
        call_command("itly_pull", "python", path=str(project / "elsewhere"), format="json", stdout=out)
        with pytest.raises(CommandError) as caught:
            call_command("itly_pull", "ruby", stdout=out)

    assert json.loads(out.getvalue())["ok"]
    assert (project / "elsewhere" / "_plan.json").is_file()
    assert caught.value.returncode == 2


def test_call_command_leaves_with_4_where_the_package_is_stale(project: Path) -> None:
    with override_settings(ITLY=NEW, BASE_DIR=project), pytest.raises(SystemExit) as caught:
        call_command("itly_pull", "python", check=True, stdout=io.StringIO())

    assert caught.value.code == 4


CALL = """
import django; django.setup()
import site_events
{body}
"""


def test_scenario_44_a_script_sends_and_is_drained_at_its_end(tmp_path: Path, sink: LocalSink) -> None:
    run(CALL.format(body="site_events.seen('user-1', where='script')"), cwd=tmp_path, settings=to_sink(sink))

    (event,) = sink.events()
    assert event["event_properties"]["where"] == "script"


def test_scenario_44_a_management_command_sends(tmp_path: Path, sink: LocalSink) -> None:
    code = "import site_events; site_events.seen('user-1', where='shell')"
    result = manage("shell", "--command", code, cwd=tmp_path, settings=to_sink(sink))

    assert result.returncode == 0, result.stderr
    assert [event["event_properties"]["where"] for event in sink.events()] == ["shell"]


@pytest.mark.parametrize(
    "body",
    [
        "from django.test import Client; Client(headers={'host': 'localhost'}).get('/seen/sent/')",
        "from django.test.utils import override_settings\n"
        "with override_settings(TIME_ZONE='UTC'): site_events.seen('user-1', where='sent')",
        "from django.test.utils import setup_test_environment; setup_test_environment()\n"
        "from django.test import Client; Client().get('/seen/sent/')",
    ],
    ids=["test client", "override_settings", "setup_test_environment"],
)
def test_scenario_53_a_script_that_uses_test_tools_sends(tmp_path: Path, sink: LocalSink, body: str) -> None:
    run(CALL.format(body=body), cwd=tmp_path, settings=to_sink(sink))

    assert [event["event_properties"]["where"] for event in sink.events()] == ["sent"]


TESTS = """
from django.test import TestCase
from itly_web.django.testing import ItlyTestMixin

class ShopTests(ItlyTestMixin, TestCase):
    def test_tracked(self):
        self.client.get("/seen/door/")
        call = self.assertTracked("Seen", user_id="user-1", where="door")
        assert call.context["path"] == "/seen/door/"

    def test_starts_with_nothing(self):
        self.assertNothingTracked()
        self.assertNotTracked("Seen")

    def test_tells_what_there_was(self):
        self.client.get("/seen/door/")
        with self.assertRaisesRegex(AssertionError, r"(?s)'Seen' was not tracked with .*'where': 'window'.*'where': 'door'"):
            self.assertTracked("Seen", where="window")
        with self.assertRaisesRegex(AssertionError, "'Seen' was tracked"):
            self.assertNotTracked("Seen")
        with self.assertRaisesRegex(AssertionError, "Recorded:"):
            self.assertNothingTracked()

    def test_a_call_that_breaks_the_plan_is_a_failure(self):
        self.client.get("/invalid/")
        with self.assertRaisesRegex(AssertionError, "breaks the plan: where: "):
            self.assertTracked("Seen")
"""


@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")], ids=["serial", "parallel"])
def test_scenario_53_56_the_test_runner_records_and_never_sends(
    tmp_path: Path, sink: LocalSink, parallel: tuple[str, ...]
) -> None:
    for name in ("test_shop.py", "test_more.py"):
        (tmp_path / name).write_text(TESTS)
    result = manage("test", *parallel, cwd=tmp_path, settings=to_sink(sink))

    assert result.returncode == 0, result.stderr
    assert "Ran 8 tests" in result.stderr
    assert sink.count() == 0


def test_scenario_53_tests_need_no_vendor_key(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(TESTS)
    result = manage("test", cwd=tmp_path, settings={"DESTINATIONS": {"amplitude": {"api_key": ""}}})

    assert result.returncode == 0, result.stderr


def test_scenario_53_a_runner_of_ones_own_built_on_djangos_records(tmp_path: Path, sink: LocalSink) -> None:
    (tmp_path / "test_shop.py").write_text(TESTS)
    code = """
import sys
import django; django.setup()
from django.conf import settings
from django.test.utils import get_runner
sys.exit(bool(get_runner(settings)(verbosity=0).run_tests(["."])))
"""
    run(code, cwd=tmp_path, settings=to_sink(sink))

    assert sink.count() == 0


def test_scenario_45_a_call_before_django_is_set_up_says_what_to_do(tmp_path: Path) -> None:
    code = """
import site_events
try:
    site_events.seen("user-1", where="too early")
except site_events.NotLoaded as exc:
    print(exc)
"""
    assert "load" in run(code, cwd=tmp_path)


def test_a_wrong_setting_stops_the_server_at_its_start(tmp_path: Path) -> None:
    code = """
from itly_core.errors import ConfigError
try:
    from tests.django_site.wsgi import application
except ConfigError as exc:
    print(exc)
"""
    text = run(code, cwd=tmp_path, settings={"FLUSH": "always", "ENVIROMENT": "x"})

    assert text.splitlines() == [
        "ITLY['FLUSH'] must be one of 'after_response', 'before_response', got 'always'",
        "ITLY['ENVIROMENT'] is not a setting; did you mean 'ENVIRONMENT'?",
    ]


def test_a_site_without_the_package_starts(tmp_path: Path) -> None:
    code = "from tests.django_site.wsgi import application; print('up')"

    assert run(code, cwd=tmp_path, settings={"PACKAGE": "not_pulled_yet"}) == "up\n"


def test_nothing_is_opened_by_setting_up(tmp_path: Path) -> None:
    code = """
import os, threading
before = set(os.listdir("/proc/self/fd"))
from tests.django_site.wsgi import application
import sys
print(threading.active_count(), set(os.listdir("/proc/self/fd")) <= before | {"3", "4"})
print([name for name in ("yaml", "click", "rich", "itly_core.plans", "itly_core.codegen") if name in sys.modules])
"""
    assert run(code, cwd=tmp_path).splitlines() == ["1 True", "[]"]


def test_scenario_54_a_script_that_overrides_settings_loses_nothing(tmp_path: Path, sink: LocalSink) -> None:
    body = """
from django.conf import settings
from django.test.utils import override_settings
site_events.seen("user-1", where="before")
with override_settings(ITLY={**settings.ITLY, "CONTEXT": {"version": "2.0"}}):
    site_events.seen("user-1", where="inside")
site_events.seen("user-1", where="after")
"""
    run(CALL.format(body=body), cwd=tmp_path, settings=to_sink(sink))

    found = {event["event_properties"]["where"]: event["event_properties"]["version"] for event in sink.events()}
    assert found == {"before": "1.0", "inside": "2.0", "after": "1.0"}
