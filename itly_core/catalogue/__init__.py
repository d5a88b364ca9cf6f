"""A plan -> one HTML page for people to read. Belongs to pulling; no running app imports it."""

from .page import MARKER, page

__all__ = ["MARKER", "page"]
