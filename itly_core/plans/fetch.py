"""Where plans are read from: a file, a directory, an address. The only room of `plans` that touches disk or network."""

from __future__ import annotations

import ipaddress
import os
import time
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

import requests

from ..errors import ConfigError, PlanError, PullError
from ..version import VERSION
from .raw import Raw

MAX_BYTES = 10 * 1024 * 1024  # of one file, or of one answer unpacked
MAX_FILES = 10_000
SILENCE_S = 60.0  # without a byte from the server
TOTAL_S = 300.0  # however slowly it drips
MAX_REDIRECTS = 5
SUFFIXES = (".yaml", ".yml", ".json")


def is_url(reference: str) -> bool:
    return reference.startswith(("https://", "http://"))


def from_disk(path: Path, shown: str) -> list[Raw]:
    """The file, or every plan file in the directory, in the order of their names; hidden ones left out.

    shown: what messages call it.

    Raises:
        PlanError: there is none, or it is too large.
    """
    if path.is_dir():
        found = sorted(_plan_files(path), key=lambda file: file.relative_to(path).parts)
        if not found:
            raise PlanError(f"no plan in this directory: no file ends in {', '.join(SUFFIXES)}", location=shown)
        if len(found) > MAX_FILES:
            raise PlanError(f"holds more than {MAX_FILES} files", location=shown)
        within = [PurePosixPath(*file.relative_to(path).parts) for file in found]
        return [
            Raw(f"{shown.rstrip('/')}/{name}", str(name.with_suffix("")), _bytes(file, f"{shown}/{name}"))
            for file, name in zip(found, within, strict=True)
        ]
    if not path.exists():
        raise PlanError("no such file or directory", location=shown)
    return [Raw(shown, path.stem, _bytes(path, shown))]


def _plan_files(directory: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]  # where os.walk goes next
        found += [Path(folder, name) for name in names if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return found


def _bytes(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise PlanError(f"cannot be read: {exc.strerror or exc}", location=shown) from exc
    if len(data) > MAX_BYTES:
        raise PlanError(f"is larger than {MAX_BYTES} bytes", location=shown)
    return data


def from_url(
    url: str, *, token: str | None = None, silence_s: float = SILENCE_S, max_bytes: int = MAX_BYTES
) -> list[Raw]:
    """The document at an address.

    token: sent as a bearer token, to that server only.

    Raises:
        ConfigError: the address is not one we would send a request to.
        PullError: nobody answered, or not with a document.
    """
    asked = _checked(url)
    headers = {"User-Agent": f"itly/{VERSION}", "Accept": "application/yaml, application/json, text/plain, */*;q=0.5"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    deadline = time.monotonic() + TOTAL_S
    shown = _shown(asked)
    try:
        with requests.Session() as session:
            session.auth = _no_auth
            session.trust_env = asked.scheme == "https"  # plain http is for this machine, which no proxy can reach
            address = urlunsplit(asked)
            for _ in range(MAX_REDIRECTS + 1):
                with session.get(
                    address, headers=headers, timeout=silence_s, allow_redirects=False, stream=True
                ) as response:
                    if response.is_redirect:
                        address = _redirected(address, response.headers["Location"], shown, response.status_code)
                        continue
                    if response.status_code != 200:
                        raise PullError(
                            f"{shown} answered {response.status_code} {response.reason or ''}".rstrip(),
                            url=shown,
                            status=response.status_code,
                        )
                    data = _body(response, shown, deadline, max_bytes)
                    if data.lstrip()[:1] == b"<":
                        raise PullError(f"{shown} answered with a web page, not a plan", url=shown, status=200)
                    return [Raw(shown, PurePosixPath(unquote(asked.path)).stem or asked.hostname or "plan", data)]
    except (requests.RequestException, OSError, ValueError) as exc:  # ValueError: an address in a header that is none
        raise PullError(f"{shown} cannot be read: {_reason(exc)}", url=shown) from exc
    raise PullError(f"{shown} redirects more than {MAX_REDIRECTS} times", url=shown)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of what ~/.netrc may hold: only the configured token is ever sent."""
    return request


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigError(f"{url!r} is not an address: {exc}", key="plan") from exc
    if not host:
        raise ConfigError(f"{url!r} names no host", key="plan")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{_shown(parts)} carries a password; name a variable that holds it in token_env", key="plan")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(f"{_shown(parts)} is not encrypted: use https", key="plan")
    return parts._replace(fragment="")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(parts: SplitResult) -> str:
    """The address without what may be secret in it."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _redirected(address: str, location: str, shown: str, status: int) -> str:
    target = urljoin(address, location)
    try:
        same = _origin(urlsplit(target)) == _origin(urlsplit(address))
    except ValueError:
        same = False
    if not same:
        raise PullError(
            f"{shown} redirects to another server; if that one is meant, give its address", url=shown, status=status
        )
    return target


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def _body(response: requests.Response, shown: str, deadline: float, max_bytes: int) -> bytes:
    data = bytearray()
    for chunk in response.iter_content(64 * 1024):
        data += chunk
        if len(data) > max_bytes:
            raise PullError(f"{shown} sends more than {max_bytes} bytes", url=shown, status=200)
        if time.monotonic() > deadline:
            raise PullError(f"{shown} takes longer than {TOTAL_S:.0f} seconds", url=shown, status=200)
    return bytes(data)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, requests.Timeout):
        return "the server is silent"
    if isinstance(exc, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end"
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate does not hold"
    if isinstance(exc, requests.ConnectionError):
        return "no connection"
    return "its answer makes no sense"
