"""Calls as Amplitude's wire format, byte for byte, and its answers as outcomes."""

from __future__ import annotations

import json

import orjson
import pytest

from itly_core.destinations.amplitude import REFUSED_IDS, Amplitude, AmplitudeOptions
from itly_core.errors import ConfigError, Violation
from itly_core.version import VERSION
from itly_core.wire import Bisect, Hold, Ok, Reject, Response, Retry, RetrySome, Split

ID = "0190b3c2-6a0e-7c1e-9a55-0d2f6f3b1e01"
HEAD = f'"time":1767225600123,"insert_id":"{ID}","library":"itly-python/{VERSION}"'.encode()
PLAN = {"name": "Shop", "version": "1.0.0", "source": "python"}


def build(plan=None, environment="production", **options) -> Amplitude:
    return AmplitudeOptions(api_key="AK", **options).build(plan or {}, environment)


def events(pieces) -> list[dict]:
    return [orjson.loads(piece) for piece in pieces]


def answer(status, body=b"", **headers) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


PIECES = [b'{"user_id":"u%d","device_id":"d%d"}' % (index, index) for index in range(4)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"properties": {"total": 12.5, "items": ["a", "b"]}},
            [
                b'{"event_type":"Order Completed",' + HEAD + b',"user_id":"42",'
                b'"event_properties":{"total":12.5,"items":["a","b"]}}'
            ],
            id="track",
        ),
        pytest.param(
            {"kind": "identify", "name": None, "traits": {"tier": "pro"}},
            [b'{"event_type":"$identify",' + HEAD + b',"user_id":"42","user_properties":{"$set":{"tier":"pro"}}}'],
            id="identify",
        ),
        pytest.param(
            {"kind": "group", "name": None, "group_id": "acme", "group_type": "org", "traits": {"seats": 10}},
            [
                b'{"event_type":"$identify",' + HEAD + b',"user_id":"42","groups":{"org":"acme"},'
                b'"user_properties":{"$set":{"org":"acme"}}}',
                b'{"event_type":"$groupidentify",' + HEAD.replace(ID.encode(), ID.encode() + b"-group") + b","
                b'"groups":{"org":"acme"},"group_properties":{"$set":{"seats":10}}}',
            ],
            id="group",
        ),
        pytest.param(
            {"kind": "page", "name": "Intro", "category": "Docs", "properties": {"lang": "en"}},
            [
                b'{"event_type":"Page Viewed",' + HEAD + b',"user_id":"42",'
                b'"event_properties":{"name":"Intro","category":"Docs","lang":"en"}}'
            ],
            id="page",
        ),
        pytest.param({"kind": "alias", "name": None, "previous_id": "anonymous-7"}, [], id="alias is not known"),
    ],
)
def test_each_kind_of_call_has_its_bytes(call, fields, expected):
    assert list(build().pieces(call(**fields))) == expected


def test_group_without_type_is_of_type_group(call):
    joins, describes = events(build().pieces(call(kind="group", name=None, group_id="acme")))

    assert joins["groups"] == describes["groups"] == {"group": "acme"}


def test_group_of_nobody_describes_the_group_only(call):
    (describes,) = events(build().pieces(call(kind="group", name=None, user_id=None, group_id="acme")))

    assert describes["event_type"] == "$groupidentify"


def test_groups_go_with_the_event(call):
    (event,) = events(build().pieces(call(groups={"org": "acme", "team": ["a", "b"]})))

    assert event["groups"] == {"org": "acme", "team": ["a", "b"]}


def test_anonymous_id_is_the_device_id(call):
    (event,) = events(build().pieces(call(anonymous_id="anon-1")))

    assert (event["user_id"], event["device_id"]) == ("42", "anon-1")


@pytest.mark.parametrize("user_id", sorted(REFUSED_IDS), ids=lambda text: text or "empty")
def test_ids_amplitude_refuses_are_left_out(call, user_id):
    (known,) = events(build().pieces(call(user_id=user_id, anonymous_id="anon-1")))
    (unknown,) = events(build().pieces(call(user_id=user_id, anonymous_id=user_id)))

    assert ("user_id" in known, known["device_id"]) == (False, "anon-1")
    assert ("user_id" in unknown, unknown["device_id"]) == (False, ID)


def test_nobody_known_is_a_device_of_its_own(call):
    (event,) = events(build().pieces(call(user_id=None)))

    assert (event.get("user_id"), event["device_id"]) == (None, ID)


@pytest.mark.parametrize(
    ("loaded", "of_call", "expected"),
    [
        ({}, {}, None),
        (PLAN, {}, {"source": "python", "version": "1.0.0"}),
        (PLAN, {**PLAN, "version": "0.9.0"}, {"source": "python", "version": "0.9.0"}),
        ({}, {**PLAN, "event_version": "2.0.0"}, {"source": "python", "version": "1.0.0", "versionId": "2.0.0"}),
        ({"name": "Shop", "version": "1.0.0", "source": ""}, {}, {"version": "1.0.0"}),
    ],
    ids=["no plan", "as loaded", "as checked", "event version", "no source"],
)
def test_plan_is_named_on_the_event(call, loaded, of_call, expected):
    (event,) = events(build(loaded).pieces(call(plan=of_call)))

    assert event.get("plan") == expected


FACTS = {
    "ip": "203.0.113.0",
    "user_agent": "Mozilla/5.0",
    "locale": "de",
    "referrer": "https://example.org/a",
    "method": "GET",
    "path": "/orders/7",
    "route": "/orders/<id>",
    "request_id": "r-1",
    "campaign": {"source": "mail", "name": "spring", "odd": "x"},
}


def test_request_facts_go_where_amplitude_has_a_field_and_else_under_context(call):
    (event,) = events(build().pieces(call(properties={"total": 1}, context=FACTS)))

    assert event["ip"] == "203.0.113.0"
    assert event["user_agent"] == "Mozilla/5.0"
    assert event["language"] == "de"
    assert event["referrer"] == "https://example.org/a"
    assert event["user_properties"] == {"utm_source": "mail", "utm_campaign": "spring"}
    assert event["event_properties"] == {
        "total": 1,
        "context": {
            "method": "GET",
            "path": "/orders/7",
            "route": "/orders/<id>",
            "request_id": "r-1",
            "referrer": "https://example.org/a",
        },
    }


def test_context_property_can_be_renamed_or_left_out(call):
    facts = call(context={"path": "/"})

    assert events(build(context_property="request").pieces(facts))[0]["event_properties"] == {"request": {"path": "/"}}
    assert events(build(context_property=None).pieces(facts))[0]["event_properties"] == {}


def test_a_property_named_context_is_not_overwritten(call):
    (event,) = events(build().pieces(call(properties={"context": "mine"}, context={"path": "/"})))

    assert event["event_properties"] == {"context": "mine"}


def test_identify_keeps_operations_apart_from_campaign(call):
    (event,) = events(build().pieces(call(kind="identify", name=None, traits={"tier": "pro"}, context=FACTS)))

    assert event["user_properties"] == {"$set": {"tier": "pro"}}
    assert event["ip"] == "203.0.113.0"
    assert "event_properties" not in event


@pytest.mark.parametrize("campaign", ["mail", None, ["x"], 3], ids=repr)
def test_campaign_that_is_no_object_is_a_fact_like_others(call, campaign):
    (event,) = events(build().pieces(call(context={"campaign": campaign})))

    assert event["event_properties"] == {"context": {"campaign": campaign}}


def test_own_fields_are_laid_over_the_event(call):
    over = {"session_id": 5, "event_type": "Paid", "event_properties": {"extra": 1}, "plan": {"branch": "main"}}
    given = call(properties={"total": 1}, plan=PLAN, destinations={"amplitude": over, "segment": {"no": 1}})

    (event,) = events(build().pieces(given))

    assert (event["session_id"], event["event_type"]) == (5, "Paid")
    assert event["event_properties"] == {"total": 1, "extra": 1}
    assert event["plan"] == {"source": "python", "version": "1.0.0", "branch": "main"}
    assert "branch" not in events(build().pieces(call(plan=PLAN)))[0]["plan"]  # nothing leaks into the next event


def test_own_fields_that_are_no_object_are_ignored(call):
    (event,) = events(build().pieces(call(destinations={"amplitude": "x"})))

    assert event["event_type"] == "Order Completed"


def test_own_insert_id_does_not_make_two_events_one(call):
    pieces = build().pieces(
        call(kind="group", name=None, group_id="acme", destinations={"amplitude": {"insert_id": "mine"}})
    )

    assert [event["insert_id"] for event in events(pieces)] == ["mine", "mine-group"]


def test_violations_are_not_on_the_wire(call):
    invalid = call(violations=(Violation("total", "is not a number", "type"),))

    assert build().pieces(invalid) == build().pieces(call())


@pytest.mark.parametrize(
    "value",
    ["\u0000\u001f\u2028'\"\\</script>", "\U0001f600", {"": {"$set": [None, True, 1e308, -(2**63)]}}, "x" * 5000],
    ids=["control", "astral", "nested", "long"],
)
def test_hostile_values_arrive_unchanged(call, value):
    (event,) = events(build().pieces(call(name=str(value), properties={"value": value, str(value): 1})))

    assert event["event_properties"]["value"] == value


def test_request_is_these_bytes():
    pieces = [b'{"a":1}', b'{"b":2}']

    request = build(min_id_length=5).request(pieces, 1)

    assert request.url == "https://api2.amplitude.com/2/httpapi"
    assert request.body == b'{"api_key":"AK","options":{"min_id_length":5},"events":[{"a":1},{"b":2}]}'
    assert request.headers["Content-Type"] == "application/json"
    assert build(min_id_length=5).request(pieces, 2) == request  # a repeated request is the same, byte for byte


def test_short_ids_are_accepted_by_default():
    assert orjson.loads(build().request([], 1).body)["options"] == {"min_id_length": 1}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://api2.amplitude.com/2/httpapi"),
        ({"region": "eu"}, "https://api.eu.amplitude.com/2/httpapi"),
        ({"use_batch": True}, "https://api2.amplitude.com/batch"),
        ({"use_batch": True, "region": "eu"}, "https://api.eu.amplitude.com/batch"),
        ({"endpoint": "http://127.0.0.1:9/x/", "region": "eu"}, "http://127.0.0.1:9/x/"),
    ],
    ids=["us", "eu", "batch", "eu batch", "endpoint"],
)
def test_region_and_endpoint_choose_the_address(options, url):
    assert build(**options).request([], 0).url == url


def test_batch_endpoint_takes_larger_requests():
    assert build().limits.max_bytes == 900_000
    assert build(use_batch=True).limits.max_bytes == 15_000_000
    assert build().limits.max_pieces == build(use_batch=True).limits.max_pieces == 1000


BAD = {"code": 400, "error": "Request missing or invalid"}


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        pytest.param(answer(200, {"code": 200, "events_ingested": 4}), Ok(), id="200"),
        pytest.param(answer(200, {"code": 200, "events_ingested": 3}), Ok(silently_rejected=1), id="200 fewer taken"),
        pytest.param(answer(200, {"code": 200, "events_ingested": "x"}), Ok(), id="200 odd count"),
        pytest.param(answer(200, b""), Ok(), id="200 empty"),
        pytest.param(answer(200, b"ok"), Ok(), id="200 text"),
        pytest.param(answer(200, b"[]"), Ok(), id="200 list"),
        pytest.param(answer(202, b""), Ok(), id="202"),
        pytest.param(answer(400, {**BAD, "error": "Invalid API key: AK"}), Hold("Invalid API key: AK"), id="400 key"),
        pytest.param(
            answer(400, {**BAD, "events_with_invalid_fields": {"time": [1, 3]}}),
            RetrySome({0: 0.0, 2: 0.0}, {1: "invalid field: time", 3: "invalid field: time"}, BAD["error"]),
            id="400 invalid fields",
        ),
        pytest.param(
            answer(400, {**BAD, "events_with_missing_fields": {"event_type": [0]}}),
            RetrySome({1: 0.0, 2: 0.0, 3: 0.0}, {0: "missing field: event_type"}, BAD["error"]),
            id="400 missing fields",
        ),
        pytest.param(
            answer(400, {**BAD, "events_with_invalid_id_lengths": {"user_id": [2]}}),
            RetrySome({0: 0.0, 1: 0.0, 3: 0.0}, {2: "id too short: user_id"}, BAD["error"]),
            id="400 id lengths",
        ),
        pytest.param(
            answer(400, {**BAD, "silenced_events": [1]}),
            RetrySome({0: 0.0, 2: 0.0, 3: 0.0}, {1: "silenced"}, BAD["error"]),
            id="400 silenced events",
        ),
        pytest.param(
            answer(400, {**BAD, "silenced_devices": ["d3"]}),
            RetrySome({0: 0.0, 1: 0.0, 2: 0.0}, {3: "silenced device"}, BAD["error"]),
            id="400 silenced devices",
        ),
        pytest.param(
            answer(
                400,
                {
                    **BAD,
                    "events_with_invalid_fields": {"time": [0], "ip": [1]},
                    "events_with_missing_fields": {"user_id": [2]},
                    "silenced_events": [3],
                },
            ),
            RetrySome(
                {},
                {0: "invalid field: time", 1: "invalid field: ip", 2: "missing field: user_id", 3: "silenced"},
                BAD["error"],
            ),
            id="400 all named",
        ),
        pytest.param(
            answer(400, {**BAD, "events_with_invalid_fields": {"time": [4, -1, "0", True, None]}}),
            Bisect(BAD["error"]),
            id="400 indexes out of range",
        ),
        pytest.param(
            answer(400, {**BAD, "missing_field": "events"}), Reject(f"{BAD['error']}: events"), id="400 of request"
        ),
        pytest.param(
            answer(400, {**BAD, "error": "Invalid JSON request body"}),
            Bisect("Invalid JSON request body"),
            id="400 JSON",
        ),
        pytest.param(answer(400, b"<html>"), Bisect("HTTP 400"), id="400 HTML"),
        pytest.param(answer(400, {"events_with_invalid_fields": [1]}), Bisect("HTTP 400"), id="400 odd shape"),
        pytest.param(answer(401), Hold("HTTP 401"), id="401"),
        pytest.param(answer(403, b"Forbidden"), Bisect("HTTP 403: firewall"), id="403 firewall"),
        pytest.param(answer(404), Hold("HTTP 404"), id="404"),
        pytest.param(answer(413, b"<html>"), Split(), id="413"),
        pytest.param(
            answer(429, {"error": "Too many requests", "throttled_events": [0, 2], "throttled_users": {"u0": 31}}),
            RetrySome({0: 30.0, 1: 0.0, 2: 30.0, 3: 0.0}, reason="Too many requests"),
            id="429 throttled",
        ),
        pytest.param(
            answer(
                429,
                {
                    "throttled_events": [0, 1],
                    "exceeded_daily_quota_users": {"u1": 500_001},
                    "exceeded_daily_quota_devices": {"d3": 500_001},
                },
            ),
            RetrySome({0: 30.0, 1: 86_400.0, 2: 0.0, 3: 86_400.0}, reason="HTTP 429"),
            id="429 daily quota",
        ),
        pytest.param(
            answer(429, {"throttled_events": [0]}, retry_after="60"),
            RetrySome({0: 60.0, 1: 60.0, 2: 60.0, 3: 60.0}, reason="HTTP 429"),
            id="429 Retry-After is a floor",
        ),
        pytest.param(answer(429, b"slow down"), Retry("HTTP 429", 30.0, throttled=True), id="429 without detail"),
        pytest.param(
            answer(429, b"", retry_after="3"), Retry("HTTP 429", 30.0, throttled=True), id="429 short Retry-After"
        ),
        pytest.param(answer(500), Retry("HTTP 500", ambiguous=True), id="500"),
        pytest.param(answer(502, b"<html>"), Retry("HTTP 502", ambiguous=True), id="502"),
        pytest.param(answer(503), Retry("HTTP 503"), id="503"),
        pytest.param(answer(504), Retry("HTTP 504", ambiguous=True), id="504"),
        pytest.param(answer(501), Reject("HTTP 501"), id="501"),
    ],
)
def test_answers_become_outcomes(response, outcome):
    assert build().classify(response, PIECES) == outcome


@pytest.mark.parametrize("body", [b"<!doctype html>", b'{"code":2', b"{"], ids=["HTML", "cut off", "brace"])
def test_200_of_a_proxy_is_tried_again(body):
    outcome = build().classify(answer(200, body), PIECES)

    assert isinstance(outcome, Retry)
    assert outcome.ambiguous


@pytest.mark.parametrize("status", [400, 403])
def test_a_single_refused_event_is_final(status):
    assert isinstance(build().classify(answer(status, b"x"), PIECES[:1]), Reject)


def test_batch_endpoint_waits_fifteen_seconds():
    outcome = build(use_batch=True).classify(answer(429, {"throttled_events": [1]}), PIECES[:2])

    assert outcome == RetrySome({0: 0.0, 1: 15.0}, reason="HTTP 429")


def test_key_may_depend_on_the_environment():
    options = AmplitudeOptions(api_key={"production": "P", "development": "D"})

    assert options.build({}, "development").api_key == "D"
    with pytest.raises(ConfigError, match="no entry for 'staging'"):
        options.build({}, "staging")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"min_id_length": 0}, "min_id_length"),
        ({"min_id_length": True}, "min_id_length"),
        ({"context_property": ""}, "context_property"),
        ({"context_property": 3}, "context_property"),
        ({"endpoint": "api.example.org"}, "endpoint"),
        ({"region": "mars"}, "region"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options, key):
    with pytest.raises(ConfigError, match=key) as caught:
        AmplitudeOptions(api_key="AK", **options)

    assert caught.value.key == key


@pytest.mark.parametrize("api_key", ["", "  ", None, 7], ids=repr)
def test_a_key_that_is_none_is_refused(api_key):
    with pytest.raises(ConfigError, match="api_key must be a non-empty string"):
        AmplitudeOptions(api_key=api_key).build({}, "production")


def test_no_repr_shows_the_key():
    options = AmplitudeOptions(api_key="s3cret")
    destination = options.build({}, "production")

    assert "s3cret" not in repr(options) + repr(destination) + repr(destination.request([], 0))
