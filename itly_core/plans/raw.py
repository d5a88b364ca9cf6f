"""What a source gave, before anybody knows what it means."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import PlanError
from .syntax import Document, Part, read

TABLE_SUFFIXES = (".csv", ".tsv")
CODE_SUFFIXES = (".py", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".java", ".kt", ".rb", ".swift")
DOCUMENT_SUFFIXES = (".json", ".yaml", ".yml", ".itlyrc")
MAX_ROWS = 100_000


@dataclass(frozen=True)
class Row:
    """A line of a table: its cells by column, header in lower case, each cell stripped."""

    name: str
    line: int
    cells: Mapping[str, str]

    def get(self, *columns: str) -> str:
        """The first of these cells that is not empty."""
        return next((cell for column in columns if (cell := self.cells.get(column, ""))), "")

    def error(self, message: str, column: str = "") -> PlanError:
        return PlanError(message, path=column, location=f"{self.name}:{self.line}")

    def part(self, value: Any) -> Part:
        """A value made of this row, which says in errors where it came from."""
        return Part(Document(self.name, value, {(): self.line}), value)


@dataclass(frozen=True)
class Raw:
    """One file as it came.

    name: what messages call it. key: its path within the source, without suffix, as `events/Process Started`.
    """

    name: str
    key: str
    data: bytes

    @cached_property
    def document(self) -> Document:
        """The file read as YAML or JSON.

        Raises:
            PlanError: it is neither.
        """
        return read(self.name, self.data)

    @property
    def value(self) -> Any:
        """The document's value; None where the file is a table or code.

        Raises:
            PlanError: it is none of them.
        """
        return None if self.is_code or self.is_table else self.document.value

    @cached_property
    def text(self) -> str:
        """
        Raises:
            PlanError: it is not UTF-8.
        """
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            line = self.data[: exc.start].count(b"\n") + 1
            raise PlanError("is not UTF-8 text", location=f"{self.name}:{line}") from exc

    @property
    def is_code(self) -> bool:
        return self.name.lower().endswith(CODE_SUFFIXES)

    @cached_property
    def is_table(self) -> bool:
        """By its suffix; else by a first line of several columns, one of which names events or properties."""
        lowered = self.name.lower()
        if lowered.endswith(TABLE_SUFFIXES):
            return True
        if lowered.endswith(DOCUMENT_SUFFIXES) or self.is_code:
            return False
        first = self.data[:10_000].decode("utf-8-sig", "replace").partition("\n")[0]
        if first.lstrip()[:1] in ("{", "["):
            return False
        header = {cell.strip().lower() for cell in next(csv.reader([first], delimiter=_delimiter(first)), [])}
        return len(header) > 1 and bool(header & {"event", "event name", "object name", "property name"})

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The file read as comma- or tab-separated values under a header; empty lines left out.

        Raises:
            PlanError: it is no table.
        """
        text = self.text
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]), strict=True)
        rows: list[Row] = []
        header: list[str] | None = None
        try:
            for cells in reader:
                if header is None:
                    header = [cell.strip().lower() for cell in cells] if any(map(str.strip, cells)) else None
                elif any(map(str.strip, cells)):
                    if len(rows) >= MAX_ROWS:
                        raise PlanError(f"holds more than {MAX_ROWS} lines", location=self.name)
                    named = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if column}
                    rows.append(Row(self.name, reader.line_num, named))
        except csv.Error as exc:
            location = f"{self.name}:{reader.line_num}"
            raise PlanError(f"is not well-formed CSV: {exc}", location=location) from exc
        return tuple(rows)

    @property
    def columns(self) -> frozenset[str]:
        """The table's header, in lower case."""
        first = next((line for line in self.text.splitlines() if line.strip()), "")
        return frozenset(cell.strip().lower() for cell in next(csv.reader([first], delimiter=_delimiter(first)), []))


def _delimiter(line: str) -> str:
    return max(",", "\t", ";", key=line.count)
