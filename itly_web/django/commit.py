"""Calls made in a database transaction, kept back until it is committed."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import connections, transaction

from itly_core.client import Delivery


class AfterCommit:
    """A delivery that accepts what a transaction's calls are when it commits, and nothing of one that is rolled back.

    What is kept back is the finished line: message id and timestamp are those of the call. A savepoint that is rolled
    back takes the calls made in it along.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def accept(self, line: bytes) -> None:
        database = _in_transaction()
        if database is None:
            self.delivery.accept(line)
        else:
            transaction.on_commit(partial(self.delivery.accept, line), using=database, robust=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.delivery, name)


def _in_transaction() -> str | None:
    """The database of the transaction that is open here; the default one counts first."""
    opened = [connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block]
    return "default" if "default" in opened else next(iter(opened), None)
