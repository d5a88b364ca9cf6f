"""The pull side: from a tracking plan as people keep it to a resolved plan. Never imported by a running app.

What other distributions need to add a provider is here: `Provider`, `Api`, and what these are made of.
"""

from .document import Plan, Section
from .loading import load
from .providers import Api, Provider
from .raw import Raw
from .server import Limits, Server

__all__ = ["Api", "Limits", "Plan", "Provider", "Raw", "Section", "Server", "load"]
