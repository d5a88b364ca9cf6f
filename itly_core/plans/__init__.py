"""The pull side: from a tracking plan as people keep it to a resolved plan. Never imported by a running app."""

from .document import Plan, Section
from .loading import load

__all__ = ["Plan", "Section", "load"]
