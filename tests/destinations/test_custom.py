"""Adapters: what they are handed, and what their exceptions cost."""

from __future__ import annotations

from typing import Any

import pytest

from itly_core.destinations.custom import AdapterError, Custom, CustomOptions
from itly_core.errors import ConfigError


class Everything:
    """Has every method, and keeps what it is handed."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def track(self, user_id, event_name, properties):
        self.seen.append(("track", user_id, event_name, properties))

    def identify(self, user_id, traits):
        self.seen.append(("identify", user_id, traits))

    def group(self, user_id, group_id, traits):
        self.seen.append(("group", user_id, group_id, traits))

    def page(self, user_id, category, name, properties):
        self.seen.append(("page", user_id, category, name, properties))

    def alias(self, user_id, previous_id):
        self.seen.append(("alias", user_id, previous_id))

    def flush(self):
        self.seen.append(("flush",))

    def shutdown(self):
        self.seen.append(("shutdown",))


class OnlyTrack:
    """Takes one kind, and fails when told to."""

    def __init__(self, fails_at: str = "", error: BaseException | None = None) -> None:
        self.fails_at = fails_at
        self.error = error or RuntimeError("no room")
        self.names: list[str] = []

    def track(self, user_id, event_name, properties):
        if event_name == self.fails_at:
            raise self.error
        self.names.append(event_name)


class Batches(Everything):
    """Takes whole batches although it has the other methods too."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    def send(self, calls):
        if self.error is not None:
            raise self.error
        self.seen.append(("send", calls))


def built(adapter: Any) -> Custom:
    return CustomOptions(adapter=adapter).build({}, "development")


def test_each_kind_has_its_method_and_arguments(call):
    adapter = Everything()

    built(adapter).send(
        [
            call(properties={"total": 1}),
            call(kind="identify", name=None, traits={"tier": "pro"}),
            call(kind="group", name=None, group_id="acme", traits={"seats": 1}),
            call(kind="page", name="Intro", category="Docs", properties={"lang": "en"}),
            call(kind="alias", name=None, previous_id="anonymous-7"),
        ]
    )

    assert adapter.seen == [
        ("track", "42", "Order Completed", {"total": 1}),
        ("identify", "42", {"tier": "pro"}),
        ("group", "42", "acme", {"seats": 1}),
        ("page", "42", "Docs", "Intro", {"lang": "en"}),
        ("alias", "42", "anonymous-7"),
    ]


def test_a_kind_without_a_method_is_passed_over(call):
    adapter = OnlyTrack()

    built(adapter).send([call(kind="identify", name=None), call(name="A"), call(kind="alias"), call(name="B")])

    assert adapter.names == ["A", "B"]


def test_an_adapter_with_send_gets_whole_batches_only(call):
    adapter = Batches()
    calls = (call(), call(kind="identify"))

    built(adapter).send(calls)

    assert adapter.seen == [("send", [*calls])]


def test_an_exception_says_which_call_it_was(call):
    adapter = OnlyTrack(fails_at="B")

    with pytest.raises(AdapterError, match="RuntimeError: no room") as caught:
        built(adapter).send([call(name="A"), call(name="B"), call(name="C")])

    assert (caught.value.done, caught.value.failed) == (1, 1)
    assert caught.value.__cause__ is adapter.error
    assert adapter.names == ["A"]


def test_the_rest_can_be_sent_after_the_failing_call(call):
    adapter = OnlyTrack(fails_at="B")
    calls = [call(name="A"), call(name="B"), call(name="C")]

    with pytest.raises(AdapterError) as caught:
        built(adapter).send(calls)
    built(adapter).send(calls[caught.value.done + caught.value.failed :])

    assert adapter.names == ["A", "C"]


def test_a_batch_that_raises_is_in_doubt_as_a_whole(call):
    with pytest.raises(AdapterError) as caught:
        built(Batches(error=ValueError("no"))).send([call(), call()])

    assert (caught.value.done, caught.value.failed) == (0, 2)


def test_an_adapter_that_exits_ends_nothing_but_its_call(call):
    with pytest.raises(AdapterError, match="SystemExit"):
        built(OnlyTrack(fails_at="A", error=SystemExit(1))).send([call(name="A")])


def test_flush_and_shutdown_are_passed_on():
    adapter = Everything()

    built(adapter).flush()
    built(adapter).shutdown()

    assert adapter.seen == [("flush",), ("shutdown",)]


def test_flush_and_shutdown_may_be_missing():
    destination = built(OnlyTrack())

    destination.flush()
    destination.shutdown()


def test_what_an_adapter_changes_stays_with_it(call):
    class Greedy:
        def track(self, user_id, event_name, properties):
            properties.clear()

    sent = call(properties={"total": 1})
    built(Greedy()).send([sent])

    assert sent.properties == {"total": 1}


class Asynchronous:
    async def track(self, user_id, event_name, properties): ...


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (Everything, r"must be an object, got the class Everything: write Everything\(\)"),
        (None, "NoneType has none"),
        (object(), "must have send"),
        (Asynchronous(), r"has an async track\(\)"),
    ],
    ids=["class", "none", "no methods", "async"],
)
def test_what_cannot_be_an_adapter_is_refused_at_once(adapter, message):
    with pytest.raises(ConfigError, match=message) as caught:
        CustomOptions(adapter=adapter)

    assert caught.value.key == "adapter"
