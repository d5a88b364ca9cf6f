"""A Flask site with one route per thing a view may do. Needs a package `itly` made from tracking-plan.yaml."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

from flask import (
    Flask,
    Response,
    copy_current_request_context,
    current_app,
    jsonify,
    request,
    send_file,
    session,
    stream_with_context,
)
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user


class User(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def create_app(**config: Any) -> Flask:
    """The site. SITE_ITLY holds its ITLY settings as JSON; with SITE_BARE=1 the extension is not installed."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="test", ITLY=json.loads(os.environ.get("SITE_ITLY", "{}")))
    app.config.update(config)
    app.config["LOADS"] = 0
    logins = LoginManager(app)

    @logins.user_loader
    def load(user_id: str) -> User:
        current_app.config["LOADS"] += 1
        return User(user_id)

    if os.environ.get("SITE_BARE") != "1":
        from itly_web.flask import Itly

        Itly(app)
    add_routes(app)
    return app


def add_routes(app: Flask) -> None:
    @app.get("/plain")
    def plain() -> str:
        return "plain"

    @app.get("/private")
    def private() -> str:
        session["seen"] = True
        return "private"

    @app.get("/loads")
    def loads() -> str:
        return str(app.config["LOADS"])

    @app.get("/pid")
    def pid() -> str:
        import itly

        itly.seen("user-1", where=f"pid {os.getpid()}")
        return str(os.getpid())

    @app.get("/seen/<where>")
    def seen(where: str) -> str:
        import itly

        itly.seen("user-1", where=where)
        return where

    @app.get("/nobody")
    def nobody() -> str:
        import itly

        itly.seen(where="first")
        itly.seen(where="second")
        return "nobody"

    @app.get("/whoever")
    def whoever() -> str:
        import itly

        itly.seen(where="whoever")
        return "whoever"

    @app.get("/private-whoever")
    def private_whoever() -> Response:
        import itly

        itly.seen(where="whoever")
        return Response("whoever", headers={"Cache-Control": "private"})

    @app.get("/greeting")
    def greeting() -> str:
        import itly

        name = current_user.get_id()
        itly.seen(where="greeting")
        return str(name)

    @app.post("/sign-in/<user_id>")
    def sign_in(user_id: str) -> str:
        import itly

        itly.seen(where="before")
        login_user(User(user_id))
        itly.seen(where="after")
        return "in"

    @app.post("/sign-out")
    def sign_out() -> str:
        logout_user()
        return "out"

    @app.get("/stream")
    def stream() -> Response:
        import itly

        def body() -> Iterator[str]:
            itly.seen(where="first chunk")
            yield "one "
            itly.seen(where="last chunk")
            yield "two"

        itly.seen(where="before")
        return Response(stream_with_context(body()))

    @app.get("/bare-stream")
    def bare_stream() -> Response:
        import itly

        def body() -> Iterator[str]:
            yield "one "
            itly.seen("user-1", where="outside")
            yield "two"

        return Response(body())

    @app.get("/file")
    def file() -> Response:
        import itly

        itly.seen("user-1", where="file")
        return send_file(io.BytesIO(b"x" * 100_000), mimetype="application/octet-stream")

    @app.get("/thread")
    def thread() -> str:
        import itly

        @copy_current_request_context
        def work() -> None:
            itly.seen(where="thread")

        itly.seen(where="view")
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        return "thread"

    @app.get("/nested")
    def nested() -> str:
        import itly

        itly.seen(where="outer")
        with app.app_context():
            itly.seen(where="inner")
        with app.test_request_context("/elsewhere"):
            itly.seen(where="other request")
        itly.seen(where="outer again")
        return "nested"

    @app.get("/async")
    async def asynchronous() -> str:
        import itly

        itly.seen(where="async")
        return "async"

    @app.get("/boom")
    def boom() -> str:
        import itly

        itly.seen("user-1", where="boom")
        raise RuntimeError("on purpose")

    @app.get("/invalid")
    def invalid() -> str:
        import itly

        itly.seen("user-1", where=7)
        return "invalid"

    @app.post("/body")
    def body() -> Response:
        import itly

        itly.seen("user-1", where="body")
        return jsonify(request.get_json())

    @app.get("/stats")
    def stats() -> Response:
        import itly

        return jsonify(itly.stats())

    @app.get("/start/<how>/<where>")
    def start(how: str, where: str) -> str:
        from tests.flask import tasks

        tasks.STARTERS[how](where)
        return "started"
