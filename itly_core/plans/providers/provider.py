"""What a provider is: one format of plans, and maybe the vendor's API that answers in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..document import Plan
from ..raw import Raw
from ..server import Server


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(token: str) -> Mapping[str, str]:
    """For vendors whose token is two: `KEY:SECRET`."""
    return {"Authorization": "Basic " + base64.b64encode(token.encode()).decode()}


@dataclass(frozen=True, kw_only=True)
class Api:
    """A vendor's API, as far as the loader must know it.

    fetch: asks it; the source's table is given too. regions: name -> address, the first where none is chosen; none: the
    table must have `endpoint`. hosts: what an `endpoint` may be on or below, besides this machine; none: anything.
    token_env: the variable for the token where the table names no other. headers: credentials from a token.
    keys: what the table may have besides the usual. needs_plan: the table must name one in `plan`.
    """

    fetch: Callable[[Server, Mapping[str, str]], list[Raw]]
    regions: Mapping[str, str]
    hosts: tuple[str, ...]
    token_env: str
    headers: Callable[[str], Mapping[str, str]] = bearer
    keys: frozenset[str] = frozenset()
    needs_plan: bool = True
    needs_token: bool = True


@dataclass(frozen=True)
class Provider:
    """A format.

    recognises: whether the files are in it. parse: what plan they are; its name and version may stay empty, the loader
    fills them in. Both are pure.
    """

    name: str
    recognises: Callable[[Sequence[Raw]], bool]
    parse: Callable[[Sequence[Raw]], Plan]
    api: Api | None = None
