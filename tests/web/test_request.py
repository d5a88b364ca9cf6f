"""What leaves a request and what does not, as tables."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import ConfigError
from itly_core.log import Log
from itly_web.reader import Reader, Reading, VisitorOptions
from itly_web.request import (
    AnonymousIdOptions,
    RequestRules,
    RequestView,
    browser_id,
    client_ip,
    facts,
    kind_of_robot,
    may_set_cookie,
    preferred_language,
    refusal,
)

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

    found = read(asked)
    assert found.context == {"method": "GET", "path": "/a", "user_agent": "Mozilla/5.0"}
    assert (found.browser_id, found.may_keep, found.refusal) == (None, False, None)


def read(asked: RequestView, rules: RequestRules = RULES, log: Log | None = None, **visitor: Any) -> Reading:
    options = VisitorOptions(**visitor)
    return Reader(lambda request: request, lambda request: None, rules, options, log or Log()).read(asked)


@pytest.mark.parametrize(
    ("headers", "rules", "expected"),
    [
        ({"HTTP_SEC_GPC": "1"}, RequestRules(gpc_action="drop"), "privacy"),
        ({"HTTP_SEC_GPC": "1"}, RequestRules(gpc_action="ignore"), None),
        ({"HTTP_SEC_GPC": "0"}, RequestRules(gpc_action="drop"), None),
        ({"HTTP_DNT": "1"}, RULES, None),
        ({"HTTP_DNT": "1"}, RequestRules(dnt_action="drop"), "privacy"),
        ({"HTTP_DNT": "1", "HTTP_SEC_GPC": "1"}, RequestRules(dnt_action="drop"), "privacy"),
    ],
)
def test_scenario_60_a_wish_for_privacy_is_met_as_the_settings_say(
    headers: dict[str, str], rules: RequestRules, expected: str | None
) -> None:
    found = read(view("/a", HTTP_COOKIE="ajs_anonymous_id=abc", **headers), rules)

    assert found.refusal == expected
    if expected is None:
        assert found.browser_id == "abc"


def test_do_not_track_can_anonymize_too() -> None:
    asked = view("/a", HTTP_DNT="1", HTTP_COOKIE="ajs_anonymous_id=abc", REMOTE_ADDR="203.0.113.7")
    found = read(asked, RequestRules(dnt_action="anonymize"))

    assert (found.browser_id, dict(found.context)) == (None, {"method": "GET", "path": "/a"})


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "bot"),
        ("facebookexternalhit/1.1", "bot"),
        ("Screaming Frog SEO Spider/19.0", "bot"),
        ("kube-probe/1.29", "test"),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0)", "test"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36", None),
        ("Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36", None),
        ("python-httpx/0.27", None),
        ("curl/8.0", None),
    ],
)
def test_scenario_61_robots_are_told_from_browsers_and_from_customers_programs(
    user_agent: str, expected: str | None
) -> None:
    assert kind_of_robot(user_agent) == expected
    assert fact("synthetic", HTTP_USER_AGENT=user_agent) == expected
    assert fact("synthetic", RequestRules(bots="off"), HTTP_USER_AGENT=user_agent) is None
    dropped = refusal(view("/a", HTTP_USER_AGENT=user_agent), RequestRules(bots="drop"))
    assert dropped == (None if expected is None else "bot")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/healthz", "excluded_path"),
        ("/health/", "excluded_path"),
        ("/static/app.js", "excluded_path"),
        ("/healthy-food/", None),
        ("/shop/static/", None),
        ("/", None),
    ],
)
def test_scenario_61_health_checks_and_files_make_no_calls(path: str, expected: str | None) -> None:
    assert refusal(view(path), RULES) == expected
    assert refusal(view(path), RequestRules(exclude_paths=())) is None


def test_an_excluded_path_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"exclude_paths holds '\(', which is no regular expression"):
        RequestRules(exclude_paths=("(",))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("granted", Reading(None, {"method": "GET", "path": "/a", "ip": "203.0.113.0"}, "abc", may_keep=True)),
        ("unknown", Reading(None, {"method": "GET", "path": "/a"})),
        ("denied", Reading("consent")),
        (None, Reading("consent")),
        (RuntimeError("on purpose"), Reading("consent")),
    ],
)
def test_without_consent_nothing_leaves_that_tells_people_apart(answer: Any, expected: Reading) -> None:
    def consent(request: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = view("/a", HTTP_COOKIE="ajs_anonymous_id=abc", REMOTE_ADDR="203.0.113.7")

    assert read(asked, log=Log(Silent()), consent=consent) == expected


class Silent:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        self.lines.append(message)

    info = warn = error = debug


def test_scenario_46_context_processors_add_facts_and_their_mistakes_cost_only_themselves() -> None:
    def broken(request: Any) -> Any:
        raise RuntimeError("on purpose")

    def slow(request: Any) -> Any:
        time.sleep(0.06)
        return {"plan": "pro"}

    told = Silent()
    processors = (broken, lambda request: None, slow, lambda request: {"tenant": UUID(int=1), "locale": "fr"})
    found = read(view("/a", HTTP_ACCEPT_LANGUAGE="de"), log=Log(told), context_processors=processors)

    expected = {"method": "GET", "path": "/a", "locale": "fr", "plan": "pro", "tenant": str(UUID(int=1))}
    assert found.context == expected
    assert [("raised" in line, "takes more than 50 ms" in line) for line in told.lines] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_scenario_60_a_context_processor_cannot_undo_a_wish_for_privacy() -> None:
    found = read(view("/a", HTTP_SEC_GPC="1"), context_processors=(lambda request: {"ip": "203.0.113.7", "a": 1},))

    assert found.context == {"method": "GET", "path": "/a", "a": 1}


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", False), ("max-age=60", False), ("public", False), ("private", True), ("max-age=0, No-Store", True)],
)
def test_scenario_59_only_a_private_response_may_carry_an_id(header: str, expected: bool) -> None:
    assert may_set_cookie(header) is expected


def test_a_cookie_of_our_own_counts_after_those_of_the_vendors() -> None:
    options = AnonymousIdOptions(cookie="visitor")

    assert browser_id(view(HTTP_COOKIE="visitor=mine"), options) == "mine"
    assert browser_id(view(HTTP_COOKIE="visitor=mine; ajs_anonymous_id=theirs"), options) == "theirs"
    assert browser_id(view(HTTP_COOKIE="visitor_2=other"), options) is None
    assert browser_id(view(HTTP_COOKIE="ajs_anonymous_id=theirs"), AnonymousIdOptions(adopt=("posthog",))) is None


@pytest.mark.parametrize(
    "given", [{"cookie": "a b"}, {"cookie": ""}, {"max_age": 0}, {"samesite": "None", "secure": False}]
)
def test_a_cookie_that_browsers_refuse_is_refused_here(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        AnonymousIdOptions(**given)


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
    assert browser_id(view(HTTP_COOKIE=cookies), AnonymousIdOptions()) == expected


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

    assert len(orjson.dumps([found, browser_id(asked, AnonymousIdOptions())])) < 20_000
