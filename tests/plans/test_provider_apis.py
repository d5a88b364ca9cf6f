"""Plans behind vendors' APIs, against a server on this machine that answers with recorded pages."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from itly_core.errors import ConfigError, PullError
from itly_core.plans import Limits, Plan, load
from itly_core.plans.loading import is_remote
from itly_core.plans.providers import PROVIDERS
from itly_core.plans.server import Server
from tests.plans.plan_server import Answer, PlanServer, send, send_json
from tests.plans.recorded import AMPLITUDE, AVO, IGLU, RECORDED, RUDDERSTACK, SEGMENT, Recorded

every_api = pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED.keys())


def variable(recorded: Recorded) -> str:
    api = PROVIDERS[recorded.table["provider"]].api
    assert api is not None
    return api.token_env


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for recorded in RECORDED.values():
        monkeypatch.setenv(variable(recorded), recorded.token)


@pytest.fixture
def pulled(server: PlanServer) -> Callable[..., Plan]:
    def pull(recorded: Recorded, more: Mapping[str, str] | None = None, **options: Any) -> Plan:
        for path, value in recorded.pages.items():
            server.answers.setdefault(path, send_json(value))
        return load({**recorded.table, "endpoint": server.url, **(more or {})}, **options)

    return pull


Pulled = Callable[..., Plan]


def in_turn(*answers: Answer) -> Answer:
    """One answer a request, the last for ever."""
    left = iter(answers)

    def turns() -> Iterator[Answer]:
        last = answers[-1]
        while True:
            yield next(left, last)

    turn = turns()
    return lambda handler: next(turn)(handler)


# --- what is read -----------------------------------------------------------------------------------------------------


@every_api
def test_a_plan_is_read_through_its_api(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    plan = pulled(recorded)

    assert tuple(event.name for event in plan.events) == recorded.events
    assert tuple(name for name in ("context", "identify", "group", "page") if getattr(plan, name)) == recorded.sections
    assert plan.origin["provider"] == recorded.table["provider"]
    assert set(server.asked) == set(recorded.pages)


@every_api
def test_every_question_carries_the_token(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    pulled(recorded)

    for headers in server.headers:
        assert recorded.headers.items() <= headers.items()


def test_segments_rules_are_unwrapped_and_the_highest_version_counts(pulled: Pulled) -> None:
    plan = pulled(SEGMENT)
    paid, placed = plan.events

    assert (placed.version, placed.tags, placed.description) == ("2", ("area:shop",), "About Order Placed.")
    assert dict(placed.schema) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"total": {"type": ["number", "null"], "minimum": 0}, "id": {"type": "string"}},
        "required": ["total"],
    }
    assert (placed.status, paid.status) == ("active", "deprecated")


def test_rules_for_several_pages_and_screens_are_alternatives(pulled: Pulled) -> None:
    page = pulled(SEGMENT).page
    assert page is not None

    assert [list(branch["properties"]) for branch in page.schema["anyOf"]] == [["a"], ["b"]]


def test_rules_for_every_call_hold_for_each(server: PlanServer, pulled: Pulled) -> None:
    common = {
        "properties": {
            "properties": {"type": "object", "properties": {"store": {"type": "string"}}, "required": ["store"]},
            "traits": {"type": "object", "properties": {"locale": {"type": "string"}}},
        }
    }
    path = "/tracking-plans/tp_1/rules?pagination.count=200&pagination.cursor=Mw%3D%3D"
    rules = [*SEGMENT.pages[path]["data"]["rules"], {"type": "COMMON", "key": None, "jsonSchema": common}]
    server.answers[path] = send_json({"data": {"rules": rules, "pagination": {"current": "Mw=="}}})

    plan = pulled(SEGMENT)

    assert plan.identify is not None
    assert plan.identify.schema["properties"]["locale"] == {"type": "string"}
    for event in plan.events:
        assert event.schema["properties"]["store"] == {"type": "string"}
        assert event.schema["required"] == ["total", "store"]
        assert event.description


def test_rudderstacks_types_stay_with_the_properties(pulled: Pulled) -> None:
    plan = pulled(RUDDERSTACK)

    assert (plan.name, plan.version, plan.origin) == ("Shop", "7", {"provider": "rudderstack", "id": "tp_1"})
    assert plan.events[0].schema["$defs"] == {"Money": {"type": "number", "minimum": 0}}
    assert plan.events[0].origin == {"id": "ev_2"}
    assert plan.identify is not None
    assert plan.identify.schema["properties"] == {"plan": {"enum": ["free", "pro"]}}


def test_amplitudes_types(pulled: Pulled) -> None:
    plan = pulled(AMPLITUDE)
    placed = plan.events[1]

    assert (placed.owner, placed.tags) == ("shop@shop.example", ("shop", "Checkout"))
    assert placed.schema["properties"] == {
        "total": {"type": "number", "description": "The total."},
        "coupon": {"type": "string", "pattern": "^[A-Z]+$", "description": "The coupon."},
        "channel": {"enum": ["web", "app"], "description": "The channel."},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "The tags.", "x-pii": "PII"},
    }
    assert (placed.schema["required"], placed.schema["additionalProperties"]) == (["total"], False)
    assert plan.identify is not None
    assert plan.identify.schema["properties"] == {"plan": {"enum": ["free", "pro"]}}
    assert plan.group is not None
    assert plan.group.schema["properties"] == {"seats": {"type": "number"}}


def test_one_group_type_can_be_chosen(pulled: Pulled, server: PlanServer) -> None:
    pulled(AMPLITUDE, {"group_type": "org"})

    assert "/taxonomy/group-property?group_type=org" in server.asked


def test_avos_own_keys_are_left_out(pulled: Pulled) -> None:
    placed = pulled(AVO).events[1]

    assert placed.sources == ("Backend", "Web")
    assert placed.schema["properties"] == {
        "total": {"type": "number", "description": "What it costs.", "x-destinations": {"rename": {"d1": "Total"}}}
    }


def test_avos_branch_can_be_chosen(server: PlanServer, pulled: Pulled) -> None:
    server.answers["/workspaces/ws1/branches/new%2Fcart/export/v1"] = send_json({"name": "Shop", "events": []})

    assert pulled(AVO, {"branch": "new/cart"}).events == ()


def test_events_of_other_sources_are_left_out_by_the_plans_own_name(pulled: Pulled) -> None:
    plan = pulled(AVO, {"filter": "Web"}, source="python")

    assert (plan.source, [event.name for event in plan.events]) == ("python", ["Order Placed"])


def test_a_source_that_a_vendors_plan_does_not_know_is_a_config_error(pulled: Pulled) -> None:
    with pytest.raises(ConfigError, match=r"belongs to 'python': say in `filter` .* Backend, Web"):
        pulled(AVO, source="python")


def test_iglus_schemas_can_be_named_where_there_is_no_list(pulled: Pulled, server: PlanServer) -> None:
    plan = pulled(IGLU, {"plan": "iglu:com.shop/order_paid/jsonschema/1-0-0"})

    assert [(event.name, event.version) for event in plan.events] == [("order_paid", "1.0.0")]
    assert "/schemas" not in server.asked


def test_a_static_registry_has_no_list(pulled: Pulled, server: PlanServer) -> None:
    server.answers["/schemas"] = send(b"", 404)

    with pytest.raises(PullError, match=r"no list of its schemas.*name those of com.shop"):
        pulled(IGLU)


def test_a_short_name_means_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENT_TOKEN")

    assert is_remote("segment:tp_1")
    with pytest.raises(ConfigError, match="SEGMENT_TOKEN holds no token"):
        load("segment:tp_1")


def test_progress_is_told(pulled: Pulled) -> None:
    told: list[tuple[str, int, int | None]] = []

    pulled(RUDDERSTACK, watch=lambda *said: told.append(said))

    assert told == [("pages of events", 1, None), ("pages of events", 2, None)] + [
        ("events", n, 4) for n in (1, 2, 3, 4)
    ]


# --- what goes wrong --------------------------------------------------------------------------------------------------


@every_api
def test_a_token_that_is_not_accepted(
    recorded: Recorded, pulled: Pulled, server: PlanServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers[recorded.first] = send_json({"error": "no"}, 401)

    with pytest.raises(PullError, match=f"answered 401 .*does {variable(recorded)} hold a token") as caught:
        pulled(recorded)

    assert caught.value.status == 401
    for secret in (recorded.token, *recorded.headers.values()):
        assert secret not in str(caught.value)
        assert secret not in caplog.text


@every_api
def test_a_busy_server_is_asked_again_when_it_says(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    busy = send(b"", 429, Retry_After="0")
    server.answers[recorded.first] = in_turn(busy, busy, send_json(recorded.pages[recorded.first]))

    assert tuple(event.name for event in pulled(recorded).events) == recorded.events


@every_api
def test_a_server_that_fails_for_good_is_given_up(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    server.answers[recorded.first] = send(b"", 500, Retry_After="0")

    with pytest.raises(PullError, match="answered 500"):
        pulled(recorded)

    assert len(server.asked) == Limits().attempts


@every_api
def test_an_answer_that_is_cut_off(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    body = json.dumps(recorded.pages[recorded.first]).encode()
    server.answers[recorded.first] = send(body[: len(body) // 2])

    with pytest.raises(PullError, match="not JSON, or is cut off"):
        pulled(recorded)


@every_api
def test_an_answer_of_another_shape(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    server.answers[recorded.first] = send_json({"message": "hello"})

    with pytest.raises(PullError, match=r"does not have the shape|lists no schema"):
        pulled(recorded)


@every_api
def test_a_sign_in_page_instead_of_an_answer(recorded: Recorded, pulled: Pulled, server: PlanServer) -> None:
    server.answers[recorded.first] = send(b"<html>Sign in</html>")

    with pytest.raises(PullError, match="answered with a web page"):
        pulled(recorded)


@every_api
def test_a_redirect_to_another_host_is_refused_and_the_token_stays(
    recorded: Recorded, pulled: Pulled, server: PlanServer
) -> None:
    other = PlanServer()
    try:
        server.answers[recorded.first] = send(b"", 307, Location=f"{other.url}{recorded.first}")
        with pytest.raises(PullError, match="redirects to another server"):
            pulled(recorded)
        asked = other.asked
    finally:
        other.close()

    assert asked == []


def test_pages_without_end_are_given_up(server: PlanServer) -> None:
    number = iter(range(1, 10_000))

    def page(handler: Any) -> None:
        rules = SEGMENT.pages["/tracking-plans/tp_1/rules?pagination.count=200"]["data"]["rules"]
        send_json({"data": {"rules": rules, "pagination": {"next": f"c{next(number)}"}}})(handler)

    server.answers["/tracking-plans/tp_1"] = send_json(SEGMENT.pages["/tracking-plans/tp_1"])
    server.answers["/tracking-plans/tp_1/rules"] = page

    with pytest.raises(PullError, match="more than 20 pages of rules"):
        load({**SEGMENT.table, "endpoint": server.url}, limits=Limits(pages=20))


def test_pages_in_a_circle_are_given_up(server: PlanServer, pulled: Pulled) -> None:
    first = "/tracking-plans/tp_1/rules?pagination.count=200"
    second = f"{first}&pagination.cursor=Mw%3D%3D"
    server.answers[second] = send_json(SEGMENT.pages[first])

    with pytest.raises(PullError, match="a page that was read already"):
        pulled(SEGMENT)


def test_pages_of_events_without_end_are_given_up(server: PlanServer) -> None:
    def page(handler: Any) -> None:
        number = int(handler.path.rpartition("=")[2])
        send_json({"data": [{"id": f"ev_{number}"}], "total": 10**9, "currentPage": number, "pageSize": 1})(handler)

    server.answers["/catalog/tracking-plans/tp_1"] = send_json(RUDDERSTACK.pages["/catalog/tracking-plans/tp_1"])
    server.answers["/catalog/tracking-plans/tp_1/events"] = page

    with pytest.raises(PullError, match="more than 20 pages of pages of events"):
        load({**RUDDERSTACK.table, "endpoint": server.url}, limits=Limits(pages=20))


def test_more_bytes_than_a_pull_may_take(pulled: Pulled) -> None:
    with pytest.raises(PullError, match="more than 1000 bytes in all"):
        pulled(RUDDERSTACK, limits=Limits(total_bytes=1000))


def test_more_requests_than_a_pull_may_take(pulled: Pulled) -> None:
    with pytest.raises(PullError, match="more than 3 requests"):
        pulled(RUDDERSTACK, limits=Limits(requests=3))


def test_a_wait_longer_than_the_pull_may_take_is_not_begun(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"", 429, Retry_After="3600")
    waits: list[float] = []

    with Server(server.url, wait=waits.append) as asking, pytest.raises(PullError, match="asks to wait 3600 seconds"):
        asking.get("/plan")

    assert waits == []


def test_waits_are_what_the_server_says_or_double(server: PlanServer) -> None:
    waits: list[float] = []
    server.answers["/plan"] = in_turn(send(b"", 503), send(b"", 503, Retry_After="7"), send(b"", 502), send(b"{}"))

    with Server(server.url, wait=waits.append) as asking:
        asking.get("/plan")

    assert waits == [1.0, 7.0, 4.0]


def test_a_date_is_a_time_to_wait_for(server: PlanServer) -> None:
    waits: list[float] = []
    server.answers["/plan"] = in_turn(send(b"", 503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), send(b"{}"))

    with Server(server.url, wait=waits.append) as asking:
        asking.get("/plan")

    assert waits == [0.0]


# --- where a token goes -----------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "another host": ({"endpoint": "https://api.segmentapis.com.evil.example"}, "on another host than segmentapis.com"),
    "no encryption": ({"endpoint": "http://api.segmentapis.com"}, "not encrypted"),
    "an unknown region": ({"region": "mars"}, "unknown region 'mars' of segment"),
    "an unknown key": ({"branch": "main"}, "unknown key 'branch'"),
    "a variable that is not set": ({"token_env": "NO_SUCH"}, "NO_SUCH holds no token"),
}


@pytest.mark.parametrize(("more", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_source_of_an_api_is_a_config_error(more: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load({**SEGMENT.table, **more})


def test_a_token_of_two_lines_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENT_TOKEN", "secret\r\nHost: evil.example")

    with pytest.raises(ConfigError, match="SEGMENT_TOKEN holds something that is no token") as caught:
        load(SEGMENT.table)

    assert "evil" not in str(caught.value)


def test_a_registry_needs_its_address() -> None:
    with pytest.raises(ConfigError, match="needs `endpoint`"):
        load(IGLU.table)


def test_a_registry_is_asked_without_a_token_where_there_is_none(
    pulled: Pulled, server: PlanServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IGLU_TOKEN")

    pulled(IGLU)

    assert all("apikey" not in headers for headers in server.headers)
