"""Django Channels: one consumer per thing a consumer may do, and the site's views beside them."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django_site.settings")

from django.core.asgi import get_asgi_application

site = get_asgi_application()

import site_events as itly  # noqa: E402
from channels.auth import AuthMiddlewareStack, get_user, login  # noqa: E402
from channels.db import database_sync_to_async  # noqa: E402
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.urls import path  # noqa: E402

from itly_web.django.channels import bind_consumer  # noqa: E402


class Chat(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **_: Any) -> None:
        with bind_consumer(self.scope):
            if content["do"] == "sign in":
                user = await database_sync_to_async(get_user_model().objects.get)(username="jane")
                await login(self.scope, user, backend="django.contrib.auth.backends.ModelBackend")
                self.scope["user"] = await get_user(self.scope)
            itly.seen(where=content["do"])
            await database_sync_to_async(itly.seen)(where=f"{content['do']} in a thread")
        await self.send_json({"done": content["do"]})


class SyncChat(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **_: Any) -> None:
        with bind_consumer(self.scope):
            itly.seen(where=content["do"])
        self.send_json({"done": content["do"]})


class Unbound(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **_: Any) -> None:
        itly.seen("user-1", where=content["do"])
        await self.send_json({"done": content["do"]})


routes = [path("chat/", Chat.as_asgi()), path("sync/", SyncChat.as_asgi()), path("unbound/", Unbound.as_asgi())]
application = ProtocolTypeRouter({"http": site, "websocket": AuthMiddlewareStack(URLRouter(routes))})
