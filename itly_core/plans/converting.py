"""From a plan in any format to a document of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .loading import Reference, parsed, read, source_table
from .providers import itly
from .server import Watch, unwatched
from .writing import document


def converted(reference: Reference, *, base: Path | None = None, watch: Watch = unwatched) -> dict[str, Any]:
    """The plan at a reference as one document of our format. One that is in it already is taken as it is written.

    Raises:
        ConfigError, PlanError, PullError: as `load`.
    """
    table = source_table(reference)
    raws, provider = read(table, base or Path(), watch=watch)
    if provider.name == "itly":
        itly.parse(raws)  # says what is wrong with it, if something is
        return itly.merged(raws)
    return document(parsed(raws, provider, table))
