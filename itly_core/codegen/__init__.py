"""A resolved plan -> a Python package: names, types, text, files. Belongs to pulling; no running app imports it."""

from .render import outline, render
from .write import Difference, Written, compare, write

__all__ = ["Difference", "Written", "compare", "outline", "render", "write"]
