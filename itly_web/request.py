"""From one HTTP request to the facts that may travel with an analytics call, and nothing else.

Pure, and knows no framework: an adapter fills a `RequestView`; `facts`, `refusal` and `browser_id` read it. Everything in a
request is written by whoever sent it, so every value is cut, cleaned and bounded, and nothing in here raises. Not read
at all: the body, the session, the application's own cookies, headers not named below, and anything that asks the
framework for the host (which raises on a bad one).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, unquote_plus

import orjson

from itly_core.errors import ConfigError

Fact = Literal[
    "path", "route", "method", "referrer", "user_agent", "locale", "campaign", "search", "request_id", "page_url"
]

Privacy = Literal["anonymize", "drop", "ignore"]
BrowserLibrary = Literal["segment", "amplitude", "posthog"]

MAX_TEXT = 512  # characters of a user agent, a route, a referrer's path
MAX_PATH = 2048
MAX_ID = 128
MAX_QUERY = 8192  # characters of the query string looked at
MAX_PAIRS = 200
MAX_COOKIES = 16_384  # what browsers and servers allow for all cookies of a request
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
CAMPAIGN = {
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_campaign": "name",
    "utm_term": "term",
    "utm_content": "content",
}
WITHHELD = frozenset({"referrer", "campaign", "search", "ip"})  # of who wants not to be told apart
EXCLUDED = (r"/(?:health|healthz|healthcheck|livez|readyz|metrics)/?$", "/static/", "/admin/jsi18n/")

_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,7}")
_HOST_TEXT = r"(?:[A-Za-z0-9._\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_HOST = re.compile(_HOST_TEXT)
_REFERRER = re.compile(
    rf"(https?|android-app)://(?:[^/?#]*@)?({_HOST_TEXT})(?:(/[^?#]*)|[?#]|\Z)", re.IGNORECASE | re.ASCII
)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ID = re.compile(r"[!-?A-~]{1,128}")  # visible ASCII but for "@": an address is not an anonymous id
_NO_TRACE = "0" * 32
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
# Programs that fetch pages for others, and those that only look whether the site is up. Not `bot` alone: there are phones
# named Cubot. Not HTTP libraries either: what calls an API is a customer's program, and customers are counted.
_BOTS = re.compile(
    r"(?<!cu)bot(?![a-z])|crawler|spider|slurp|facebookexternalhit|mediapartners-google|google-read-aloud|bingpreview"
    r"|ia_archiver|archive\.org|headlesschrome|embedly|whatsapp/|skypeuripreview",
    re.IGNORECASE,
)
_MONITORS = re.compile(
    r"kube-probe|elb-healthchecker|googlehc|googlestackdrivermonitoring|uptimerobot|pingdom|statuscake|site24x7|newrelicpinger"
    r"|datadogsynthetics|checkly|chrome-lighthouse|better uptime",
    re.IGNORECASE,
)


def _nothing() -> None:
    return None


class RequestView(NamedTuple):
    """One request, as an adapter presents it.

    variables: the CGI variables (WSGI's environ, Django's META): REQUEST_METHOD, QUERY_STRING, REMOTE_ADDR, HTTP_*.
    path: decoded, with the application's prefix. route: the pattern that matched, asked only when captured; likewise
    locale (the language the application chose, if it chose one) and scheme. The three may raise: that is "unknown".
    """

    variables: Mapping[str, Any]
    path: str
    route: Callable[[], str | None] = _nothing
    locale: Callable[[], str | None] = _nothing
    scheme: Callable[[], str | None] = _nothing


@dataclass(frozen=True, kw_only=True)
class AnonymousIdOptions:
    """Where the id of a browser comes from.

    adopt: the browser libraries whose cookies are read. cookie: name of a cookie of our own, for browsers without one of
    theirs; None: none is set. It is set with consent only, and on private responses only. max_age: its life in seconds.
    secure: None: where the request came over HTTPS.
    """

    adopt: tuple[BrowserLibrary, ...] = ("segment", "amplitude", "posthog")
    cookie: str | None = None
    max_age: int = 31_536_000
    samesite: Literal["Lax", "Strict", "None"] = "Lax"
    secure: bool | None = None

    def __post_init__(self) -> None:
        if self.cookie is not None and not _COOKIE_NAME.fullmatch(self.cookie):
            raise ConfigError(f"cookie must be the name of a cookie, got {self.cookie!r}", key="cookie")
        if self.max_age <= 0:
            raise ConfigError(f"max_age must be above 0 seconds, got {self.max_age!r}", key="max_age")
        if self.samesite == "None" and self.secure is False:
            raise ConfigError("secure must not be False with samesite 'None': browsers refuse it", key="secure")


@dataclass(frozen=True, kw_only=True)
class RequestRules:
    """Which facts leave a request, how much of them, and whose calls are not taken at all.

    capture: the facts to take. ip: "truncated" keeps the /24 or /48. trusted_proxies: how many proxies of ours a
    request passes; the address is counted from the right of X-Forwarded-For, and the header is ignored at 0.
    query_allowlist: the only query parameters that are read at all. exclude_paths: regular expressions, matched from the
    beginning of the path. bots: "tag" adds the fact `synthetic`. gpc_action, dnt_action: what `Sec-GPC: 1` and `DNT: 1` do.
    """

    capture: tuple[Fact, ...] = (
        "path",
        "route",
        "method",
        "referrer",
        "user_agent",
        "locale",
        "campaign",
        "search",
        "request_id",
    )
    ip: Literal["off", "truncated", "full"] = "truncated"
    trusted_proxies: int = 0
    query_allowlist: tuple[str, ...] = (*CAMPAIGN, "ref")
    exclude_paths: tuple[str, ...] = EXCLUDED
    bots: Literal["tag", "drop", "off"] = "tag"
    gpc_action: Privacy = "anonymize"
    dnt_action: Privacy = "ignore"
    anonymous_id: AnonymousIdOptions = field(default_factory=AnonymousIdOptions)

    def __post_init__(self) -> None:
        for pattern in self.exclude_paths:
            try:
                re.compile(pattern)
            except re.error as exc:
                text = f"exclude_paths holds {pattern!r}, which is no regular expression: {exc}"
                raise ConfigError(text, key="exclude_paths") from exc
        if self.trusted_proxies < 0:
            text = f"trusted_proxies must be 0 or more, got {self.trusted_proxies!r}"
            raise ConfigError(text, key="trusted_proxies")

    @cached_property
    def readers(self) -> tuple[tuple[str, _Read], ...]:
        """What reads the chosen facts, by name."""
        chosen: dict[str, _Read] = {name: read for name, read in READERS.items() if name in self.capture}
        if self.ip != "off":
            chosen["ip"] = _ip
        if self.bots == "tag":
            chosen["synthetic"] = _synthetic
        return tuple(chosen.items())

    @cached_property
    def excluded(self) -> re.Pattern[str] | None:
        """All excluded paths in one."""
        return re.compile("|".join(f"(?:{pattern})" for pattern in self.exclude_paths)) if self.exclude_paths else None


_Read = Callable[[RequestView, RequestRules], Any]


def privacy(view: RequestView, rules: RequestRules) -> Privacy:
    """What a browser's wish not to be tracked comes to here: the stricter of Global Privacy Control
    (https://www.w3.org/TR/gpc/) and Do Not Track."""
    if "HTTP_SEC_GPC" not in view.variables and "HTTP_DNT" not in view.variables:
        return "ignore"
    wishes = {
        rules.gpc_action if view.variables.get("HTTP_SEC_GPC") == "1" else "ignore",
        rules.dnt_action if view.variables.get("HTTP_DNT") == "1" else "ignore",
    }
    return "drop" if "drop" in wishes else "anonymize" if "anonymize" in wishes else "ignore"


def refusal(view: RequestView, rules: RequestRules) -> str | None:
    """Why the calls of a request are not taken, as one word for the counters; None when they are."""
    if rules.excluded is not None and rules.excluded.match(view.path):
        return "excluded_path"
    if rules.bots == "drop" and _synthetic(view, rules):
        return "bot"
    return "privacy" if privacy(view, rules) == "drop" else None


def facts(view: RequestView, rules: RequestRules, *, is_private: bool = False) -> dict[str, Any]:
    """The facts of a request by their neutral names. What is unknown, unreadable or withheld is absent."""
    found: dict[str, Any] = {}
    for name, read in rules.readers:
        if is_private and name in WITHHELD:
            continue
        try:
            value = read(view, rules)
        except Exception:  # noqa: BLE001, S112  # a hostile header or a framework's property: the fact is unknown
            continue
        if value:
            found[name] = value
    return found


def browser_id(view: RequestView, options: AnonymousIdOptions) -> str | None:
    """The id this browser has from a vendor's library, by that library's own cookie, else from our cookie."""
    cookies = view.variables.get("HTTP_COOKIE")
    if not isinstance(cookies, str):
        return None
    readers = _cookie_readers(options)
    if not any(prefix in cookies for prefix in readers):
        return None
    found: dict[str, str] = {}
    for pair in cookies[:MAX_COOKIES].split(";"):
        name, _, value = pair.strip().partition("=")
        for prefix, read in readers.items():
            if name.startswith(prefix) and prefix not in found:
                try:
                    identifier = read(name, value.strip('"'))
                except Exception:  # noqa: BLE001, S112  # not what that library writes
                    continue
                if isinstance(identifier, str) and _ID.fullmatch(identifier):
                    found[prefix] = identifier
    return next((found[prefix] for prefix in readers if prefix in found), None)


def may_set_cookie(cache_control: str) -> bool:
    """Whether a response with that header is for this visitor alone: a cached cookie would give everybody one id."""
    directives = {directive.strip().partition("=")[0].lower() for directive in cache_control.split(",")}
    return bool(directives & {"private", "no-store"})


# One reader a fact


def _method(view: RequestView, rules: RequestRules) -> str | None:
    method = view.variables.get("REQUEST_METHOD")
    return None if method is None else method if method in METHODS else "_OTHER"


def _path(view: RequestView, rules: RequestRules) -> str | None:
    return clean(view.path, MAX_PATH)


def _route(view: RequestView, rules: RequestRules) -> str | None:
    return clean(view.route(), MAX_TEXT)


def _user_agent(view: RequestView, rules: RequestRules) -> str | None:
    agent = view.variables.get("HTTP_USER_AGENT")
    return _clean_agent(str(agent)[: 4 * MAX_TEXT]) if agent else None


@lru_cache(maxsize=512)
def _clean_agent(header: str) -> str | None:
    return clean_header(header, MAX_TEXT)


def _referrer(view: RequestView, rules: RequestRules) -> str | None:
    """Origin and path. Whoever put a user name, a query or a fragment there meant it for the browser."""
    header = view.variables.get("HTTP_REFERER")
    return origin_and_path(str(header)[:MAX_PATH]) if header else None


@lru_cache(maxsize=512)
def origin_and_path(url: str) -> str | None:
    """A URL without credentials, query and fragment; None when it is none of a page's."""
    match = _REFERRER.match(url)
    if match is None:
        return None
    scheme, host, path = match.groups("")
    return f"{scheme.lower()}://{host.lower()}{clean_header(path, MAX_TEXT) or ''}"


def _locale(view: RequestView, rules: RequestRules) -> str | None:
    chosen = view.locale()
    if chosen:
        return str(chosen) if _LANGUAGE.fullmatch(str(chosen)) else None
    header = view.variables.get("HTTP_ACCEPT_LANGUAGE")
    return preferred_language(header[:256]) if header else None


def _campaign(view: RequestView, rules: RequestRules) -> dict[str, str] | None:
    query = view.variables.get("QUERY_STRING")
    if not query or "utm_" not in query:
        return None
    allowed = _allowed(query, rules)
    return {CAMPAIGN[name]: value for name, value in allowed.items() if name in CAMPAIGN}


def _search(view: RequestView, rules: RequestRules) -> str | None:
    """The query string, of allowed parameters only, in the form `?a=b&c=d`."""
    query = view.variables.get("QUERY_STRING")
    if not query:
        return None
    allowed = _allowed(query, rules)
    return "?" + "&".join(f"{name}={_requoted(value)}" for name, value in allowed.items()) if allowed else None


def _request_id(view: RequestView, rules: RequestRules) -> str | None:
    """X-Request-ID, or the trace id of a traceparent (https://www.w3.org/TR/trace-context/)."""
    given = view.variables.get("HTTP_X_REQUEST_ID")
    if given:
        kept = "".join(char for char in given[: 2 * MAX_ID] if "!" <= char <= "~")[:MAX_ID]
        if kept:
            return kept
    traceparent = view.variables.get("HTTP_TRACEPARENT")
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match and match[1] != _NO_TRACE else None


def _ip(view: RequestView, rules: RequestRules) -> str | None:
    text = forwarded_for(view.variables, rules.trusted_proxies)
    return client_ip(text, rules.ip == "truncated") if text is not None else None


def _page_url(view: RequestView, rules: RequestRules) -> str | None:
    """Scheme, host and path. The Host header is the client's word, used for nothing but this text."""
    host = str(view.variables.get("HTTP_HOST", ""))[:300]
    path = clean(view.path, MAX_PATH) or "/"
    scheme = view.scheme()
    return f"{scheme}://{host.lower()}{path}" if scheme in ("http", "https") and _HOST.fullmatch(host) else None


def _synthetic(view: RequestView, rules: RequestRules) -> str | None:
    """As OpenTelemetry's `user_agent.synthetic.type`."""
    agent = view.variables.get("HTTP_USER_AGENT")
    return kind_of_robot(str(agent)[:MAX_TEXT]) if agent else None


@lru_cache(maxsize=512)
def kind_of_robot(user_agent: str) -> str | None:
    """`bot` for crawlers and previews, `test` for monitoring and health checks; None for browsers and programs."""
    if _MONITORS.search(user_agent):
        return "test"
    return "bot" if _BOTS.search(user_agent) else None


READERS: dict[str, _Read] = {
    "method": _method,
    "path": _path,
    "route": _route,
    "referrer": _referrer,
    "user_agent": _user_agent,
    "locale": _locale,
    "campaign": _campaign,
    "search": _search,
    "request_id": _request_id,
    "page_url": _page_url,
}


# Text


def clean(value: object, limit: int) -> str | None:
    """At most `limit` characters, nothing unprintable, valid Unicode; None for nothing."""
    if not value:
        return None
    text = str(value)[:limit]
    if text.isprintable():  # lone surrogates are not
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def clean_header(value: object, limit: int) -> str | None:
    """The same for a header, which servers hand over as Latin-1 whatever it was (PEP 3333)."""
    if not value:
        return None
    text = str(value)[: 4 * limit]
    if not text.isascii():
        try:
            text = text.encode("latin-1").decode("utf-8", "replace")
        except UnicodeEncodeError:  # a test's request, made of real text
            pass
    return clean(text, limit)


@lru_cache(maxsize=512)
def preferred_language(header: str) -> str | None:
    """The language an Accept-Language header likes best; the first of equals. Bounded: sixteen entries."""
    best, best_weight = None, 0.0
    for entry in header.split(",", 16)[:16]:
        tag, _, parameters = entry.partition(";")
        tag = tag.strip()
        name, _, quality = parameters.strip().partition("=")
        try:
            weight = float(quality) if name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        if best_weight < weight <= 1.0 and _LANGUAGE.fullmatch(tag):
            best, best_weight = tag, weight
    return best


def _allowed(query: str, rules: RequestRules) -> dict[str, str]:
    """The allowed parameters of a query string, decoded; of a repeated one the first."""
    pairs = query[:MAX_QUERY].split("&", MAX_PAIRS)
    if len(query) > MAX_QUERY or len(pairs) > MAX_PAIRS:
        pairs.pop()  # the cut went through it
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name in rules.query_allowlist and name not in found:
            text = clean(unquote_plus(value[: 3 * MAX_TEXT]), MAX_TEXT // 2)
            if text:
                found[name] = text
    return found


def _requoted(value: str) -> str:
    return value.replace("%", "%25").replace("&", "%26").replace("#", "%23").replace("+", "%2B").replace(" ", "+")


# Addresses


def forwarded_for(variables: Mapping[str, Any], trusted_proxies: int) -> str | None:
    """The client's address as text, unchecked.

    Each proxy appends the address it was called from, so the one our outermost proxy saw stands `trusted_proxies` from
    the right; everything left of it is the client's own invention. A request with fewer entries did not come through
    all our proxies: then the connection itself is all that is known.
    """
    if trusted_proxies > 0:
        entries = str(variables.get("HTTP_X_FORWARDED_FOR", "")).rsplit(",", trusted_proxies)[-trusted_proxies:]
        if len(entries) == trusted_proxies and entries[0].strip():
            return entries[0].strip()
    remote = variables.get("REMOTE_ADDR")
    return str(remote) if remote else None


@lru_cache(maxsize=1024)
def _parsed_ip(text: str, is_truncated: bool) -> str | None:
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:443
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])  # fe80::1%eth0
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if is_truncated:
        bits = 24 if address.version == 4 else 48
        return str(ip_network((address, bits), strict=False).network_address)
    return str(address)


def client_ip(text: str, is_truncated: bool) -> str | None:
    """An address without port and zone, as its /24 or /48 if truncated; None when it is not an address."""
    return _parsed_ip(text, is_truncated) if len(text) <= 64 else None


# Cookies of the vendors' browser libraries


def _segment_id(name: str, value: str) -> object:
    return unquote(value).strip('"') if name == "ajs_anonymous_id" else None


def _amplitude_id(name: str, value: str) -> object:
    """`AMP_<start of the key>`: Base64 of percent-encoded JSON; older releases left out the Base64."""
    text = unquote(value)
    if not text.startswith("{"):
        text = unquote(base64.b64decode(text + "=" * (-len(text) % 4)).decode("ascii"))
    return orjson.loads(text).get("deviceId")


def _posthog_id(name: str, value: str) -> object:
    """`ph_<key>_posthog`: percent-encoded JSON. `distinct_id` is the user's own id once the user is identified."""
    if not name.endswith("_posthog"):
        return None
    state = orjson.loads(unquote(value))
    identified = state.get("$user_state") == "identified"
    return state.get("$device_id") if identified else state.get("distinct_id") or state.get("$device_id")


_ReadCookie = Callable[[str, str], object]
BROWSER_IDS: dict[BrowserLibrary, tuple[str, _ReadCookie]] = {
    "segment": ("ajs_anonymous_id", _segment_id),
    "amplitude": ("AMP_", _amplitude_id),
    "posthog": ("ph_", _posthog_id),
}


@lru_cache(maxsize=16)
def _cookie_readers(options: AnonymousIdOptions) -> dict[str, _ReadCookie]:
    """What reads an id, by how its cookie's name begins; the first is preferred."""
    readers = {prefix: read for name, (prefix, read) in BROWSER_IDS.items() if name in options.adopt}
    if options.cookie is not None:
        readers[options.cookie] = lambda name, value: value if name == options.cookie else None
    return readers
