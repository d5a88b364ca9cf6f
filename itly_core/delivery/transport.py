"""One HTTPS POST with `requests`: a request in, a response out, or what kind of failure it was.

The only place that opens a socket. Never follows a redirect, never reads credentials from a netrc file, never reads an
endless answer.
"""

from __future__ import annotations

import os
import time
from typing import Any

import requests
import requests.adapters
import requests.utils
import urllib3.exceptions

from ..wire import Request, Response, Retry

MAX_ANSWER_BYTES = 1 << 20  # vendors answer with a few hundred


class HttpTransport:
    """A connection to one vendor, kept open. One thread at a time; made anew after a fork."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: requests.Session | None = None

    def send(self, request: Request) -> Response | Retry:
        """Post it. A failure to connect certainly changed nothing at the vendor; a failure after that may have."""
        session = self._session or self._open(request.url)
        late = Retry(f"no answer within {self._timeout_s:g} s", ambiguous=True)
        late_s = time.monotonic() + self._timeout_s
        try:
            with session.post(
                request.url,
                data=request.body,
                headers=dict(request.headers),
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = b""
                # What is there at once, as often as there is something: waiting for a number of bytes would wait for a
                # byte every few seconds, too, and so for ever.
                while len(body) < MAX_ANSWER_BYTES and (
                    part := answer.raw.read1(MAX_ANSWER_BYTES, decode_content=True)
                ):
                    body += part
                    if time.monotonic() > late_s:
                        return late
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, body)
        except requests.exceptions.ReadTimeout:
            return late
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            return Retry(_reason(exc), ambiguous=not _never_sent(exc))

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def forget(self) -> None:
        """After a fork: the connection is the parent's."""
        self._session = None

    def _open(self, url: str) -> requests.Session:
        session = requests.Session()
        # What requests would look up in the environment at every request is looked up once. Leaving it to requests would
        # also let a netrc entry for the vendor's host replace our own Authorization header.
        session.trust_env = False
        session.proxies.update(requests.utils.get_environ_proxies(url))
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.headers.clear()
        session.headers["Accept"] = "*/*"
        self._session = session
        return session


def _never_sent(exc: BaseException) -> bool:
    """Whether the request certainly did not reach the vendor."""
    if isinstance(
        exc, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError
    ):
        return True
    return isinstance(_root(exc), urllib3.exceptions.NewConnectionError | ConnectionRefusedError)


def _root(exc: BaseException) -> Any:
    """What requests and urllib3 wrapped."""
    inner: Any = exc
    for _ in range(5):
        wrapped = getattr(inner, "reason", None) or (inner.args[0] if getattr(inner, "args", None) else None)
        if not isinstance(wrapped, BaseException):
            break
        inner = wrapped
    return inner


def _reason(exc: BaseException) -> str:
    """What went wrong in a few words: the text of these exceptions quotes the URL, which may hold a secret."""
    return f"{type(_root(exc)).__name__}"
