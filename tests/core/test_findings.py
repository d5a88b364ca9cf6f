"""What the doctor makes of facts: each misfortune is one finding, with its id, what it means and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from itly_core import AmplitudeOptions, DestinationsOptions, Environment, Options
from itly_core.delivery.survey import Survey
from itly_core.findings import (
    Endpoint,
    Finding,
    ProcessRow,
    Server,
    SpoolFacts,
    Words,
    destination_findings,
    endpoint_findings,
    error,
    greenlet_findings,
    kind_of_server,
    most_severe_first,
    server_findings,
    servers_in,
    spool_findings,
    uwsgi_options,
    warning,
)

WORDS = Words()
ROW: Mapping[str, Any] = {
    "queued": 0, "parked": 0, "in_flight": 0, "dead": 0, "state": "ok", "reason": "", "oldest_age": None,
}  # fmt: skip
GOOD = SpoolFacts(
    directory=Path("/var/spool/shop"),
    is_chosen=True,
    mode=0o700,
    owner="shop",
    user="shop",
    kind="ext4",
    room=1 << 30,
    max_bytes=1 << 30,
    max_age_s=259200.0,
    survey=Survey(exists=True, shipper=7, destinations={"amplitude": ROW}),
)


def with_lane(**changes: Any) -> SpoolFacts:
    return replace(GOOD, survey=replace(GOOD.survey, destinations={"amplitude": {**ROW, **changes}}))


def with_survey(**changes: Any) -> SpoolFacts:
    return replace(GOOD, survey=replace(GOOD.survey, **changes))


def found_in(facts: SpoolFacts, *, is_development: bool = False) -> list[Finding]:
    return list(spool_findings(facts, WORDS, is_development=is_development))


@pytest.mark.parametrize(
    ("facts", "id", "severity", "says"),
    [
        (replace(GOOD, room=0), "E010", "error", "so full"),
        (with_survey(bytes=900 << 20), "E010", "error", "nearly as large"),
        (with_lane(state="held", reason="HTTP 401", queued=3, parked=2), "E011", "error", "HTTP 401. Calls wait, 5"),
        (with_lane(queued=1, oldest_age=200_000.0), "E011", "error", "56 hours; at 72 it is dropped"),
        (with_lane(queued=1, oldest_age=8_000.0), "W013", "warning", "2 hours"),
        (with_lane(dead=4), "W012", "warning", "refused 4 calls"),
        (
            with_survey(shipper=None, destinations={"amplitude": {**ROW, "queued": 1, "oldest_age": 1.0}}),
            "W013",
            "warning",
            "no process ships",
        ),
        (
            with_survey(shipper=None, destinations={"amplitude": {**ROW, "parked": 1, "oldest_age": 1.0}}),
            "W013",
            "warning",
            "no process ships",
        ),
        (with_survey(quarantined=2), "W013", "warning", "2 damaged lines"),
        (replace(GOOD, owner="root"), "W014", "warning", "belongs to root"),
        (replace(GOOD, mode=0o755), "W014", "warning", "755"),
        (replace(GOOD, kind="overlay"), "W015", "warning", "overlay"),
        (replace(GOOD, is_chosen=False), "W016", "warning", "working directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spool_in_trouble_is_one_finding(facts: SpoolFacts, id: str, severity: str, says: str) -> None:
    (finding,) = found_in(facts)

    assert (finding.id, finding.severity) == (id, severity)
    assert says in finding.message
    assert finding.hint


def test_a_spool_in_order_is_none() -> None:
    assert found_in(GOOD) == []
    assert found_in(with_lane(queued=5, in_flight=5, oldest_age=2.0)) == []


def test_where_the_spool_is_does_not_matter_in_development() -> None:
    assert found_in(replace(GOOD, kind="tmpfs", is_chosen=False), is_development=True) == []


AMPLITUDE = "https://api2.amplitude.com/2/httpapi"


@pytest.mark.parametrize(
    ("endpoint", "ids"),
    [
        (Endpoint(name="amplitude", url=AMPLITUDE), []),
        (Endpoint(name="amplitude", url=AMPLITUDE, trouble="Name or service not known"), ["E012"]),
        (Endpoint(name="amplitude", url="http://proxy.example/2/httpapi"), ["W018"]),
        (Endpoint(name="amplitude", url="http://127.0.0.1:8080/2/httpapi"), []),
        (Endpoint(name="amplitude", url="http://localhost/2/httpapi"), []),
    ],
    ids=["fine", "unreachable", "unencrypted", "a loopback", "localhost"],
)
def test_endpoints(endpoint: Endpoint, ids: list[str]) -> None:
    assert [finding.id for finding in endpoint_findings([endpoint])] == ids


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (Options(), []),
        (Options(environment=Environment.PRODUCTION), ["E003"]),
        (Options(environment=Environment.PRODUCTION, disabled=True), []),
        (Options(destinations=DestinationsOptions(amplitude=AmplitudeOptions(api_key={"production": "k"}))), ["E004"]),
    ],
    ids=["development", "production sends nowhere", "switched off", "no key for here"],
)
def test_destinations(options: Options, ids: list[str]) -> None:
    assert [finding.id for finding in destination_findings(options, WORDS)] == ids


UWSGI = Server(kind="uwsgi", pid=7, arguments=("uwsgi",), processes=4)
GOOD_UWSGI = {"enable-threads": "true", "lazy-apps": "true"}


@pytest.mark.parametrize(
    ("servers", "is_memory", "ids"),
    [
        ([Server(kind="gunicorn", pid=7, arguments=("gunicorn",), processes=4)], False, []),
        ([Server(kind="gunicorn", pid=7, arguments=("gunicorn",), processes=4)], True, ["W011"]),
        ([Server(kind="gunicorn", pid=7, arguments=("gunicorn",))], True, []),
        ([replace(UWSGI, options=GOOD_UWSGI)], False, []),
        ([replace(UWSGI, options={"lazy-apps": "true"})], False, ["W004"]),
        ([replace(UWSGI, options={"threads": "4"})], False, ["W004"]),
        ([replace(UWSGI, options={})], False, ["W004", "W004"]),
        ([replace(UWSGI, options={**GOOD_UWSGI, "gevent": "100"})], False, ["W017"]),
        ([replace(UWSGI, options={**GOOD_UWSGI, "gevent": "100", "gevent-monkey-patch": "true"})], False, []),
    ],
    ids=[
        "spool and four workers", "memory and four workers", "memory and one worker", "uWSGI as it should be",
        "uWSGI without threads", "uWSGI forks in secret", "uWSGI with neither", "gevent unpatched", "gevent patched",
    ],
)  # fmt: skip
def test_scenario_5_servers(servers: list[Server], is_memory: bool, ids: list[str]) -> None:
    assert [finding.id for finding in server_findings(servers, WORDS, is_memory=is_memory)] == ids


@pytest.mark.parametrize(("version", "ids"), [(None, []), ("0.4.17", ["W017"]), ("3.5.6", [])])
def test_scenario_22_a_greenlet_without_contexts(version: str | None, ids: list[str]) -> None:
    assert [finding.id for finding in greenlet_findings(version)] == ids


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/srv/venv/bin/python /srv/venv/bin/gunicorn shop.wsgi", "gunicorn"),
        ("python3.11 -m gunicorn shop.wsgi", "gunicorn"),
        ("gunicorn: worker [shop]", "gunicorn"),
        ("/usr/bin/uwsgi --ini shop.ini", "uwsgi"),
        ("python -m uvicorn shop.asgi", "uvicorn"),
        ("/srv/venv/bin/python /srv/venv/bin/celery -A shop worker", "celery"),
        ("python -m celery -A shop beat", None),
        ("python -m rq.cli worker", "rq"),
        ("rq info", None),
        ("python manage.py runserver 8000", "runserver"),
        ("python manage.py migrate", None),
        ("python -m flask --app shop run", "flask"),
        ("python -m flask --app shop itly doctor", None),
        ("bash", None),
        ("python", None),
        ("", None),
    ],
)
def test_a_server_is_known_by_its_command_line(line: str, kind: str | None) -> None:
    assert kind_of_server(line.split()) == kind


def test_a_server_and_its_workers_are_one() -> None:
    gunicorn = ("python", "-m", "gunicorn", "shop.wsgi")
    rows = [
        ProcessRow(1, 0, ("init",)),
        ProcessRow(10, 1, gunicorn),
        ProcessRow(11, 10, gunicorn),
        ProcessRow(12, 10, gunicorn),
        ProcessRow(20, 1, ("python", "-m", "celery", "-A", "shop", "worker")),
    ]

    assert [(server.kind, server.pid, server.processes) for server in servers_in(rows)] == [
        ("gunicorn", 10, 2),
        ("celery", 20, 1),
    ]


def test_options_of_uwsgi_come_from_its_file_and_its_command_line() -> None:
    arguments = ["--master", "--threads", "4", "--gevent=100", "--enable-threads", "--module", "shop.wsgi"]

    assert uwsgi_options(arguments, {"lazy-apps": "true", "threads": "2"}) == {
        "lazy-apps": "true",
        "master": "true",
        "threads": "4",
        "gevent": "100",
        "enable-threads": "true",
        "module": "shop.wsgi",
    }


def test_errors_come_first_and_nothing_comes_twice() -> None:
    found = [warning("W1", "a", "x"), error("E1", "b", "y"), warning("W1", "a", "x"), error("E2", "c", "z")]

    assert [finding.id for finding in most_severe_first(found)] == ["E1", "E2", "W1"]
