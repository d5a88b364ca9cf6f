"""The request scope: found by calls of its request only, and never after it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from itly_core.client import PENDING
from itly_web.reader import Reader
from itly_web.request import RequestRules, RequestView
from itly_web.scope import Scope, bind, bind_scope, copy_scope, current, is_bound_to, unbind


class Request:
    """Enough of a request. user: whom the framework would name now."""

    def __init__(self, user: Any = None, **variables: str) -> None:
        self.user = user
        self.variables = {"REQUEST_METHOD": "GET", **variables}
        self.reads = 0


def read_view(request: Request) -> RequestView:
    request.reads += 1
    return RequestView(request.variables, "/here")


READER = Reader(read_view, lambda request: request.user, RequestRules())


def scope_of(request: Request | None = None) -> Scope:
    return Scope(request or Request(), READER)


@pytest.fixture
def scope() -> Iterator[Scope]:
    """A bound scope."""
    made = scope_of()
    previous = bind(made)
    yield made
    unbind(made, previous)


def test_there_is_no_scope_outside_a_request() -> None:
    assert current() is None


def test_nothing_is_read_before_a_call(scope: Scope) -> None:
    request = Request()
    quiet = scope_of(request)
    with bind_scope(quiet):
        assert current() is quiet
    quiet.close()

    assert request.reads == 0


def test_the_facts_are_read_once() -> None:
    request = Request()
    scope = scope_of(request)

    assert scope.context() is scope.context()
    assert json.loads(scope.encoded_context()) == {"method": "GET", "path": "/here"}
    assert scope.encoded_context() is scope.encoded_context()
    scope.anonymous_id()
    assert request.reads == 1


def test_scenario_26_the_user_is_asked_at_every_call() -> None:
    request = Request()
    scope = scope_of(request)

    assert scope.user_id() is None
    request.user = "user-1"
    assert scope.user_id() == "user-1"


def test_nobody_known_gets_one_random_id_a_request() -> None:
    scope, other = scope_of(), scope_of()
    assert (scope.user_id(), other.user_id()) == (None, None)

    assert scope.anonymous_id() == scope.anonymous_id()
    assert scope.anonymous_id() != other.anonymous_id()


def test_a_known_user_gets_no_random_id() -> None:
    scope = scope_of(Request("user-1"))
    scope.user_id()

    assert scope.anonymous_id() is None


def test_an_explicit_user_id_does_not_touch_the_user() -> None:
    scope = scope_of()

    assert scope.anonymous_id() is None  # asked by the client although the call names its user


def test_an_adopted_id_is_told_beside_the_user() -> None:
    scope = scope_of(Request("user-1", HTTP_COOKIE="ajs_anonymous_id=browser-1"))
    scope.user_id()

    assert scope.anonymous_id() == "browser-1"


def test_scenario_35_a_framework_that_raises_is_one_that_knows_nothing() -> None:
    def broken(request: Any) -> Any:
        raise RuntimeError("half a request")

    scope = Scope(Request(), Reader(broken, broken, RequestRules()))

    assert scope.user_id() is None
    assert scope.context() == {}
    assert scope.anonymous_id() is not None


def test_scenario_19_two_scopes_are_never_equal() -> None:
    request = Request()

    assert scope_of(request) != scope_of(request)


def test_scenario_18_unbinding_needs_no_token_and_works_anywhere(scope: Scope) -> None:
    contextvars.copy_context().run(unbind, scope, None)
    assert current() is scope

    unbind(scope, None)
    unbind(scope, None)
    assert current() is None


def test_unbinding_leaves_another_scope_alone(scope: Scope) -> None:
    unbind(scope_of(), None)

    assert current() is scope


def test_a_nested_request_puts_the_outer_one_back(scope: Scope) -> None:
    inner = scope_of()
    with bind_scope(inner):
        assert current() is inner

    assert current() is scope


def test_is_bound_to_knows_its_request_until_it_is_closed() -> None:
    request = Request()
    scope = scope_of(request)
    with bind_scope(scope):
        assert is_bound_to(request)
        assert not is_bound_to(Request())
        scope.close()
        assert not is_bound_to(request)


def test_scenario_20_a_closed_scope_that_read_nothing_is_none() -> None:
    scope = scope_of()
    scope.close()
    with bind_scope(scope):
        assert current() is None


def test_a_closed_scope_tells_what_it_read() -> None:
    scope = scope_of(Request("user-1"))
    scope.capture()
    scope.close()

    assert scope.user_id() == "user-1"
    assert scope.context()["path"] == "/here"


def test_scenario_58_a_closed_scope_lets_go_of_its_request() -> None:
    request = Request("user-1")
    gone = weakref.ref(request)
    scope = scope_of(request)
    scope.capture()
    scope.close()
    del request
    gc.collect()

    assert gone() is None


def test_scenario_21_a_thread_sees_no_scope_unless_it_is_copied(scope: Scope) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() is None
        assert pool.submit(copy_scope(current)).result() is scope
        assert pool.submit(current).result() is None


def test_scenario_21_a_copied_scope_outlives_the_response() -> None:
    scope = scope_of(Request("user-1"))
    with bind_scope(scope):
        later = copy_scope(lambda: (current().user_id(), current().context()["path"]))  # type: ignore[union-attr]
    scope.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(later).result() == ("user-1", "/here")


def test_copying_outside_a_request_copies_nothing() -> None:
    assert copy_scope(current)() is None


def test_the_scope_follows_asgiref_there_and_back(scope: Scope) -> None:
    async def view() -> Scope | None:
        assert current() is scope
        return await sync_to_async(current)()

    assert async_to_sync(view)() is scope
    assert current() is scope


def test_tasks_do_not_see_each_others_scopes() -> None:
    async def request(number: int) -> bool:
        scope = scope_of(Request(f"user-{number}"))
        with bind_scope(scope):
            for _ in range(5):
                await asyncio.sleep(0)
                if current() is not scope:
                    return False
        return current() is None

    async def fifty() -> list[bool]:
        return await asyncio.gather(*(request(number) for number in range(50)))

    assert all(asyncio.run(fifty()))


def test_scenario_22_where_greenlets_share_a_context_only_the_owner_sees_its_scope(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.run, current).result() is scope
        monkeypatch.setitem(sys.modules, "greenlet", SimpleNamespace(GREENLET_USE_CONTEXT_VARS=False))  # type: ignore[arg-type]
        assert pool.submit(context.run, current).result() is None
    assert current() is scope


def test_scenario_25_held_calls_are_resumed_in_order_with_the_user() -> None:
    scope = scope_of(Request(PENDING))
    resumed: list[tuple[int, str | None]] = []
    assert scope.user_id() is PENDING
    for number in range(3):
        scope.hold(lambda user_id, number=number: resumed.append((number, user_id)))  # type: ignore[misc]
    assert scope.is_waiting

    scope.release("user-1")

    assert resumed == [(0, "user-1"), (1, "user-1"), (2, "user-1")]
    assert not scope.is_waiting


def test_scenario_33_held_calls_of_a_request_that_was_cancelled_are_kept() -> None:
    scope = scope_of(Request(PENDING))
    resumed: list[str | None] = []
    scope.user_id()
    scope.hold(resumed.append)

    scope.close()

    assert resumed == [None]
    assert scope.anonymous_id() is not None


def test_a_call_held_after_the_end_is_resumed_at_once() -> None:
    scope = scope_of(Request(PENDING))
    scope.user_id()
    scope.release("user-1")
    scope.close()
    resumed: list[str | None] = []

    scope.hold(resumed.append)

    assert resumed == ["user-1"]


def test_each_held_call_is_resumed_once_however_many_threads_hold_and_release() -> None:
    scope = scope_of(Request(PENDING))
    resumed: list[int] = []

    def hold(start: int) -> None:
        for number in range(start, start + 500):
            scope.hold(lambda user_id, number=number: resumed.append(number))  # type: ignore[misc]

    threads = [threading.Thread(target=hold, args=(index * 500,)) for index in range(4)]
    for thread in threads:
        thread.start()
    scope.release("user-1")
    scope.close()
    for thread in threads:
        thread.join()
    scope.close()

    assert sorted(resumed) == list(range(2000))


def test_copy_scope_keeps_name_arguments_and_result(scope: Scope) -> None:
    def add(left: int, *, right: int) -> int:
        """Adds."""
        return left + right

    copied: Callable[..., int] = copy_scope(add)

    assert (copied.__name__, copied.__doc__, copied(1, right=2)) == ("add", "Adds.", 3)
