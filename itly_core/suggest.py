"""The nearest good name for one that is not known: what turns "unknown key" into a message that helps."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(word: str, known: Iterable[str]) -> str:
    """What to say after "unknown key": the nearest known name, or all of them where none is near."""
    names = sorted(known)
    by_folded = {name.casefold().replace("_", ""): name for name in names}
    near = get_close_matches(word.casefold().replace("_", "").replace("-", ""), list(by_folded), n=1)
    if near:
        return f"did you mean {by_folded[near[0]]!r}?"
    return f"known here: {', '.join(names)}" if names else "none is known here"
