"""Calls as Segment's wire format, byte for byte, and its answers as outcomes."""

from __future__ import annotations

import orjson
import pytest

from itly_core.destinations.segment import Segment, SegmentOptions, iso_ms
from itly_core.errors import ConfigError, Violation
from itly_core.version import VERSION
from itly_core.wire import Bisect, Hold, Ok, Reject, Response, Retry, Split

ID = "0190b3c2-6a0e-7c1e-9a55-0d2f6f3b1e01"
LIBRARY = f'"context":{{"library":{{"name":"itly-python","version":"{VERSION}"}}}}'.encode()
PIECES = [b"{}"] * 4


def build(environment="production", **options) -> Segment:
    return SegmentOptions(write_key="WK", **options).build({}, environment)


def message(call, **options) -> dict:
    (piece,) = build(**options).pieces(call)
    return orjson.loads(piece)


def head(kind: str) -> bytes:
    return f'{{"type":"{kind}","messageId":"{ID}","timestamp":"2026-01-01T00:00:00.123Z",'.encode() + LIBRARY


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"properties": {"total": 12.5}},
            head("track") + b',"event":"Order Completed","properties":{"total":12.5},"userId":"42"}',
            id="track",
        ),
        pytest.param(
            {"kind": "identify", "name": None, "traits": {"tier": "pro"}},
            head("identify") + b',"traits":{"tier":"pro"},"userId":"42"}',
            id="identify",
        ),
        pytest.param(
            {"kind": "group", "name": None, "group_id": "acme", "group_type": "group", "traits": {"seats": 10}},
            head("group") + b',"groupId":"acme","traits":{"seats":10},"userId":"42"}',
            id="group",
        ),
        pytest.param(
            {"kind": "page", "name": "Intro", "category": "Docs", "properties": {"lang": "en"}},
            head("page") + b',"properties":{"lang":"en"},"name":"Intro","category":"Docs","userId":"42"}',
            id="page",
        ),
        pytest.param(
            {"kind": "page", "name": None}, head("page") + b',"properties":{},"userId":"42"}', id="page without a name"
        ),
        pytest.param(
            {"kind": "alias", "name": None, "previous_id": "anonymous-7"},
            head("alias") + b',"previousId":"anonymous-7","userId":"42"}',
            id="alias",
        ),
    ],
)
def test_each_kind_of_call_has_its_bytes(call, fields, expected):
    assert list(build().pieces(call(**fields))) == [expected]


@pytest.mark.parametrize(
    ("user_id", "anonymous_id", "expected"),
    [
        ("42", "anon-1", ("42", "anon-1")),
        (None, "anon-1", (None, "anon-1")),
        ("42", None, ("42", None)),
        (None, None, (None, ID)),
        ("", "", (None, ID)),
    ],
    ids=["both", "anonymous", "known", "nobody", "empty"],
)
def test_every_message_names_somebody(call, user_id, anonymous_id, expected):
    sent = message(call(user_id=user_id, anonymous_id=anonymous_id))

    assert (sent.get("userId"), sent.get("anonymousId")) == expected


def test_request_facts_have_segments_names(call):
    facts = {
        "ip": "203.0.113.0",
        "user_agent": "Mozilla/5.0",
        "locale": "de",
        "referrer": "https://example.org/a",
        "page_url": "https://shop.example/orders/7",
        "method": "GET",
        "path": "/orders/7",
        "route": "/orders/<id>",
        "request_id": "r-1",
        "campaign": {"source": "mail", "name": "spring"},
    }

    assert message(call(context=facts))["context"] == {
        "library": {"name": "itly-python", "version": VERSION},
        "ip": "203.0.113.0",
        "userAgent": "Mozilla/5.0",
        "locale": "de",
        "page": {"url": "https://shop.example/orders/7", "path": "/orders/7", "referrer": "https://example.org/a"},
        "campaign": {"source": "mail", "name": "spring"},
        "method": "GET",
        "route": "/orders/<id>",
        "requestId": "r-1",
    }


def test_facts_given_with_the_call_keep_their_names(call):
    context = message(call(context={"timezone": "UTC", "path": "/a", "page": {"title": "A", "path": "/b"}}))["context"]

    assert context["timezone"] == "UTC"
    assert context["page"] == {"path": "/b", "title": "A"}


def test_a_page_that_is_no_object_gives_way(call):
    assert message(call(context={"path": "/a", "page": "x"}))["context"]["page"] == {"path": "/a"}


@pytest.mark.parametrize(
    ("groups", "group_id"),
    [({"org": "acme"}, "acme"), ({"org": "acme", "team": "a"}, None), ({"org": ["a", "b"]}, None), ({}, None)],
    ids=["one", "several types", "several ids", "none"],
)
def test_the_one_group_is_the_group_id(call, groups, group_id):
    context = message(call(groups=groups))["context"]

    assert context.get("groupId") == group_id
    assert context.get("groups", {}) == groups


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.1.0", {"event_version": 2}), ("3", {"event_version": 3}), ("v3", None), ("", None), ("\u0663", None)],
    ids=["semantic", "integer", "word", "none", "other digits"],
)
def test_event_version_is_an_integer(call, version, expected):
    assert message(call(plan={"version": "1.0.0", "event_version": version}))["context"].get("protocols") == expected


def test_invalid_calls_say_where_and_why_but_quote_no_values(call):
    broken = (Violation("card.number", "'4111' is too short", "minLength"), Violation("", "nothing", "unknown_event"))

    assert message(call(violations=broken))["context"]["itly"] == {
        "valid": False,
        "violations": [{"path": "card.number", "rule": "minLength"}, {"path": "", "rule": "unknown_event"}],
    }


def test_own_fields_are_laid_over_the_message(call):
    over = {"integrations": {"All": False, "Mixpanel": True}, "context": {"device": {"type": "pos"}}}

    sent = message(call(destinations={"segment": over, "amplitude": {"no": 1}}))

    assert sent["integrations"] == {"All": False, "Mixpanel": True}
    assert sent["context"]["device"] == {"type": "pos"}
    assert sent["context"]["library"]["name"] == "itly-python"
    assert "no" not in sent


def test_the_library_named_by_one_call_is_not_that_of_the_next(call):
    message(call(destinations={"segment": {"context": {"library": {"name": "other"}}}}))

    assert message(call())["context"]["library"]["name"] == "itly-python"


@pytest.mark.parametrize(
    "value",
    ["\u0000\u001f\u2028'\"\\</script>", "\U0001f600", {"": [None, True, 1e308, -(2**63)]}, "x" * 5000],
    ids=["control", "astral", "nested", "long"],
)
def test_hostile_values_arrive_unchanged(call, value):
    sent = message(call(name=str(value), properties={"value": value, str(value): 1}))

    assert (sent["event"], sent["properties"]["value"]) == (str(value), value)


@pytest.mark.parametrize(
    ("moment_ms", "text"),
    [
        (1767225600123, "2026-01-01T00:00:00.123Z"),
        (1767225600007, "2026-01-01T00:00:00.007Z"),
        (1798761599000, "2026-12-31T23:59:59.000Z"),
        (-30641662555000, "0999-01-02T03:04:05.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
    ids=["milliseconds", "zeros", "whole second", "old", "before the epoch"],
)
def test_times_have_three_digits_and_z(moment_ms, text):
    assert iso_ms(moment_ms) == text


def test_request_is_these_bytes():
    request = build().request([b'{"a":1}', b'{"b":2}'], 1767225601000)

    assert request.url == "https://api.segment.io/v1/batch"
    assert request.body == (b'{"writeKey":"WK","sentAt":"2026-01-01T00:00:01.000Z","batch":[{"a":1},{"b":2}]}')
    assert request.headers == {"Content-Type": "application/json", "Authorization": "Basic V0s6"}


def test_only_the_time_of_sending_differs_between_attempts(call):
    pieces = build().pieces(call())

    first, second = (build().request(pieces, at_ms).body for at_ms in (1767225601000, 1767225602500))

    assert second == first.replace(b"00:00:01.000Z", b"00:00:02.500Z")


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://api.segment.io/v1/batch"),
        ({"region": "eu"}, "https://events.eu1.segmentapis.com/v1/batch"),
        ({"endpoint": "http://127.0.0.1:9/v1/batch"}, "http://127.0.0.1:9/v1/batch"),
    ],
    ids=["us", "eu", "endpoint"],
)
def test_region_and_endpoint_choose_the_address(options, url):
    assert build(**options).request([], 0).url == url


def test_a_full_request_stays_below_segments_limits():
    limits = build().limits
    piece = b"x" * limits.max_piece_bytes
    pieces = [piece] * (limits.max_bytes // limits.max_piece_bytes)

    assert limits.max_pieces <= 2500
    assert limits.max_piece_bytes <= 32 * 1024
    assert len(build().request(pieces, 0).body) <= 500_000


def answer(status, body=b'{"success":true}', **headers) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        pytest.param(answer(200), Ok(), id="200"),
        pytest.param(answer(200, b"ok"), Ok(), id="200 text"),
        pytest.param(answer(200, b""), Ok(), id="200 empty"),
        pytest.param(answer(301, location="https://elsewhere.example"), None, id="301"),
        pytest.param(answer(400, b"malformed JSON"), Bisect("HTTP 400"), id="400"),
        pytest.param(answer(401), Hold("HTTP 401"), id="401"),
        pytest.param(answer(403), Hold("HTTP 403"), id="403"),
        pytest.param(answer(404), Hold("HTTP 404"), id="404"),
        pytest.param(answer(408), Retry("HTTP 408", ambiguous=True), id="408"),
        pytest.param(answer(410), Retry("HTTP 410", ambiguous=True), id="410"),
        pytest.param(answer(413), Split(), id="413"),
        pytest.param(answer(422), Bisect("HTTP 422"), id="422"),
        pytest.param(answer(429), Retry("HTTP 429", throttled=True), id="429"),
        pytest.param(answer(429, retry_after="3"), Retry("HTTP 429", 3.0, throttled=True), id="429 Retry-After"),
        pytest.param(answer(429, x_ratelimit_reset="7"), Retry("HTTP 429", 7.0, throttled=True), id="429 reset"),
        pytest.param(
            answer(429, retry_after="9", x_ratelimit_reset="7"), Retry("HTTP 429", 9.0, throttled=True), id="429 both"
        ),
        pytest.param(
            answer(429, retry_after="Thu, 01 Jan 2026 00:00:12 GMT", date="Thu, 01 Jan 2026 00:00:02 GMT"),
            Retry("HTTP 429", 10.0, throttled=True),
            id="429 date",
        ),
        pytest.param(answer(429, retry_after="soon"), Retry("HTTP 429", throttled=True), id="429 unreadable"),
        pytest.param(answer(460), Retry("HTTP 460", ambiguous=True), id="460"),
        pytest.param(answer(500), Retry("HTTP 500", ambiguous=True), id="500"),
        pytest.param(answer(501), Reject("HTTP 501"), id="501"),
        pytest.param(answer(502, b"<html>"), Retry("HTTP 502", ambiguous=True), id="502"),
        pytest.param(answer(503), Retry("HTTP 503"), id="503"),
        pytest.param(answer(503, retry_after="2"), Retry("HTTP 503", 2.0, throttled=True), id="503 Retry-After"),
        pytest.param(answer(504), Retry("HTTP 504", ambiguous=True), id="504"),
        pytest.param(answer(505), Reject("HTTP 505"), id="505"),
        pytest.param(answer(511), Retry("HTTP 511", ambiguous=True), id="511"),
        pytest.param(answer(599), Retry("HTTP 599", ambiguous=True), id="599"),
    ],
)
def test_answers_become_outcomes(response, outcome):
    found = build().classify(response, PIECES)

    assert found == outcome if outcome is not None else isinstance(found, Hold)


def test_200_of_a_proxy_is_tried_again():
    assert isinstance(build().classify(answer(200, b"\n<html>"), PIECES), Retry)


def test_a_single_refused_message_is_final():
    assert build().classify(answer(400, b""), PIECES[:1]) == Reject("HTTP 400")


def test_key_may_depend_on_the_environment():
    options = SegmentOptions(write_key={"production": "P"})

    assert options.build({}, "production").write_key == "P"
    with pytest.raises(ConfigError, match="write_key has no entry for 'development'"):
        options.build({}, "development")


def test_no_repr_shows_the_key():
    options = SegmentOptions(write_key="s3cret")
    destination = options.build({}, "production")

    assert "s3cret" not in repr(options) + repr(destination) + repr(destination.request([], 0))
