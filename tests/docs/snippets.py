"""Code blocks of a Markdown page. A block whose first line is a comment with a file's name is that file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|toml))\b.*\n")


@dataclass(frozen=True)
class Snippet:
    """page: relative to the repository. number: counts from 1 within the page. file: empty without a name."""

    page: str
    number: int
    language: str
    text: str

    @property
    def file(self) -> str:
        match = _FILE.match(self.text)
        return match.group(1) if match else ""

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a console block: each command, and what the page says it prints."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def snippets(page: str) -> list[Snippet]:
    text = (ROOT / page).read_text("utf-8")
    return [Snippet(page, number, *match.groups()) for number, match in enumerate(_BLOCK.finditer(text), 1)]
