"""Reading, searching, commenting and writing posts."""

from __future__ import annotations

import itly
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from . import store

blueprint = Blueprint("posts", __name__)


@blueprint.get("/")
def index() -> ResponseReturnValue:
    tag = request.args.get("tag", "")
    found = store.posts(tag=tag)
    itly.page(category="Blog", name="Posts", posts=len(found), tag=tag)
    return render_template("index.html", posts=found, tag=tag)


@blueprint.get("/search")
def search() -> ResponseReturnValue:
    query = request.args.get("q", "").strip()[:100]
    found = store.posts(text=query) if query else []
    if query:
        itly.posts_searched(query=query, results=len(found))
    return render_template("search.html", posts=found, query=query)


@blueprint.get("/posts/<int:post_id>")
def post(post_id: int) -> ResponseReturnValue:
    shown = store.post_by_id(post_id) or abort(404)
    itly.post_viewed(post_id=shown.id, title=shown.title, words=shown.words, is_own=_wrote(shown))
    return render_template("post.html", post=shown, comments=store.comments(shown.id))


@blueprint.post("/posts/<int:post_id>/comments")
@login_required
def comment(post_id: int) -> ResponseReturnValue:
    shown = store.post_by_id(post_id) or abort(404)
    body = request.form.get("body", "").strip()
    if not body:
        flash("A comment needs some words.")
    else:
        is_first = not store.comments(shown.id)
        store.add_comment(shown.id, current_user.name, body)
        itly.comment_posted(post_id=shown.id, length=len(body), is_first=is_first)
    return redirect(url_for("posts.post", post_id=shown.id))


@blueprint.route("/write", methods=["GET", "POST"])
@login_required
def write() -> ResponseReturnValue:
    title, body = request.form.get("title", "").strip(), request.form.get("body", "").strip()
    tags = [tag.strip() for tag in request.form.get("tags", "").split(",") if tag.strip()][:5]
    if request.method == "GET" or not (title and body):
        if request.method == "POST":
            flash("A post needs a title and some words.")
        return render_template("write.html", title=title, body=body, tags=", ".join(tags))
    published = store.add_post(current_user.name, title, body, tags)
    itly.post_published(post_id=published.id, words=published.words, tags=tags)
    itly.group(group_id="authors", name="Authors", members=store.authors())
    return redirect(url_for("posts.post", post_id=published.id))


@blueprint.get("/about")
def about() -> ResponseReturnValue:
    """A page that sends nothing."""
    return render_template("about.html")


def _wrote(shown: store.Post) -> bool:
    return current_user.is_authenticated and bool(current_user.name == shown.author)
