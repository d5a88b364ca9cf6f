"""Django Channels: what a consumer knows of its connection, for the calls it makes.

    class Chat(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content):
            with bind_consumer(self.scope):
                itly.message_sent(length=len(content["text"]))

Nothing is bound on its own: a connection lives for hours, and has no end that a middleware could wait for.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from django.apps import apps
from django.core.handlers.asgi import ASGIRequest

from ..scope import Scope, bind_scope
from .integration import Integration

SCOPE_KEY = "itly.scope"  # in the consumer's scope: (the reader it was made for, Scope)


@contextmanager
def bind_consumer(connection: MutableMapping[str, Any]) -> Iterator[None]:
    """Have the calls of a block carry the facts and the user of this connection: `with bind_consumer(self.scope):`.

    The functions named in the settings (CONSENT, CONTEXT_PROCESSORS, ...) get the handshake as a request of Django's.
    Nobody's calls share one random id as long as the connection lives.
    """
    scope = _scope_of(connection)
    try:
        with bind_scope(scope):
            yield
    finally:
        if scope is not None and scope.is_waiting:  # a user nobody has read: in a consumer that is no user
            scope.release(None)


def _scope_of(connection: MutableMapping[str, Any]) -> Scope | None:
    app: Any = apps.get_app_config("itly_web_django")
    integration: Integration = app.integration
    reader = integration.active().reader
    if reader is None:
        return None
    made_for, scope = connection.get(SCOPE_KEY, (None, None))
    if made_for is not reader:  # the first call, or other settings since
        scope = Scope(_Handshake(connection), reader)
        connection[SCOPE_KEY] = (reader, scope)
    return scope  # type: ignore[no-any-return]  # a consumer's scope holds anything


class _Handshake(ASGIRequest):
    """The request that opened a connection."""

    def __init__(self, connection: MutableMapping[str, Any]) -> None:
        super().__init__({"method": "GET", **connection}, BytesIO())
        self._connection = connection

    @property
    def user(self) -> Any:  # type: ignore[override]  # read only
        """Asked anew each time: a consumer may sign its user in."""
        return self._connection.get("user")

    @property
    def session(self) -> Any:  # type: ignore[override]
        return self._connection.get("session")
