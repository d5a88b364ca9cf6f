"""The samples' tests have the fixtures of the library's."""

from tests.conftest import sink

__all__ = ["sink"]
