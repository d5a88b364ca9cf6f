"""A small blog: posts, search, accounts, comments. Shows itly in a Flask app made by a factory."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_login import LoginManager

from itly_web.flask import Itly

from . import accounts, posts, store

itly_extension = Itly()
login_manager = LoginManager()
login_manager.login_view = "accounts.sign_in"


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """The blog. Everything in `app.config` may come from the environment as FLASK_<NAME>."""
    app = Flask(__name__, instance_path=os.environ.get("BLOG_INSTANCE"))
    app.config.from_mapping(
        SECRET_KEY="for this sample only",
        DATABASE=os.path.join(app.instance_path, "blog.sqlite3"),
        SESSION_COOKIE_SAMESITE="Lax",
        ITLY={
            "PACKAGE": "itly",
            "SOURCES": {"python": "tracking-plan.yaml"},
            "CONTEXT": {"version": "1.0"},
        },
    )
    app.config.from_prefixed_env()  # FLASK_ITLY__DESTINATIONS__amplitude__api_key=... adds a destination
    app.config.update(config or {})

    itly_extension.init_app(app)
    login_manager.init_app(app)
    store.init_app(app)

    login_manager.user_loader(store.user_by_id)
    app.register_blueprint(posts.blueprint)
    app.register_blueprint(accounts.blueprint)
    return app
