"""Questions to one server: bounded in time, bytes and number, never led to another host, a token seen by nobody else.

What is asked, and what the answers mean, is for the providers.
"""

from __future__ import annotations

import email.utils
import ipaddress
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit, urlunsplit

from ..errors import ConfigError, PlanError, PullError
from ..version import VERSION
from .raw import Raw

if TYPE_CHECKING:
    import requests  # otherwise where a server is asked: most plans are files

MAX_REDIRECTS = 5

Watch = Callable[[str, int, int | None], None]
"""Told of progress: what is read, how much of it is there, and of how much where that is known."""


def unwatched(_what: str, _done: int, _total: int | None) -> None:
    """For when nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far one pull goes with one server.

    silence_s: without a byte. total_s: all of it, waits included. answer_bytes: of one answer, unpacked; total_bytes: of
    all. pages: of one list. requests: of all. attempts: at one request, while the server is busy or failing.
    """

    silence_s: float = 60.0
    total_s: float = 300.0
    answer_bytes: int = 10 * 1024 * 1024
    total_bytes: int = 100 * 1024 * 1024
    pages: int = 1_000
    requests: int = 20_000
    attempts: int = 4


class Server:
    """One pull's questions to one server. Not for threads.

    base: its address, which paths are laid on, without a slash at its end. headers: sent with each question; credentials are among them.
    token_env: the variable the credentials came from, for messages; empty where there are none.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        token_env: str = "",
        limits: Limits | None = None,
        watch: Watch = unwatched,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = checked(base)
        self._base = urlunsplit(parts)
        self._name = without_secrets(parts)
        self._headers = {"User-Agent": f"itly/{VERSION}", "Accept": "application/json", **(headers or {})}
        self._token_env = token_env
        self._limits = limits or Limits()
        self.watch = watch
        self._wait = wait
        self._deadline = time.monotonic() + self._limits.total_s
        self._asked = 0
        self._received = 0
        import requests

        self._session = requests.Session()
        self._session.auth = _no_auth
        self._session.trust_env = parts.scheme == "https"  # plain http is for this machine, which no proxy can reach

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def get(
        self,
        path: str = "",
        query: Mapping[str, str | int] | None = None,
        *,
        form: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> bytes | None:
        """The answer's body.

        path: laid on the base, already quoted. form: a body of form fields. missing: None for 404, instead of an error.

        Raises:
            PullError: nobody answered, or not with 200.
        """
        address = self._base + path + (f"?{urlencode(query)}" if query else "")
        shown = without_secrets(urlsplit(address))
        try:
            for attempt in range(1, self._limits.attempts + 1):
                pause_s, body = self._attempt(address, shown, form, attempt, missing)
                if pause_s is None:
                    return body
                self._wait(pause_s)
        except (OSError, ValueError) as exc:  # requests' own are OSErrors; ValueError: a header holds no address
            raise PullError(f"{shown} cannot be read: {_reason(exc)}", url=shown) from exc
        raise AssertionError("the last attempt answers or raises")

    def json(self, path: str, query: Mapping[str, str | int] | None = None, **how: Any) -> Any:
        """The answer's value.

        Raises:
            PullError: also where it is no JSON.
        """
        return self._value(self.get(path, query, **how), path)

    def raw(self, key: str, path: str, query: Mapping[str, str | int] | None = None, **how: Any) -> Raw:
        """The answer as a document of the plan, checked to be JSON.

        Raises:
            PullError: also where it is no JSON.
        """
        body = self.get(path, query, **how)
        self._value(body, path)
        assert body is not None
        return Raw(f"{self._shown(path)}.json", key, body)

    def pages(
        self, what: str, ask: Callable[[str | int | None], Raw], following: Callable[[Any], Any]
    ) -> Iterator[Raw]:
        """The pages of a list, from the first to the one that nothing follows.

        ask: a page by its cursor, None for the first. following: from a page's value to the next cursor, nothing at the end.

        Raises:
            PullError: the pages have no end, or lead in a circle.
        """
        cursor: Any = None
        seen: set[Any] = set()
        for number in range(1, self._limits.pages + 1):
            page = ask(cursor)
            self.watch(what, number, None)
            yield page
            cursor = self.understood(page, following)
            if not cursor:
                return
            if cursor in seen:
                raise PullError(f"{page.name} leads to a page that was read already", url=page.name)
            seen.add(cursor)
        raise PullError(f"{self._name} has more than {self._limits.pages} pages of {what}", url=self._name)

    def understood(self, raw: Raw, read: Callable[[Any], Any]) -> Any:
        """What an answer says, where it has the shape that `read` expects.

        Raises:
            PullError: it has another.
        """
        try:
            return read(raw.document.value)
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            if isinstance(exc, PlanError):
                raise
            raise PullError(f"{raw.name} does not have the shape that is documented for it", url=raw.name) from exc

    def _shown(self, path: str) -> str:
        return without_secrets(urlsplit(self._base + path))

    def _value(self, body: bytes | None, path: str) -> Any:
        if body is None:
            return None
        shown = self._shown(path)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as exc:
            kind = "a web page" if body.lstrip()[:1] == b"<" else "something that is not JSON, or is cut off"
            raise PullError(f"{shown} answered with {kind}", url=shown, status=200) from exc

    def _attempt(
        self, address: str, shown: str, form: Mapping[str, str] | None, attempt: int, missing: bool
    ) -> tuple[float | None, bytes | None]:
        """Either the seconds to wait before another attempt, or the body."""
        for _ in range(MAX_REDIRECTS + 1):
            self._asked += 1
            if self._asked > self._limits.requests:
                raise PullError(f"{self._name} would need more than {self._limits.requests} requests", url=shown)
            silence_s = min(self._limits.silence_s, max(0.001, self._left_s(shown)))
            with self._session.request(
                "GET",
                address,
                headers=self._headers,
                data=form,
                timeout=silence_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.is_redirect:
                    address = _redirected(address, response.headers["Location"], shown, response.status_code)
                    continue
                status = response.status_code
                if status == 200:
                    return None, self._body(response, shown)
                if status == 404 and missing:
                    return None, None
                if (status == 429 or status >= 500) and attempt < self._limits.attempts:
                    return self._pause_s(response, attempt, shown), None
                raise PullError(self._refused(response, shown), url=shown, status=status)
        raise PullError(f"{shown} redirects more than {MAX_REDIRECTS} times", url=shown)

    def _left_s(self, shown: str) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise PullError(f"{shown} takes longer than {self._limits.total_s:.0f} seconds", url=shown)
        return left

    def _pause_s(self, response: requests.Response, attempt: int, shown: str) -> float:
        """What the server asks for, else 1, 2, 4 … seconds; an error where the pull has not that much time."""
        asked = _seconds(response.headers.get("Retry-After", ""))
        pause_s = float(2 ** (attempt - 1)) if asked is None else asked
        if pause_s > self._left_s(shown):
            raise PullError(
                f"{shown} answered {response.status_code} and asks to wait {pause_s:.0f} seconds, longer than a pull may take",
                url=shown,
                status=response.status_code,
            )
        return pause_s

    def _refused(self, response: requests.Response, shown: str) -> str:
        said = f"{shown} answered {response.status_code} {response.reason or ''}".rstrip()
        if response.status_code in (401, 403):
            if self._token_env:
                return f"{said}: does {self._token_env} hold a token that may read this?"
            return f"{said}: it asks for a token; name the environment variable that holds one in token_env"
        return said

    def _body(self, response: requests.Response, shown: str) -> bytes:
        data = bytearray()
        for chunk in response.iter_content(64 * 1024):
            data += chunk
            self._received += len(chunk)
            if len(data) > self._limits.answer_bytes:
                message = f"{shown} sends more than {self._limits.answer_bytes} bytes"
                raise PullError(message, url=shown, status=200)
            if self._received > self._limits.total_bytes:
                message = f"{self._name} sends more than {self._limits.total_bytes} bytes in all"
                raise PullError(message, url=shown, status=200)
            self._left_s(shown)
        return bytes(data)


def step(text: str) -> str:
    """One step of a path, whatever it holds."""
    return quote(text, safe="")


def checked(url: str) -> SplitResult:
    """An address that we would ask: encrypted or on this machine, without credentials in it.

    Raises:
        ConfigError: it is another.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigError(f"{url!r} is not an address: {exc}", key="plan") from exc
    if not host:
        raise ConfigError(f"{url!r} names no host", key="plan")
    if parts.username is not None or parts.password is not None:
        message = f"{without_secrets(parts)} carries a password; name a variable that holds it in token_env"
        raise ConfigError(message, key="plan")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigError(f"{without_secrets(parts)} is not encrypted: use https", key="plan")
    return parts._replace(fragment="")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_secrets(parts: SplitResult) -> str:
    """The address without what may be secret in it."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of what ~/.netrc may hold: only the configured token is ever sent."""
    return request


def _redirected(address: str, location: str, shown: str, status: int) -> str:
    target = urljoin(address, location)
    try:
        host = urlsplit(target).hostname
        same = _origin(urlsplit(target)) == _origin(urlsplit(address))
    except ValueError:
        host, same = None, False
    if not same:
        named = f", {host}" if host else ""
        message = f"{shown} redirects to another server{named}; if that one is meant, give its address"
        raise PullError(message, url=shown, status=status)
    return target


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def _seconds(retry_after: str) -> float | None:
    """`Retry-After` in seconds from now, at least 0; None where it says nothing. RFC 9110, 10.2.3."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _reason(exc: BaseException) -> str:
    import requests

    if isinstance(exc, requests.Timeout):
        return "the server is silent"
    if isinstance(exc, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end"
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate does not hold"
    if isinstance(exc, requests.ConnectionError):
        return "no connection"
    return "its answer makes no sense"
