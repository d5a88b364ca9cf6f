"""What leaves a request and what does not, as tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import ConfigError
from itly_web.request import RequestRules, RequestView, adopted_id, client_ip, facts, preferred_language

RULES = RequestRules()


def view(path: str = "/", route: Callable[[], Any] = lambda: None, **variables: str) -> RequestView:
    return RequestView({"REQUEST_METHOD": "GET", **variables}, path, route)


def fact(name: str, rules: RequestRules = RULES, **variables: str) -> Any:
    return facts(view(**variables), rules).get(name)


def test_a_bare_request_has_method_and_path_only() -> None:
    assert facts(view("/shop/"), RULES) == {"method": "GET", "path": "/shop/"}


def test_facts_are_named_as_destinations_know_them() -> None:
    found = facts(
        view(
            "/shop/7/",
            lambda: "shop/<int:id>/",
            HTTP_USER_AGENT="Mozilla/5.0",
            HTTP_REFERER="https://news.example/today?page=2#top",
            HTTP_ACCEPT_LANGUAGE="de-CH, en;q=0.5",
            HTTP_X_REQUEST_ID="req-1",
            REMOTE_ADDR="203.0.113.77",
            QUERY_STRING="utm_source=news&ref=footer&token=secret",
        ),
        RULES,
    )

    assert found == {
        "method": "GET",
        "path": "/shop/7/",
        "route": "shop/<int:id>/",
        "referrer": "https://news.example/today",
        "user_agent": "Mozilla/5.0",
        "locale": "de-CH",
        "campaign": {"source": "news"},
        "search": "?utm_source=news&ref=footer",
        "request_id": "req-1",
        "ip": "203.0.113.0",
    }


@pytest.mark.parametrize(
    ("method", "expected"), [("GET", "GET"), ("DELETE", "DELETE"), ("get", "_OTHER"), ("' OR 1", "_OTHER")]
)
def test_an_unknown_method_is_other(method: str, expected: str) -> None:
    assert fact("method", REQUEST_METHOD=method) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("https://shop.example/a/b", "https://shop.example/a/b"),
        ("HTTPS://Shop.Example:8443", "https://shop.example:8443"),
        ("https://shop.example/reset?token=secret", "https://shop.example/reset"),
        ("https://shop.example/a#access_token=secret", "https://shop.example/a"),
        ("https://shop.example?token=secret", "https://shop.example"),
        ("https://user:password@shop.example/a", "https://shop.example/a"),
        ("http://[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a"),
        ("android-app://com.example.app/", "android-app://com.example.app/"),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("https://", None),
        ("https://shop example/", None),
        ("http://[::1", None),
        ("not a url", None),
        ("", None),
    ],
)
def test_scenario_32_a_referrer_is_origin_and_path(header: str, expected: str | None) -> None:
    assert fact("referrer", HTTP_REFERER=header) == expected


@pytest.mark.parametrize(
    ("query", "campaign", "search"),
    [
        ("", None, None),
        ("token=secret&password=secret", None, None),
        (
            "utm_source=a&utm_medium=b&utm_campaign=c&utm_term=d&utm_content=e",
            {"source": "a", "medium": "b", "name": "c", "term": "d", "content": "e"},
            "?utm_source=a&utm_medium=b&utm_campaign=c&utm_term=d&utm_content=e",
        ),
        ("utm_source=first&utm_source=second", {"source": "first"}, "?utm_source=first"),
        ("utm_source=spring+sale%21", {"source": "spring sale!"}, "?utm_source=spring+sale!"),
        ("utm_source=a%26token%3Db", {"source": "a&token=b"}, "?utm_source=a%26token=b"),
        ("UTM_SOURCE=a&utm_unknown=b", None, None),
        ("utm_source=", None, None),
        ("utm_source=%ff%fe", {"source": "\ufffd\ufffd"}, "?utm_source=\ufffd\ufffd"),
        ("x=utm_source&utm_source", None, None),
    ],
)
def test_scenario_32_only_allowed_query_parameters_leave(query: str, campaign: Any, search: Any) -> None:
    found = facts(view(QUERY_STRING=query), RULES)

    assert (found.get("campaign"), found.get("search")) == (campaign, search)


def test_the_allow_list_is_the_only_way_out_for_campaigns_too() -> None:
    rules = RequestRules(query_allowlist=("plan",))

    found = facts(view(QUERY_STRING="utm_source=a&plan=pro&ref=x"), rules)

    assert "campaign" not in found
    assert found["search"] == "?plan=pro"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("en", "en"),
        ("de;q=0.5, en-GB, fr;q=0.9", "en-GB"),
        ("de, en", "de"),
        ("de;q=0, en;q=0.1", "en"),
        ("*", None),
        ("*, nl;q=0.2", "nl"),
        ("en;q=nonsense, fr;q=0.3", "fr"),
        ("en;q=7", None),
        ("<script>, x_y", None),
        (";;;,,,=", None),
        ("", None),
    ],
)
def test_a_locale_is_the_language_liked_best(header: str, expected: str | None) -> None:
    assert preferred_language(header) == expected


def test_the_language_the_application_chose_wins() -> None:
    chosen = view(HTTP_ACCEPT_LANGUAGE="de")._replace(locale=lambda: "pt-br")

    assert facts(chosen, RULES)["locale"] == "pt-br"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HTTP_X_REQUEST_ID": "abc-123"}, "abc-123"),
        ({"HTTP_X_REQUEST_ID": "a" * 500}, "a" * 128),
        ({"HTTP_X_REQUEST_ID": "line\r\nbreak \x00 \u00e9"}, "linebreak"),
        ({"HTTP_TRACEPARENT": f"00-{'4b' * 16}-{'00f0' * 4}-01"}, "4b" * 16),
        ({"HTTP_TRACEPARENT": f"00-{'0' * 32}-{'00f0' * 4}-01"}, None),
        ({"HTTP_TRACEPARENT": "nonsense"}, None),
        ({"HTTP_X_REQUEST_ID": " ", "HTTP_TRACEPARENT": f"00-{'4b' * 16}-{'00f0' * 4}-01"}, "4b" * 16),
    ],
)
def test_a_request_id_is_short_and_visible(variables: dict[str, str], expected: str | None) -> None:
    assert fact("request_id", **variables) == expected


@pytest.mark.parametrize(
    ("text", "truncated", "full"),
    [
        ("203.0.113.77", "203.0.113.0", "203.0.113.77"),
        ("203.0.113.77:4711", "203.0.113.0", "203.0.113.77"),
        ("2001:db8:abcd:12:34::1", "2001:db8:abcd::", "2001:db8:abcd:12:34::1"),
        ("[2001:db8:abcd:12::1]:443", "2001:db8:abcd::", "2001:db8:abcd:12::1"),
        ("fe80::1%eth0", "fe80::", "fe80::1"),
        ("::ffff:203.0.113.77", "203.0.113.0", "203.0.113.77"),
        ("", None, None),
        ("unknown", None, None),
        ("203.0.113", None, None),
        ("203.0.113.077", None, None),
        ("[::1", "::", "::1"),
        ("1" * 5000, None, None),
        ("'; DROP TABLE visits", None, None),
    ],
)
def test_an_address_loses_port_zone_and_host_part(text: str, truncated: str | None, full: str | None) -> None:
    assert (client_ip(text, True), client_ip(text, False)) == (truncated, full)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "10.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.9", "198.51.100.1"),
        (2, "198.51.100.1,10.0.0.9", "198.51.100.1"),
        (1, "[2001:db8::7]:5555", "2001:db8::7"),
        (1, "6.6.6.6, nonsense", None),
        (2, "198.51.100.1", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, ",", "10.0.0.1"),
        (1, "6.6.6.6," * 10_000 + "198.51.100.1", "198.51.100.1"),
    ],
    ids=[
        "not trusted",
        "one proxy",
        "forged entry in front",
        "two proxies behind a forged entry",
        "no spaces",
        "IPv6 with port",
        "garbage from the proxy",
        "did not pass all proxies",
        "no header",
        "empty entries",
        "very long",
    ],
)
def test_forwarded_addresses_count_from_the_right(proxies: int, forwarded: str, expected: str | None) -> None:
    rules = RequestRules(trusted_proxies=proxies, ip="full")

    assert fact("ip", rules, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded) == expected


def test_no_address_leaves_where_it_is_switched_off() -> None:
    assert fact("ip", RequestRules(ip="off"), REMOTE_ADDR="203.0.113.7") is None


def test_a_negative_number_of_proxies_is_refused() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies must be 0 or more"):
        RequestRules(trusted_proxies=-1)


def test_only_captured_facts_leave() -> None:
    rules = RequestRules(capture=("route",), ip="off")

    assert facts(view("/secret/7", lambda: "secret/<id>", HTTP_USER_AGENT="x"), rules) == {"route": "secret/<id>"}


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("Shop.example:8000", "https", "https://shop.example:8000/a"),
        ("evil.example/path", "https", None),
        ("a b", "https", None),
        ("", "https", None),
        ("shop.example", "gopher", None),
    ],
)
def test_scenario_30_a_page_url_never_asks_the_framework_for_the_host(
    host: str, scheme: str, expected: str | None
) -> None:
    rules = RequestRules(capture=("page_url",))
    asked = view("/a", HTTP_HOST=host, QUERY_STRING="token=secret")._replace(scheme=lambda: scheme)

    assert facts(asked, rules).get("page_url") == expected


def test_scenario_60_global_privacy_control_withholds_whatever_tells_people_apart() -> None:
    asked = view(
        "/a",
        HTTP_SEC_GPC="1",
        HTTP_USER_AGENT="Mozilla/5.0",
        HTTP_REFERER="https://news.example/",
        REMOTE_ADDR="203.0.113.7",
        QUERY_STRING="utm_source=news",
        HTTP_COOKIE="ajs_anonymous_id=abc",
    )

    assert facts(asked, RULES) == {"method": "GET", "path": "/a", "user_agent": "Mozilla/5.0"}
    assert adopted_id(asked) is None


def amplitude(**state: Any) -> str:
    return base64.b64encode(quote(json.dumps(state)).encode()).decode()


def posthog(**state: Any) -> str:
    return quote(json.dumps({name.replace("S_", "$"): value for name, value in state.items()}))


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("", None),
        ("sessionid=secret; csrftoken=secret", None),
        ("ajs_anonymous_id=6f1d-42", "6f1d-42"),
        ("a=b; ajs_anonymous_id=%226f1d-42%22; c=d", "6f1d-42"),
        ('ajs_anonymous_id="6f1d-42"', "6f1d-42"),
        ("ajs_user_id=user-1", None),
        (f"AMP_0123456789={amplitude(deviceId='dev-1', userId='user-1')}", "dev-1"),
        (f"AMP_0123456789={quote(amplitude(deviceId='dev-1'))}", "dev-1"),
        (f"AMP_0123456789={quote(json.dumps({'deviceId': 'dev-1'}))}", "dev-1"),
        (f"AMP_MKTG_0123456789={amplitude(utm_source='news')}", None),
        ("AMP_0123456789=%%%not-base64", None),
        (f"ph_key_posthog={posthog(distinct_id='anon-1', S_device_id='anon-1')}", "anon-1"),
        (f"ph_key_posthog={posthog(distinct_id='user-1', S_device_id='d-1', S_user_state='identified')}", "d-1"),
        (f"ph_key_posthog={posthog(distinct_id='jane@example.org')}", None),
        ("ph_key_posthog=[1]", None),
        ("ph_phc_key=x", None),
        ("ajs_anonymous_id=" + "x" * 200, None),
        ("ajs_anonymous_id=two words", None),
        ("ajs_anonymous_id=\x00\udcff", None),
        (f"ajs_anonymous_id=seg; AMP_0123456789={amplitude(deviceId='dev')}", "seg"),
        (f"AMP_0123456789={amplitude(deviceId='dev')}; ajs_anonymous_id=seg", "seg"),
        ("x=" + "y" * 100_000 + "; ajs_anonymous_id=late", None),
    ],
)
def test_a_browser_id_is_adopted_from_the_vendors_own_cookies(cookies: str, expected: str | None) -> None:
    assert adopted_id(view(HTTP_COOKIE=cookies)) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("x" * 1_000_000, "x" * 512),
        ("tab\there", "tab\ufffdhere"),
        ("Ger\u00e4t".encode().decode("latin-1"), "Ger\u00e4t"),
        ("Ger\u00e4t \u4e2d", "Ger\u00e4t \u4e2d"),
        ("bad \udc80 surrogate", "bad \ufffd surrogate"),
        ("\u00ff", "\ufffd"),
    ],
)
def test_scenario_31_text_is_cut_and_valid(header: str, expected: str) -> None:
    assert fact("user_agent", HTTP_USER_AGENT=header) == expected


def test_scenario_39_what_a_framework_cannot_tell_is_unknown() -> None:
    def broken() -> str:
        raise AttributeError("no resolver match")

    assert facts(RequestView({}, "", broken, broken, broken), RULES) == {}


HEADERS = [
    "REQUEST_METHOD",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "HTTP_USER_AGENT",
    "HTTP_REFERER",
    "HTTP_ACCEPT_LANGUAGE",
    "HTTP_X_REQUEST_ID",
    "HTTP_TRACEPARENT",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_COOKIE",
    "HTTP_HOST",
    "HTTP_SEC_GPC",
]
ANYTHING = st.text(st.characters(), max_size=60)
SHAPED = st.sampled_from(
    [
        "https://[",
        "utm_source=%",
        "AMP_a=e30",
        "ph_a_posthog=%7B%7D",
        "::1%",
        "en;q=",
        "00-",
        "[",
        "%",
        "ajs_anonymous_id=",
    ]
)


@given(
    path=ANYTHING,
    variables=st.dictionaries(st.sampled_from(HEADERS), st.one_of(ANYTHING, st.builds(str.__add__, SHAPED, ANYTHING))),
    proxies=st.integers(0, 3),
)
def test_scenario_31_nothing_in_a_request_can_raise_or_break_the_encoding(
    path: str, variables: dict[str, str], proxies: int
) -> None:
    capture = (*RequestRules().capture, "page_url")
    asked = RequestView(variables, path, lambda: path, lambda: None, lambda: "http")

    found = facts(asked, RequestRules(trusted_proxies=proxies, capture=capture))  # type: ignore[arg-type]

    assert len(orjson.dumps([found, adopted_id(asked)])) < 20_000
