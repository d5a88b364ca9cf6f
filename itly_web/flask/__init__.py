"""itly for Flask: `Itly` is the extension, `copy_scope` carries a request's context into a thread."""

from .extension import Itly, copy_scope

__all__ = ["Itly", "copy_scope"]
