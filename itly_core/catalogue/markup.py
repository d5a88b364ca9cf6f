"""HTML from values. Text of a plan is written by strangers: it reaches a page through `text` and attributes only, which
escape it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from ..codegen.safety import lines_of, visible_json

_VOID = frozenset({"input", "link", "meta"})
_ADDRESS = re.compile(r"""https?://[^\s<>"'`\\]+[^\s<>"'`\\.,;:!?)\]}]""")


class Html(str):
    """Markup, which may stand in a page as it is. What has been made safe is another type."""

    __slots__ = ()


def text(plain: str) -> Html:
    """Text, in which characters that nobody would see are spelled out."""
    seen = visible_json(plain).replace("\n", "\\n").replace("\t", "\\t")
    return Html(html.escape(seen))


def element(name: str, *content: str | None, **attributes: str | bool | None) -> Html:
    """An element. A content that is no Html is text; an attribute that is None or False is left out. `class_` is `class`,
    `data_x` is `data-x`."""
    shown = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(content)}</{name}>")


def joined(content: Iterable[str | None], between: str = "") -> Html:
    parts = (part if isinstance(part, Html) else text(part) for part in content if part is not None)
    return Html(between.join(parts))


def prose(plain: str) -> Html:
    """A plan's description: paragraphs, with links where it gives web addresses."""
    paragraphs = re.split(r"\n\n+", "\n".join(lines_of(plain)))
    return joined((element("p", linked(paragraph)) for paragraph in paragraphs if paragraph), "\n")


def linked(plain: str) -> Html:
    """Text of a line or several, with links where it gives web addresses."""
    parts: list[str] = []
    at = 0
    flat = plain.replace("\n", " ")
    for match in _ADDRESS.finditer(flat):
        address = match.group()
        parts += [flat[at : match.start()], element("a", address, href=address, rel="noopener noreferrer nofollow")]
        at = match.end()
    return joined([*parts, flat[at:]])


def _attribute(key: str, value: str | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'
