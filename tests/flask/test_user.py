"""Who a call belongs to, with Flask-Login, and what asking for it never does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

from tests.flask.site_app import User

CreateApp = Callable[..., flask.Flask]


@pytest.fixture
def app(create_app: CreateApp) -> flask.Flask:
    return create_app()


def users(app: flask.Flask) -> list[Any]:
    return [call.user_id for call in app.extensions["itly"].recorder.calls]


def signed_in(app: flask.Flask, user_id: str = "user-7") -> Any:
    client = app.test_client()
    client.post(f"/sign-in/{user_id}")
    app.extensions["itly"].recorder.clear()
    app.config["LOADS"] = 0
    return client


def test_the_signed_in_user_is_the_callers_id(app: flask.Flask) -> None:
    signed_in(app).get("/whoever")

    assert users(app) == ["user-7"]


def test_an_id_given_wins_over_the_signed_in_user(app: flask.Flask) -> None:
    signed_in(app).get("/seen/x")

    assert users(app) == ["user-1"]


def test_a_user_the_view_loaded_is_asked_for_its_id(app: flask.Flask) -> None:
    signed_in(app).get("/greeting")

    assert users(app) == ["user-7"]


def test_scenario_26_signing_in_counts_from_the_next_call(app: flask.Flask) -> None:
    app.test_client().post("/sign-in/user-7")
    before, after = app.extensions["itly"].recorder.calls

    assert (before.user_id, after.user_id) == (None, "user-7")
    assert before.anonymous_id == after.anonymous_id


def test_signing_out_makes_the_next_request_anonymous(app: flask.Flask) -> None:
    client = signed_in(app)
    client.post("/sign-out")
    client.get("/whoever")

    assert users(app) == [None]


def test_scenario_24_finding_the_user_loads_nothing(app: flask.Flask) -> None:
    client = signed_in(app)
    for path in ("/whoever", "/seen/x", "/nobody"):
        client.get(path)

    assert users(app) == ["user-7", "user-1", "user-7", "user-7"]
    assert app.config["LOADS"] == 0


def test_scenario_24_a_view_that_loads_the_user_loads_it_once(app: flask.Flask) -> None:
    signed_in(app).get("/greeting")

    assert app.config["LOADS"] == 1


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_scenario_23_a_call_adds_no_vary_and_no_cookie(app: flask.Flask, is_signed_in: bool) -> None:
    app.after_request_funcs.clear()  # Flask-Login's own hook looks at the session of every request
    client = signed_in(app) if is_signed_in else app.test_client()
    answer = client.get("/whoever")

    assert "Vary" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_scenario_23_a_view_that_shows_the_user_still_varies(app: flask.Flask) -> None:
    app.after_request_funcs.clear()

    @app.get("/card")
    def card() -> str:
        import itly
        from flask_login import current_user

        itly.seen(where="before the view looks")
        return str(current_user.get_id())

    answer = signed_in(app).get("/card")

    assert (answer.text, answer.headers["Vary"]) == ("user-7", "Cookie")


def test_scenario_23_a_session_the_view_used_stays_used(app: flask.Flask) -> None:
    @app.get("/both")
    def both() -> str:
        import itly

        flask.session.get("theme")
        itly.seen(where="both")
        return "both"

    app.after_request_funcs.clear()

    assert app.test_client().get("/both").headers["Vary"] == "Cookie"


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # of Flask-Login, on Python 3.12
def test_a_remembered_user_is_found_without_being_loaded(app: flask.Flask) -> None:
    from flask_login import login_user

    @app.post("/remember")
    def remember() -> str:
        login_user(User("user-9"), remember=True)
        return "remembered"

    client = app.test_client()
    client.post("/remember")
    client.delete_cookie("session")
    client.get("/whoever")

    assert users(app) == ["user-9"]
    assert app.config["LOADS"] == 0


def test_a_session_from_elsewhere_is_nobodys_under_strong_protection(app: flask.Flask) -> None:
    app.config["SESSION_PROTECTION"] = "strong"
    signed_in(app).get("/whoever", headers={"User-Agent": "another browser"})

    assert users(app) == [None]


def test_a_request_loader_that_sends_events_itself_ends(app: flask.Flask) -> None:
    @app.login_manager.request_loader  # type: ignore[attr-defined]
    def from_token(request: flask.Request) -> User | None:
        import itly

        itly.seen(where="loader")
        token = request.headers.get("Authorization")
        return User(token) if token else None

    app.test_client().get("/whoever", headers={"Authorization": "user-5"})

    assert users(app) == [None, "user-5"]


def test_a_user_model_that_raises_is_nobody_and_no_error(app: flask.Flask) -> None:
    class Broken(User):
        def get_id(self) -> str:
            raise LookupError("gone")

    @app.get("/broken")
    def broken() -> str:
        import itly

        flask.g._login_user = Broken("user-1")
        itly.seen(where="broken")
        return "fine"

    assert app.test_client().get("/broken").text == "fine"
    assert users(app) == [None]


def test_an_app_without_flask_login_has_nobody(itly: Any) -> None:
    from itly_web.flask import Itly

    app = flask.Flask("bare")
    app.config["ITLY"] = {"CONTEXT": {"version": "1"}}
    Itly(app)
    with app.test_request_context("/"):
        itly.seen(where="bare")

    assert users(app) == [None]
