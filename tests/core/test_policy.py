"""Who hears of an invalid call, and whether it is sent: the table of environments and overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from itly_core import (
    AllOptions,
    AlreadyLoaded,
    Closed,
    ConsoleOptions,
    DeliveryOptions,
    DestinationsOptions,
    InvalidEvent,
    NotLoaded,
    Options,
    PlanError,
)
from itly_core.log import Log
from itly_core.signals import event_invalid
from tests.core.conftest import Lines, Loaded

Load = Callable[..., Loaded]


@pytest.mark.parametrize(
    ("options", "raises", "sends"),
    [
        ({}, True, False),
        ({"environment": "development"}, True, False),
        ({"environment": "production"}, False, True),
        ({"fail_on_error": False}, False, False),
        ({"track_invalid": True}, True, True),
        ({"fail_on_error": False, "track_invalid": True}, False, True),
        ({"environment": "production", "fail_on_error": True}, True, True),
        ({"environment": "production", "track_invalid": False}, False, False),
        ({"environment": "production", "fail_on_error": True, "track_invalid": False}, True, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["event", "identify", "group", "page"])
def test_an_invalid_call(load: Load, options: dict[str, object], raises: bool, sends: bool, kind: str) -> None:
    loaded = load(**options)
    itly = loaded.itly
    heard = []

    def hear(sender: object, **what: object) -> None:
        heard.append(what)

    def call() -> None:
        if kind == "event":
            itly.process_started("u", available_processors=0)
        elif kind == "identify":
            itly.identify("u", plan="none")
        elif kind == "group":
            itly.group("u", "acme", seats="many")
        else:
            itly.page("u", "Docs", "Intro", path=7)

    with event_invalid.connected_to(hear):
        if raises:
            with pytest.raises(InvalidEvent):
                call()
        else:
            call()

    assert len(heard) == 1
    assert heard[0]["violations"] == heard[0]["call"].violations != ()
    assert [call.violations for call in loaded.calls] == ([heard[0]["violations"]] if sends else [])
    assert loaded.recorder.refused == ({} if raises or sends else {"invalid": 1})
    assert len(loaded.log.errors) == (0 if raises else 1)


def test_a_valid_call_has_no_violations_and_says_nothing(load: Load) -> None:
    loaded = load(environment="production")

    loaded.itly.process_started("u", available_processors=4)

    assert loaded.call.violations == ()
    assert loaded.log.said == []


def test_without_validation_nothing_is_checked(load: Load) -> None:
    loaded = load(validation={"disabled": True})

    loaded.itly.process_started(available_processors="none", unknown=1)
    loaded.itly.track("u", loaded.itly.Event("Unplanned"))

    assert [call.violations for call in loaded.calls] == [(), ()]
    assert loaded.calls[0].properties == {"available_processors": "none", "unknown": 1, "rev": 4}


def test_disabled_does_nothing_and_loads_nothing(shop: ModuleType, tmp_path: Path) -> None:
    """Not even the plan is read: a broken one is no obstacle."""
    from itly_core.package import Package

    package = Package(str(tmp_path / "__init__.py"))
    package.load(Options(disabled=True))

    package.event("Anything", None, {}, {}, None)
    package.identify(None, {}, {}, None)
    package.group(None, None, {}, {}, None)
    package.page(None, None, None, {}, {}, None)
    package.alias()

    assert package.flush()
    assert package.stats() == {}
    with pytest.raises(AlreadyLoaded):
        package.load(Options(disabled=True))
    assert package.shutdown()
    with pytest.raises(PlanError, match=r"_plan\.json"):
        package.load(Options())


def test_a_disabled_package_can_be_loaded_again_after_shutdown(shop: ModuleType) -> None:
    shop.load(Options(disabled=True))
    shop.shutdown()
    shop.load(Options(disabled=True))

    shop._package.uninstall()


def test_a_call_before_load_says_what_to_do(shop: ModuleType) -> None:
    for call in (
        lambda: shop.process_started("u"),
        lambda: shop.track("u", shop.ProcessStarted()),
        lambda: shop.identify("u"),
        lambda: shop.group("u", "g"),
        lambda: shop.page("u"),
        lambda: shop.alias("u", "v"),
        shop.flush,
        shop.shutdown,
        shop.stats,
    ):
        with pytest.raises(NotLoaded, match=r"itly\.load"):
            call()


def test_a_second_load_raises_and_the_first_goes_on(load: Load) -> None:
    loaded = load()

    with pytest.raises(AlreadyLoaded, match="shutdown"):
        loaded.itly.load(Options())
    loaded.itly.process_started("u", available_processors=1)

    assert len(loaded.calls) == 1


def test_load_again_after_shutdown(load: Load) -> None:
    itly = load().itly
    itly.shutdown()
    destinations = DestinationsOptions(all=AllOptions(disabled=True))
    itly.load(Options(destinations=destinations, delivery=DeliveryOptions(mode="memory")))

    itly.process_started("u", available_processors=1)

    assert itly.shutdown()


def test_a_load_that_fails_leaves_nothing_loaded(shop: ModuleType) -> None:
    with pytest.raises(InvalidEvent):
        shop.load(Options(context=shop.Context(version=5), delivery=DeliveryOptions(mode="memory")))

    with pytest.raises(NotLoaded):
        shop.process_started("u")


def test_after_shutdown_development_raises(load: Load) -> None:
    loaded = load()
    loaded.itly.shutdown()

    with pytest.raises(Closed, match=r"itly\.load"):
        loaded.itly.process_started("u", available_processors=1)
    with pytest.raises(Closed):
        loaded.itly.alias("u", "v")

    assert loaded.recorder.refused == {}


def test_after_shutdown_production_counts_and_says_so_once(load: Load) -> None:
    loaded = load(environment="production")
    loaded.itly.shutdown()

    for _ in range(3):
        loaded.itly.process_started("u", available_processors=1)

    assert loaded.calls == []
    assert loaded.recorder.refused == {"shutdown": 3}
    assert len(loaded.log.errors) == 1


def test_the_plan_context_is_checked_once_at_load(load: Load, shop: ModuleType) -> None:
    with pytest.raises(InvalidEvent) as raised:
        load(context=shop.Context(version=5, unknown=True))

    assert raised.value.event == "context"
    assert {item.path for item in raised.value.violations} == {"version", "unknown"}


def test_a_wrong_plan_context_in_production_is_logged_once_and_sent(load: Load, shop: ModuleType) -> None:
    loaded = load(environment="production", context={"version": 5})
    loaded.itly.process_started("u", available_processors=1)
    loaded.itly.process_started("u", available_processors=1)

    assert [call.properties["version"] for call in loaded.calls] == [5, 5]
    assert [call.violations for call in loaded.calls] == [(), ()]
    assert len(loaded.log.errors) == 1


def test_in_development_without_destinations_calls_are_printed(
    shop: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.load(Options(delivery=DeliveryOptions(mode="memory"), logger=Lines()))
    shop.process_started("u", available_processors=4)
    assert shop.shutdown()
    shop._package.uninstall()

    assert 'track "Process Started" user=u' in capsys.readouterr().out


def test_all_destinations_switched_off(shop: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    destinations = DestinationsOptions(all=AllOptions(disabled=True), console=ConsoleOptions())
    shop.load(Options(destinations=destinations, delivery=DeliveryOptions(mode="memory"), logger=Lines()))
    shop.process_started("u", available_processors=4)

    assert shop.stats() == {}
    assert shop.shutdown()
    assert capsys.readouterr().out == ""
    shop._package.uninstall()


def test_the_default_logger_writes_a_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another thread's, or another process's, could come between it and its end."""
    written: list[str] = []

    class Stream:
        encoding = "ascii"

        def write(self, text: str) -> None:
            written.append(text)

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stdout", Stream())
    Log().warn("Grün\nist es")
    assert written == ["[itly] Gr\\xfcn\\nist es\n"]
