"""The table of plan formats. A provider is one file with a pure `parse`, and one row here.

`recognises` tells whether the files are in its format, asked in this order; `parse` turns them into a plan. A plan's
name and version may stay empty: the loader fills them in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..document import Plan
from ..raw import Raw
from . import itly, schemas


@dataclass(frozen=True)
class Provider:
    name: str
    recognises: Callable[[Sequence[Raw]], bool]
    parse: Callable[[Sequence[Raw]], Plan]


PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("itly", itly.recognises, itly.parse),
        Provider("schemas", schemas.recognises, schemas.parse),
    )
}
