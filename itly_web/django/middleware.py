"""Binds the request's scope while it is handled. Reads nothing of the request and changes nothing of the response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..request import may_set_cookie
from ..scope import Scope, bind, is_bound_to, unbind
from .integration import Integration


class ItlyMiddleware:
    """Knows the request for every call made while it is handled, streaming bodies included.

    Place it after AuthenticationMiddleware; it works anywhere. Listed twice, the inner one does nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """
        Raises:
            ConfigError, PlanError: wrong settings stop the server at its start rather than a visitor's request.
        """
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        try:
            app: Any = apps.get_app_config("itly_web_django")
        except LookupError as exc:
            raise ImproperlyConfigured("ItlyMiddleware needs 'itly_web.django' in INSTALLED_APPS") from exc
        self.integration: Integration = app.integration
        self.integration.active()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._handle_async(request)
        reader = self.integration.active().reader
        if reader is None or is_bound_to(request):
            return self.get_response(request)  # type: ignore[no-any-return]
        scope = Scope(request, reader)
        visit = _Visit(scope, request, self.integration)
        previous = bind(scope)
        is_streaming = False
        try:
            response = self.get_response(request)
            is_streaming = visit.goes_on_in(response)
            if scope.id_to_keep is not None:
                visit.give_id(response)
            return response  # type: ignore[no-any-return]
        finally:
            unbind(scope, previous)
            if not is_streaming:
                visit.end()

    async def _handle_async(self, request: HttpRequest) -> HttpResponseBase:
        reader = self.integration.active().reader
        if reader is None or is_bound_to(request):
            return await self.get_response(request)  # type: ignore[no-any-return]
        scope = Scope(request, reader)
        visit = _Visit(scope, request, self.integration)
        previous = bind(scope)
        is_streaming = False
        try:
            response = await self.get_response(request)
            is_streaming = visit.goes_on_in(response)
            await visit.settle(is_last=not is_streaming)
            if scope.id_to_keep is not None:
                visit.give_id(response)
            return response  # type: ignore[no-any-return]
        finally:  # nothing is awaited here: a visitor who left cancels this coroutine
            unbind(scope, previous)
            if not is_streaming:
                scope.close()


class _Visit:
    """One request from its scope's making to its end, which a streaming body puts off."""

    __slots__ = ("integration", "request", "scope")

    def __init__(self, scope: Scope, request: HttpRequest, integration: Integration) -> None:
        self.scope = scope
        self.request = request
        self.integration = integration

    def goes_on_in(self, response: Any) -> bool:
        """Have the body of a streaming response made with the scope bound; whether it is one."""
        try:
            # A file is left alone: servers hand it to the kernel, and only as it is.
            if not getattr(response, "streaming", False) or isinstance(response, FileResponse):
                return False
            if getattr(response, "is_async", False):
                response.streaming_content = _AsyncBody(aiter(response.streaming_content), self)
            else:
                response.streaming_content = _Body(iter(response.streaming_content), self)
        except Exception as exc:  # noqa: BLE001  # not Django's own response class
            self.integration.report("a streaming response is sent without its request's context", exc)
            return False
        return True

    def give_id(self, response: Any) -> None:
        """Have the browser keep the id its calls carried, where the response is for this visitor alone."""
        options = self.integration.active().settings.rules.anonymous_id
        try:
            if options.cookie is None or not may_set_cookie(response.get("Cache-Control", "")):
                return
            response.set_cookie(
                options.cookie,
                self.scope.id_to_keep,
                max_age=options.max_age,
                secure=self.request.is_secure() if options.secure is None else options.secure,
                httponly=True,
                samesite=options.samesite,
            )
            patch_vary_headers(response, ("Cookie",))
        except Exception as exc:  # noqa: BLE001  # the response is the application's
            self.integration.report("the cookie of an anonymous id could not be set", exc)

    def end(self) -> None:
        self.scope.close()
        self.integration.before_response()

    async def settle(self, *, is_last: bool) -> None:
        """Find the user of calls that wait for one; at the last occasion, flush where the settings say so."""
        if self.scope.is_waiting:
            try:
                user_id = await self.integration.active().users.user_id_async(self.request)
            except Exception as exc:  # noqa: BLE001  # a broken session is the application's to report
                self.integration.report("the user of a request could not be read", exc)
                user_id = None
            self.scope.release(user_id)
        if is_last and self.integration.flushes_before_response:
            await sync_to_async(self.integration.before_response, thread_sensitive=False)()


class _Body:
    """The parts of a streaming body, each made with the scope bound: the generator runs after the middleware."""

    def __init__(self, parts: Iterator[bytes], visit: _Visit) -> None:
        self._parts = parts
        self._visit: _Visit | None = visit
        self._scope = visit.scope

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        previous = bind(self._scope)
        try:
            return next(self._parts)
        except BaseException:
            self.close()
            raise
        finally:
            unbind(self._scope, previous)

    def close(self) -> None:
        """Called by Django when the response is closed, complete or not."""
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.end()


class _AsyncBody:
    """The same for an asynchronous body."""

    def __init__(self, parts: AsyncIterator[bytes], visit: _Visit) -> None:
        self._parts = parts
        self._visit = visit
        self._scope = visit.scope

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        previous = bind(self._scope)
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            await self._visit.settle(is_last=True)
            self._scope.close()
            raise
        finally:
            unbind(self._scope, previous)

    def close(self) -> None:
        """Called by Django when the response is closed, complete or not."""
        self._scope.close()
