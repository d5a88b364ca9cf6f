"""What follows a request into its tasks, from one scope to the next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from itly_web.carried import bound, carry, scope_of
from itly_web.reader import Reader, VisitorOptions
from itly_web.request import RequestRules, RequestView
from itly_web.scope import Scope, bind_scope, current

FACTS = {
    "REQUEST_METHOD": "GET",
    "QUERY_STRING": "utm_source=news&utm_campaign=spring&token=secret",
    "HTTP_X_REQUEST_ID": "request-7",
    "HTTP_COOKIE": "ajs_anonymous_id=browser-7; sessionid=secret",
    "HTTP_USER_AGENT": "Browser/1",
    "REMOTE_ADDR": "203.0.113.7",
}


def scope(user: str | None = "user-7", visitor: VisitorOptions | None = None, **more: str) -> Scope:
    """Of a request whose user somebody has read already."""
    reader = Reader(
        lambda request: RequestView(request, "/here"),
        lambda request: user,
        RequestRules(),
        visitor or VisitorOptions(),
        loaded_user_id=lambda request: user,
    )
    return Scope({**FACTS, **more}, reader)


def carried_by(sender: Scope) -> dict[str, Any]:
    """As it comes out of a message."""
    with bind_scope(sender):
        found: dict[str, Any] = json.loads(json.dumps(carry()))
    return found


def known(found: Scope | None) -> tuple[Any, ...]:
    assert found is not None
    return found.user_id(), found.anonymous_id(), found.context(), found.refusal()


def test_ids_request_and_campaign_travel_and_nothing_else() -> None:
    found = carried_by(scope())

    assert known(scope_of(found)) == (
        "user-7",
        "browser-7",
        {"request_id": "request-7", "campaign": {"source": "news", "name": "spring"}},
        None,
    )
    assert "secret" not in json.dumps(found)
    assert "203.0.113" not in json.dumps(found)


def test_outside_a_request_nothing_is_carried() -> None:
    assert carry() is None
    assert scope_of(None) is None


def test_a_task_of_a_task_knows_the_same() -> None:
    first = carried_by(scope())
    second = scope_of(first)
    assert second is not None

    assert carried_by(second) == first


@pytest.mark.parametrize("calls_first", [True, False], ids=["the request calls first", "the task calls first"])
def test_a_visitor_nobody_knows_has_one_id_everywhere(calls_first: bool) -> None:
    request = scope(user=None, HTTP_COOKIE="")
    ids = []
    if calls_first:
        ids.append((request.user_id(), request.anonymous_id())[1])
    for _ in range(2):
        task = scope_of(carried_by(request))
        assert task is not None
        assert task.user_id() is None
        ids.append(task.anonymous_id())
    ids.append((request.user_id(), request.anonymous_id())[1])

    assert len(set(ids)) == 1
    assert ids[0]


def test_starting_a_task_gives_the_browser_no_id_to_keep() -> None:
    request = scope(user=None, HTTP_COOKIE="", visitor=VisitorOptions(consent=lambda request: "granted"))
    carried_by(request)

    assert request.id_to_keep is None


def test_what_a_request_may_not_say_its_tasks_may_not_either() -> None:
    task = scope_of(carried_by(scope(visitor=VisitorOptions(consent=lambda request: "denied"))))

    assert task is not None
    assert task.refusal() == "consent"


def test_a_visitor_who_wants_not_to_be_told_apart_is_not_in_a_task() -> None:
    task = scope_of(carried_by(scope(HTTP_SEC_GPC="1")))

    assert known(task) == ("user-7", None, {"request_id": "request-7"}, None)


def test_bound_ends_with_its_block_whatever_happens_in_it() -> None:
    seen = []

    def task() -> None:
        with bound({"user_id": "user-7"}):
            seen.append(known(current())[0])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        task()

    assert seen == ["user-7"]
    assert current() is None


def test_bound_to_nothing_leaves_what_is_bound() -> None:
    outer = scope()
    with bind_scope(outer), bound(None):
        assert current() is outer
