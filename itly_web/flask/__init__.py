"""itly for Flask: `Itly` is the extension, `copy_scope` carries a request's context into a thread.

Imported when first used, because every `flask` command of every project imports this package for its entry point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .extension import Itly, copy_scope

__all__ = ["Itly", "copy_scope"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import extension

        return getattr(extension, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
