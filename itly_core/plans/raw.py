"""What a source gave, before anybody knows what it means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .syntax import Document, read


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
