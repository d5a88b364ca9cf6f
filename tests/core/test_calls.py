"""What a call becomes: arguments, plan and context on one side, one frozen record on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType, ModuleType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itly_core import Event, EventOptions, InvalidEvent
from itly_core.call import Call, decode_call, encode_call
from itly_core.client import PENDING
from itly_core.errors import Violation
from tests.core.conftest import Loaded

Load = Callable[..., Loaded]


class Plan(Enum):
    PRO = "pro"


def test_an_event_function(load: Load) -> None:
    loaded = load()

    loaded.itly.process_started("user-1", available_processors=4, region=None)

    call = loaded.call
    assert (call.kind, call.name, call.user_id) == ("track", "Process Started", "user-1")
    assert call.properties == {"available_processors": 4, "region": None, "rev": 4}
    assert call.plan == {"name": "Shop", "version": "1.0.0", "source": "python", "event_version": "1.0.0"}


def test_an_event_object_is_the_same_call(load: Load) -> None:
    loaded = load()

    loaded.itly.process_started("u", available_processors=4, region="eu")
    loaded.itly.track("u", loaded.itly.ProcessStarted(available_processors=4, region="eu"))
    loaded.itly.track("u", Event("Process Started", {"available_processors": 4, "region": "eu"}))

    one, *others = loaded.calls
    for other in others:
        assert (other.name, other.user_id, other.properties, other.plan) == (
            one.name,
            one.user_id,
            one.properties,
            one.plan,
        )


def test_identify(load: Load) -> None:
    loaded = load()

    loaded.itly.identify("u", plan="pro")

    assert (loaded.call.kind, loaded.call.user_id, loaded.call.traits) == ("identify", "u", {"plan": "pro"})
    assert loaded.call.properties == {}


def test_group(load: Load) -> None:
    loaded = load()

    loaded.itly.group("u", "acme", seats=10)

    call = loaded.call
    assert (call.kind, call.user_id, call.group_id, call.group_type) == ("group", "u", "acme", "group")
    assert call.traits == {"seats": 10}


def test_page(load: Load) -> None:
    loaded = load()

    loaded.itly.page("u", "Docs", "Intro", path="/docs")
    loaded.itly.page("u")

    first, second = loaded.calls
    assert (first.kind, first.category, first.name, first.properties) == ("page", "Docs", "Intro", {"path": "/docs"})
    assert (second.category, second.name) == (None, None)


def test_alias(load: Load) -> None:
    loaded = load()

    loaded.itly.alias("user-1", "anonymous-7")

    assert (loaded.call.kind, loaded.call.user_id, loaded.call.previous_id) == ("alias", "user-1", "anonymous-7")


def test_ids_of_any_kind_become_text(load: Load) -> None:
    loaded = load()

    loaded.itly.identify(42)
    loaded.itly.group(UUID(int=1), 7)
    loaded.itly.page("u", Plan.PRO, 5)
    loaded.itly.alias(1, 2)

    identify, group, page, alias = loaded.calls
    assert identify.user_id == "42"
    assert (group.user_id, group.group_id) == (str(UUID(int=1)), "7")
    assert (page.category, page.name) == ("pro", "5")
    assert (alias.user_id, alias.previous_id) == ("1", "2")


def test_identify_group_and_page_that_the_plan_does_not_describe_are_valid(bare: ModuleType) -> None:
    loaded = Loaded(bare)

    bare.identify("u", anything=[1])
    bare.group("u", "g", anything={"a": None})
    bare.page("u", "c", "n", anything=Decimal("1.5"))

    identify, group, page = loaded.calls
    assert (identify.traits, group.traits, page.properties) == (
        {"anything": [1]},
        {"anything": {"a": None}},
        {"anything": 1.5},
    )
    bare._package.uninstall()


def test_plan_context_lies_under_the_properties_of_an_event(load: Load, shop: ModuleType) -> None:
    loaded = load(context=shop.Context(version="1.0", note="from context"))

    loaded.itly.process_started("u", available_processors=4, note="own")
    loaded.itly.process_started("u", available_processors=4)
    loaded.itly.track("u", Event("Order Completed", {"total": 2**70}))

    own, inherited, large = loaded.calls
    assert own.properties == {"version": "1.0", "note": "own", "available_processors": 4, "rev": 4}
    assert inherited.properties["note"] == "from context"
    assert large.properties == {"version": "1.0", "note": "from context", "user_id": "u", "total": 2**70}


def test_plan_context_is_no_matter_of_traits_and_pages(load: Load, shop: ModuleType) -> None:
    loaded = load(context={"version": "1.0"})

    loaded.itly.identify("u")
    loaded.itly.group("u", "g")
    loaded.itly.page("u")
    loaded.itly.alias("u", "v")

    assert all("version" not in {**call.traits, **call.properties} for call in loaded.calls)


def test_a_large_number_keeps_its_digits_beside_a_context_it_overrides(load: Load) -> None:
    loaded = load(context={"note": "context"}, validation={"disabled": True})
    lines: list[bytes] = []
    loaded.recorder.accept = lines.append  # type: ignore[method-assign]

    loaded.itly.process_started("u", anything=2**70, note="own")
    loaded.itly.process_started("u", anything=2**70)

    assert all(str(2**70).encode() in line for line in lines)


def test_a_property_named_user_id_is_filled_from_the_callers(load: Load) -> None:
    loaded = load()

    loaded.itly.order_completed("u-1", total=1)
    loaded.itly.order_completed(42, total=1)

    assert [(call.user_id, call.properties["user_id"]) for call in loaded.calls] == [("u-1", "u-1"), ("42", "42")]


def test_a_numeric_user_id_of_the_plan_takes_what_reads_as_one(load: Load) -> None:
    loaded = load()

    loaded.itly.counted("42")
    loaded.itly.counted(43)
    with pytest.raises(InvalidEvent, match="user_id"):
        loaded.itly.counted("u-1")

    assert [(call.user_id, call.properties["user_id"]) for call in loaded.calls] == [("42", 42), ("43", 43)]


def test_none_is_null_where_the_plan_allows_it_and_absent_elsewhere(load: Load) -> None:
    loaded = load()

    loaded.itly.process_started("u", available_processors=4, region=None, note=None)

    assert loaded.call.properties == {"available_processors": 4, "region": None, "rev": 4}


def test_none_for_what_is_required_is_missing(load: Load) -> None:
    with pytest.raises(InvalidEvent) as raised:
        load().itly.process_started("u", available_processors=None)

    assert [(item.path, item.rule) for item in raised.value.violations] == [("available_processors", "required")]


def test_constants_are_filled_in_whatever_is_given(load: Load) -> None:
    loaded = load()

    loaded.itly.track("u", Event("Process Started", {"available_processors": 1, "rev": 3}))

    assert loaded.call.properties["rev"] == 4


def test_an_event_outside_the_plan_is_one_violation(load: Load) -> None:
    loaded = load()

    with pytest.raises(InvalidEvent) as raised:
        loaded.itly.track("u", Event("Never Planned", {"a": 1}))

    assert [item.rule for item in raised.value.violations] == ["unknown_event"]
    assert "'Never Planned'" in str(raised.value)


def test_all_violations_at_once_with_their_places(load: Load) -> None:
    with pytest.raises(InvalidEvent) as raised:
        load().itly.process_started(
            "u",
            available_processors=0.5,
            region=5,
            price=float("nan"),
            anything=object(),
            address={"zip": "x", "street": 1},
            tags=["a", 1, "b", None],
            brand="new",
        )

    assert {(item.path, item.rule) for item in raised.value.violations} == {
        ("available_processors", "type"),
        ("available_processors", "minimum"),
        ("region", "type"),
        ("price", "not_finite"),
        ("anything", "unserialisable"),
        ("address.city", "required"),
        ("address.zip", "type"),
        ("address.street", "additionalProperties"),
        ("tags[1]", "type"),
        ("tags[3]", "type"),
        ("brand", "additionalProperties"),
    }
    text = str(raised.value)
    assert text.startswith("'Process Started' breaks the tracking plan:")
    assert all(item.path in text and item.message in text for item in raised.value.violations)
    assert raised.value.event == "Process Started"


@pytest.mark.parametrize("path", ["fast", "slow"])
@pytest.mark.parametrize("place", ["price", "anything", "tags", "address"])
def test_nan_is_null_and_a_violation_wherever_it_stands(load: Load, path: str, place: str) -> None:
    loaded = load(environment="production")
    bad: dict[str, Any] = {
        "price": float("inf"),
        "anything": [{"deep": float("nan")}],
        "tags": [float("nan")],
        "address": {"city": float("nan")},
    }
    slow: dict[str, Any] = {} if path == "fast" else {"note": UUID(int=1)}  # a type the encoder leaves to coercion

    loaded.itly.process_started("u", available_processors=1, **slow, **{place: bad[place]})

    assert "not_finite" in {item.rule for item in loaded.call.violations}
    assert loaded.call.properties["available_processors"] == 1


def test_what_the_caller_changes_later_is_not_sent(load: Load) -> None:
    loaded = load()
    tags, address = ["a"], {"city": "Ulm"}

    loaded.itly.process_started("u", available_processors=1, tags=tags, address=address)
    tags.append("b")
    address["city"] = "Bonn"

    assert loaded.call.properties["tags"] == ["a"]
    assert loaded.call.properties["address"] == {"city": "Ulm"}


@pytest.mark.parametrize("make", [dict, MappingProxyType], ids=["dict", "mapping"])
def test_an_event_of_any_mapping(load: Load, make: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    loaded = load()

    loaded.itly.track("u", Event("Process Started", make({"available_processors": 4})))

    assert loaded.call.properties["available_processors"] == 4


@pytest.mark.parametrize("properties", [5, "text", [1], [("a", 1)], object()], ids=lambda value: type(value).__name__)
def test_an_event_of_anything_else_is_a_violation(load: Load, properties: Any) -> None:
    with pytest.raises(InvalidEvent, match="must be a mapping"):
        load().itly.track("u", Event("Process Started", properties))


@pytest.mark.parametrize("name", [None, 5, ["a"], {}, Plan.PRO, object()], ids=lambda value: type(value).__name__)
def test_an_event_name_of_any_kind_is_no_more_than_a_violation(load: Load, name: Any) -> None:
    loaded = load(environment="production")

    loaded.itly.track("u", Event(name))

    assert isinstance(loaded.call.name, str)
    assert [item.rule for item in loaded.call.violations] == ["unknown_event"]


class Planned(str, Enum):
    STARTED = "Process Started"


def test_an_event_may_be_named_by_an_enum(load: Load) -> None:
    loaded = load()

    loaded.itly.track("u", Event(Planned.STARTED, {"available_processors": 1}))

    assert loaded.call.name == "Process Started"


def test_making_events_never_raises(shop: ModuleType) -> None:
    event = shop.ProcessStarted(available_processors=object(), unknown=1)
    EventOptions(timestamp="never", groups=5, context=[], destinations="x")  # type: ignore[arg-type]

    assert repr(event) == "ProcessStarted('Process Started')"


def test_nobody_known_is_a_violation_and_gets_an_anonymous_id(load: Load) -> None:
    loaded = load(environment="production")

    loaded.itly.process_started(available_processors=1)
    loaded.itly.process_started(available_processors=1)

    assert [[item.rule for item in call.violations] for call in loaded.calls] == [["user_id"], ["user_id"]]
    assert len({call.anonymous_id for call in loaded.calls}) == 2


class Request:
    """A scope as a web framework has it."""

    def __init__(self, user_id: Any = None, anonymous_id: str | None = None) -> None:
        self.user, self.anonymous = user_id, anonymous_id
        self.held: list[Callable[[str | None], None]] = []

    def refusal(self) -> str | None:
        return None

    def user_id(self) -> Any:
        return self.user

    def anonymous_id(self) -> str | None:
        return self.anonymous

    def context(self) -> Mapping[str, Any]:
        return {"path": "/basket", "method": "GET"}

    def encoded_context(self) -> bytes:
        return b'{"path":"/basket","method":"GET"}'

    def hold(self, resume: Callable[[str | None], None]) -> None:
        self.held.append(resume)


def test_a_request_gives_user_anonymous_id_and_context(load: Load) -> None:
    loaded = load(scope=lambda: Request("user-1", "anon-1"))

    loaded.itly.process_started(available_processors=1)

    call = loaded.call
    assert (call.user_id, call.anonymous_id) == ("user-1", "anon-1")
    assert call.context == {"path": "/basket", "method": "GET"}


def test_what_is_given_goes_before_what_the_request_knows(load: Load) -> None:
    loaded = load(scope=lambda: Request("user-1", "anon-1"))
    options = EventOptions(anonymous_id="anon-2", context={"path": "/other", "tenant": 7})

    loaded.itly.process_started("user-2", available_processors=1, options=options)

    call = loaded.call
    assert (call.user_id, call.anonymous_id) == ("user-2", "anon-2")
    assert call.context == {"path": "/other", "method": "GET", "tenant": 7}


def test_a_held_call_is_a_picture_of_its_moment(load: Load) -> None:
    request = Request(PENDING, "anon")
    loaded = load(environment="production", scope=lambda: request)
    tags, address, extra, groups = ["a"], {"city": "Ulm"}, [1], {"team": "x"}
    before = datetime.now(timezone.utc)

    options = EventOptions(groups=groups)
    loaded.itly.process_started(available_processors=1, tags=tags, address=address, extra=extra, options=options)
    tags.append("b")
    address["city"] = "Bonn"
    extra.append(2)
    groups["team"] = "y"
    after = datetime.now(timezone.utc)
    assert loaded.calls == []
    request.held[0]("user-9")

    call = loaded.call
    assert call.user_id == "user-9"
    assert call.properties["tags"] == ["a"]
    assert call.properties["address"] == {"city": "Ulm"}
    assert call.properties["extra"] == [1]
    assert call.groups == {"team": "x"}
    assert before.timestamp() - 0.001 <= call.timestamp.timestamp() <= after.timestamp() + 0.001


def test_a_held_call_names_what_has_no_json_form(load: Load) -> None:
    request = Request(PENDING, "anon")
    loaded = load(environment="production", scope=lambda: request)

    loaded.itly.process_started(available_processors=1, anything=object(), note=None)
    request.held[0](None)

    assert [(item.path, item.rule) for item in loaded.call.violations] == [("anything", "unserialisable")]
    assert (loaded.call.user_id, loaded.call.anonymous_id) == (None, "anon")


@pytest.mark.parametrize(
    ("options", "sent", "refused"),
    [({}, 0, {"invalid": 1}), ({"track_invalid": True}, 1, {})],
    ids=["dropped", "sent"],
)
def test_a_held_invalid_call_raises_to_nobody_and_is_counted_once(
    load: Load, options: dict[str, Any], sent: int, refused: dict[str, int]
) -> None:
    request = Request(PENDING, "anon")
    loaded = load(scope=lambda: request, **options)

    loaded.itly.process_started(available_processors=0)
    request.held[0]("u")

    assert len(loaded.calls) == sent
    assert loaded.recorder.refused == refused
    assert len(loaded.log.errors) == 1


def test_a_raising_request_is_counted_and_no_more(load: Load) -> None:
    class Broken(Request):
        def anonymous_id(self) -> str | None:
            raise RuntimeError("no cookies today")

    loaded = load(environment="production", scope=Broken)

    loaded.itly.process_started("u", available_processors=1)

    assert loaded.recorder.refused == {"internal_error": 1}
    assert "no cookies today" in loaded.log.errors[0]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXTS, st.lists(TEXTS, max_size=2))
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
CALLS = st.builds(
    Call,
    kind=st.sampled_from(["track", "identify", "group", "page", "alias"]),
    message_id=TEXTS.filter(bool),
    timestamp=st.integers(-62_135_596_800_000, 253_402_300_799_000).map(
        lambda ms: datetime.fromtimestamp(0, timezone.utc) + _milliseconds(ms)
    ),
    user_id=st.none() | TEXTS,
    anonymous_id=st.none() | TEXTS,
    name=st.none() | TEXTS,
    properties=OBJECTS,
    traits=OBJECTS,
    group_id=st.none() | TEXTS,
    groups=OBJECTS,
    category=st.none() | TEXTS,
    previous_id=st.none() | TEXTS,
    context=OBJECTS,
    destinations=st.dictionaries(TEXTS, OBJECTS, max_size=2),
    plan=st.dictionaries(TEXTS, TEXTS, max_size=2),
    violations=st.lists(st.builds(Violation, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
)


def _milliseconds(count: int) -> Any:
    from datetime import timedelta

    return timedelta(milliseconds=count)


@given(CALLS)
@settings(max_examples=60)
def test_a_call_survives_its_line(call: Call) -> None:
    line = encode_call(call)

    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert decode_call(line) == call


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b'{"kind":"track"}',
        b'{"kind":"dance","message_id":"x","timestamp_ms":1}',
        b'{"kind":"track","message_id":"x","timestamp_ms":"1"}',
        b'{"kind":"track","mess',
    ],
)
def test_a_line_that_is_no_call_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_call(line)
