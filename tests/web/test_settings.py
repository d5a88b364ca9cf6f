"""Settings become options, or a message that says which key, what it got, and what would be right."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from itly_core.destinations.amplitude import AmplitudeOptions
from itly_core.errors import ConfigError
from itly_core.options import DeliveryOptions, DestinationsOptions, Environment
from itly_web.settings import PythonLogger, Settings, WebOptions, documented, is_serverless, parse, read

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
KEY = {"api_key": "KEY-12345"}


class Adapter:
    def track(self, user_id: Any, event_name: Any, properties: Any) -> None: ...


class Logger:
    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class Refusing:
    def __init__(self) -> None:
        raise RuntimeError("not today")


def from_settings(is_debug: bool = False, **given: Any) -> Settings:
    return read(given, is_debug=is_debug)


def messages(given: Any, **named: Any) -> list[str]:
    settings, problems = parse(given, is_debug=False, **named)
    assert (settings is None) == bool(problems)
    return [problem.message for problem in problems]


def test_settings_become_options() -> None:
    found = from_settings(
        PACKAGE="analytics.events",
        SOURCES={"python": "plan.yaml", "web": Path("web.yaml")},
        ENVIRONMENT="production",
        CONTEXT={"version": "1.0"},
        DESTINATIONS={"amplitude": {**KEY, "region": "eu"}},
        VALIDATION={"FAIL_ON_ERROR": True},
        DELIVERY={"MODE": "memory", "BATCH_SIZE": 10},
        SPOOL_DIR=Path("/var/spool/itly"),
        SHUTDOWN_TIMEOUT=5,
        FLUSH="after_response",
        FLUSH_TIMEOUT=0.5,
        CAPTURE=["path"],
        IP="off",
        TRUSTED_PROXIES=2,
        QUERY_ALLOWLIST=("ref",),
    )

    assert found.options.destinations == DestinationsOptions(amplitude=AmplitudeOptions(**KEY, region="eu"))
    assert found.options.delivery == DeliveryOptions(
        mode="memory", batch_size=10, spool_dir=Path("/var/spool/itly"), shutdown_timeout=5
    )
    assert found.options.validation.fail_on_error is True
    assert found.options.context == {"version": "1.0"}
    assert found.web == WebOptions(
        package="analytics.events",
        sources={"python": "plan.yaml", "web": Path("web.yaml")},
        flush="after_response",
        flush_timeout=0.5,
    )
    assert (found.rules.capture, found.rules.ip) == (("path",), "off")
    assert (found.rules.trusted_proxies, found.rules.query_allowlist) == (2, ("ref",))


@pytest.mark.parametrize(
    ("is_debug", "environment"), [(True, Environment.DEVELOPMENT), (False, Environment.PRODUCTION)]
)
def test_the_environment_follows_debug_unless_given(is_debug: bool, environment: Environment) -> None:
    assert from_settings(is_debug).options.environment is environment
    assert from_settings(is_debug, ENVIRONMENT="development").options.environment is Environment.DEVELOPMENT


def test_nested_keys_are_taken_in_either_case() -> None:
    assert from_settings(VALIDATION={"disabled": True}).options.validation.disabled
    assert from_settings(VALIDATION={"DISABLED": True}).options.validation.disabled


def test_values_may_be_the_options_themselves() -> None:
    given = DestinationsOptions(amplitude=AmplitudeOptions(**KEY))

    assert from_settings(DESTINATIONS=given).options.destinations is given
    assert from_settings(DESTINATIONS={"amplitude": given.amplitude}).options.destinations == given


@pytest.mark.parametrize("logger", [Logger(), "my_loggers.Logger", "my_loggers:Logger", "my_loggers:made"])
def test_a_logger_is_an_object_or_a_path(logger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_loggers")
    vars(module).update(Logger=Logger, made=Logger())
    monkeypatch.setitem(sys.modules, "my_loggers", module)

    assert isinstance(from_settings(LOGGER=logger).options.logger, Logger)


def test_a_class_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_loggers")
    vars(module).update(Refusing=Refusing)
    monkeypatch.setitem(sys.modules, "my_loggers", module)

    assert messages({"LOGGER": "my_loggers.Refusing"}) == [
        "ITLY['LOGGER'] names a class that cannot be made: RuntimeError: not today, got 'my_loggers.Refusing'"
    ]


def test_messages_go_to_the_itly_logger_of_the_standard_library(caplog: pytest.LogCaptureFixture) -> None:
    logger = from_settings().options.logger
    assert logger is not None

    with caplog.at_level(logging.DEBUG, "itly"):
        for level in ("debug", "info", "warn", "error"):
            getattr(logger, level)(f"100% {level}")

    assert [(item.levelname, item.getMessage()) for item in caplog.records] == [
        ("DEBUG", "100% debug"),
        ("INFO", "100% info"),
        ("WARNING", "100% warn"),
        ("ERROR", "100% error"),
    ]


def test_a_logger_of_the_standard_library_is_adapted() -> None:
    assert isinstance(from_settings(LOGGER=logging.getLogger("mine")).options.logger, PythonLogger)


def test_callables_are_objects_or_paths() -> None:
    found = from_settings(BEFORE_SEND="itly_web.settings.in_dict", DESTINATIONS={"custom": {"adapter": Adapter()}})

    assert found.options.before_send.__name__ == "in_dict"  # type: ignore[union-attr]
    assert isinstance(found.options.destinations.custom.adapter, Adapter)  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [True, 1, "true", "True", "1", "yes", "on", " ON "])
def test_scenario_64_what_means_true_is_true(value: Any) -> None:
    assert from_settings(DISABLED=value).options.disabled is True


@pytest.mark.parametrize("value", [False, 0, "false", "False", "0", "no", "off"])
def test_scenario_64_what_means_false_is_false(value: Any) -> None:
    assert from_settings(DISABLED=value).options.disabled is False


@pytest.mark.parametrize("value", ["", "maybe", 2, 1.0, None, [], "None"])
def test_scenario_64_what_means_neither_is_refused(value: Any) -> None:
    (message,) = messages({"DISABLED": value})

    assert message.startswith("ITLY['DISABLED'] must be True or False, got ")


@pytest.mark.parametrize(
    ("value", "expected"), [("12345", "12345"), (12345, "12345"), ("1e5", "1e5"), ("False", "False"), ("007", "007")]
)
def test_a_key_of_digits_stays_text(value: Any, expected: str) -> None:
    found = from_settings(DESTINATIONS={"amplitude": {"api_key": value}})

    assert found.options.destinations.amplitude.api_key == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("TRUSTED_PROXIES", "2", 2),
        ("TRUSTED_PROXIES", 2.0, 2),
        ("FLUSH_TIMEOUT", "0.5", 0.5),
        ("FLUSH_TIMEOUT", 3, 3),
        ("CAPTURE", "path, route", ("path", "route")),
        ("QUERY_ALLOWLIST", [], ()),
        ("FLUSH", None, None),
    ],
)
def test_text_of_environment_variables_is_converted(key: str, value: Any, expected: Any) -> None:
    found = from_settings(**{key: value})

    assert vars(found.web).get(key.lower(), vars(found.rules).get(key.lower())) == expected


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"DESTINATION": {}}, ["ITLY['DESTINATION'] is not a setting; did you mean 'DESTINATIONS'?"]),
    ({"environment": "production"}, ["ITLY['environment'] is not a setting; did you mean 'ENVIRONMENT'?"]),
    (
        {"DESTINATIONS": {"segmnt": {"write_key": "SECRET"}}},
        ["ITLY['DESTINATIONS']['segmnt'] is not a setting; did you mean 'segment'?"],
    ),
    (
        {"DESTINATIONS": {"amplitude": {**KEY, "regoin": "eu"}}},
        ["ITLY['DESTINATIONS']['amplitude']['regoin'] is not a setting; did you mean 'region'?"],
    ),
    (
        {"DELIVERY": {"MOOD": "memory"}},
        ["ITLY['DELIVERY']['MOOD'] is not a setting; did you mean 'MODE'?"],
    ),
    ({"ENVIRONMENT": "prod"}, ["ITLY['ENVIRONMENT'] must be one of 'development', 'production', got 'prod'"]),
    ({"FLUSH": "always"}, ["ITLY['FLUSH'] must be one of 'after_response', 'before_response', got 'always'"]),
    ({"FLUSH_TIMEOUT": 0}, ["ITLY['FLUSH_TIMEOUT'] must be a number above 0, got 0"]),
    ({"FLUSH_TIMEOUT": "nan"}, ["ITLY['FLUSH_TIMEOUT'] must be a number, got 'nan'"]),
    ({"FLUSH_TIMEOUT": True}, ["ITLY['FLUSH_TIMEOUT'] must be a number, got True"]),
    ({"TRUSTED_PROXIES": -1}, ["ITLY['TRUSTED_PROXIES'] must be 0 or more, got -1"]),
    ({"TRUSTED_PROXIES": 1.5}, ["ITLY['TRUSTED_PROXIES'] must be a whole number, got 1.5"]),
    ({"PACKAGE": "my-events"}, ["ITLY['PACKAGE'] must be the import name of a package, got 'my-events'"]),
    ({"SOURCES": ["plan.yaml"]}, ["ITLY['SOURCES'] must be a dict with names as keys, got ['plan.yaml']"]),
    ({"DELIVERY": {"MODE": "disk"}}, ["ITLY['DELIVERY']['MODE'] must be one of 'spool', 'memory', got 'disk'"]),
    ({"DELIVERY": {"TIMEOUT": -1}}, ["ITLY['DELIVERY']['TIMEOUT'] must be a number above 0, got -1"]),
    ({"SHUTDOWN_TIMEOUT": -1}, ["ITLY['SHUTDOWN_TIMEOUT'] must be >= 0 seconds, got -1"]),
    ({"SPOOL_DIR": 7.5}, ["ITLY['SPOOL_DIR'] must be a string or a path, got 7.5"]),
    (
        {"SPOOL_DIR": "/a", "DELIVERY": {"SPOOL_DIR": "/b"}},
        ["ITLY['SPOOL_DIR'] is given twice, the other time in ITLY['DELIVERY']"],
    ),
    (
        {"VALIDATION": {"disabled": True, "DISABLED": False}},
        ["ITLY['VALIDATION']['DISABLED'] is given twice, the other time as ITLY['VALIDATION']['disabled']"],
    ),
    ({"VALIDATION": True}, ["ITLY['VALIDATION'] must be a dict of options, got a value of type bool"]),
    ({"LOGGER": "os.path"}, ["ITLY['LOGGER'] must be an object with debug(), info(), warn(), error(), got 'os.path'"]),
    ({"BEFORE_SEND": 3}, ["ITLY['BEFORE_SEND'] must be a callable or a dotted path to one, got 3"]),
    ({"BEFORE_SEND": "scrub"}, ["ITLY['BEFORE_SEND'] must be an object or a dotted path to one, got 'scrub'"]),
    (
        {"BEFORE_SEND": "no_such_module.scrub"},
        [
            "ITLY['BEFORE_SEND'] cannot be imported: ModuleNotFoundError: No module named 'no_such_module', "
            "got 'no_such_module.scrub'"
        ],
    ),
    (
        {"BEFORE_SEND": "itly_web.settings.in_dick"},
        [
            "ITLY['BEFORE_SEND'] cannot be imported: itly_web.settings has no 'in_dick' (did you mean 'in_dict'?), "
            "got 'itly_web.settings.in_dick'"
        ],
    ),
    ({"DESTINATIONS": {"amplitude": {}}}, ["ITLY['DESTINATIONS']['amplitude']['api_key'] is missing"]),
    (
        {"DESTINATIONS": {"amplitude": {"api_key": {"development": "SECRET"}}}},
        ["ITLY['DESTINATIONS']['amplitude']['api_key'] has no entry for 'production'"],
    ),
    (
        {"DESTINATIONS": {"segment": {"write_key": "SECRET", "region": "mars"}}},
        ["ITLY['DESTINATIONS']['segment']['region'] must be one of 'us', 'eu', got 'mars'"],
    ),
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=[next(iter(given)) for given, _ in WRONG])
def test_a_wrong_setting_is_named_with_what_would_be_right(given: dict[str, Any], expected: list[str]) -> None:
    assert messages(given) == expected


@pytest.mark.parametrize("given", [None, [], "itly", 3])
def test_the_settings_must_be_a_dict(given: Any) -> None:
    _, (problem,) = parse(given, is_debug=False)

    assert problem.kind == "mapping"
    assert problem.message.startswith("ITLY must be a dict, got ")


def test_everything_that_is_wrong_is_found_at_once() -> None:
    given = {"ENVIRONMENT": "prod", "FLUHS": 1, "DELIVERY": {"MODE": "x", "TIMEOUT": -1, "MAX_AGE": 0}, "IP": "some"}

    assert [message.partition("] ")[0] for message in messages(given)] == [
        "ITLY['ENVIRONMENT'",
        "ITLY['FLUHS'",
        "ITLY['DELIVERY']['MODE'",
        "ITLY['DELIVERY']['TIMEOUT'",
        "ITLY['DELIVERY']['MAX_AGE'",
        "ITLY['IP'",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"DESTINATIONS": {"amplitude": "SECRET"}},
        {"DESTINATIONS": {"amplitude": {"api_key": ["SECRET"]}}},
        {"DESTINATIONS": {"amplitude": {"api_key": {"production": ["SECRET"]}}}},
        {"DESTINATIONS": {"amplitude": ["SECRET"]}},
        {"DESTINATIONS": "SECRET"},
        {"DESTINATIONS": {"amplitude": {"SECRET": 1}}},
    ],
)
def test_a_message_never_quotes_a_secret(given: dict[str, Any]) -> None:
    (*found,) = (message.replace("['SECRET']", "[named]") for message in messages(given))

    assert found
    assert "SECRET" not in "".join(found)


def test_a_secret_is_not_in_the_repr() -> None:
    assert "KEY-12345" not in repr(from_settings(DESTINATIONS={"amplitude": KEY}))


def test_keys_are_spelled_as_the_user_wrote_them() -> None:
    given = {"FLUSH": "always", "DELIVERY": {"MODE": 1}}

    assert messages(given, spell=lambda key: f"ITLY_{key}") == [
        "ITLY_FLUSH must be one of 'after_response', 'before_response', got 'always'",
        "ITLY_DELIVERY['MODE'] must be one of 'spool', 'memory', got 1",
    ]


def test_reading_raises_with_everything_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"(?s)ITLY\['FLUSH'\].*ITLY\['IP'\]") as caught:
        from_settings(FLUSH="x", IP="y")

    assert caught.value.key == "ITLY['FLUSH']"


@pytest.mark.parametrize("given", [{"DISABLED": True}, {}])
def test_a_missing_vendor_key_is_right_where_nothing_is_sent(given: dict[str, Any]) -> None:
    nowhere = {**given, "DESTINATIONS": {"amplitude": {"api_key": ""}}}

    assert messages(nowhere, needs_keys=bool(given)) == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"AWS_LAMBDA_FUNCTION_NAME": "shop"}, True),
        ({"K_SERVICE": "shop"}, True),
        ({"WEBSITE_INSTANCE_ID": "1"}, False),
        ({"WEBSITE_INSTANCE_ID": "1", "FUNCTIONS_WORKER_RUNTIME": "python"}, True),
    ],
)
def test_scenario_11_12_a_host_that_freezes_is_recognised(environ: dict[str, str], expected: bool) -> None:
    assert is_serverless(environ) is expected
    assert WebOptions().flush_when(environ) == ("before_response" if expected else None)
    assert WebOptions(flush="after_response").flush_when(environ) == "after_response"


def test_every_setting_is_documented() -> None:
    text = DOCS.read_text("utf-8")

    for key in documented():
        row = f"| `{key.name}` | {key.type} | {key.default} |".replace("|  |", "| |")
        assert row in text, f"docs/settings.md lacks the row: {row}"
