"""Signing up, in and out."""

from __future__ import annotations

import itly
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_required, login_user, logout_user

from . import store

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/sign-up", methods=["GET", "POST"])
def sign_up() -> ResponseReturnValue:
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    newsletter = "newsletter" in request.form
    if request.method == "GET":
        return render_template("sign_up.html")
    user = store.add_user(name, password, newsletter) if name and password else None
    if user is None:
        flash("That name is taken, or something is missing.")
        return render_template("sign_up.html"), 400
    login_user(user)  # from here on the request knows the user: no call below names one
    itly.identify(display_name=user.name, signed_up_at=user.signed_up_at, newsletter=newsletter)
    itly.signed_up(newsletter=newsletter)
    return redirect(url_for("posts.index"))


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("sign_in.html")
    user = store.user_by_name(request.form.get("name", "").strip())
    if user is None or not user.has_password(request.form.get("password", "")):
        itly.sign_in_failed(reason="unknown_name" if user is None else "wrong_password")
        flash("No such name and password.")
        return render_template("sign_in.html"), 400
    login_user(user)
    itly.identify(display_name=user.name, signed_up_at=user.signed_up_at, newsletter=user.newsletter)
    itly.signed_in(method="password")
    return redirect(url_for("posts.index"))


@blueprint.post("/sign-out")
@login_required
def sign_out() -> ResponseReturnValue:
    itly.signed_out()
    logout_user()
    return redirect(url_for("posts.index"))
