"""What importing the generated package says while it has not been generated."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

from .integration import package_name


class MissingPackage(MetaPathFinder):
    """Asked last, when nobody has found a module. Python would only say that there is none."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == package_name():
            raise ModuleNotFoundError(f"No module named {name!r}: make it with `python manage.py itly_pull`", name=name)


def explain_missing_package() -> None:
    """From now on."""
    if not any(isinstance(finder, MissingPackage) for finder in sys.meta_path):
        sys.meta_path.append(MissingPackage())
