"""Posts, comments and users, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from flask import Flask, current_app, g
from flask_login import UserMixin
from werkzeug.security import check_password_hash, generate_password_hash

SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL, newsletter INTEGER NOT NULL,
    signed_up_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS post (
    id INTEGER PRIMARY KEY, author TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, tags TEXT NOT NULL,
    published_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS comment (
    id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES post, author TEXT NOT NULL, body TEXT NOT NULL,
    posted_at TEXT NOT NULL
);
"""
FIRST_POSTS = [
    ("Ada", "A plan before an event", "Write down what you want to know, then send it: the plan is both.", "plans"),
    ("Ada", "Names that last", "An event is something a person did, in the past tense: Post Viewed.", "plans,names"),
    ("Grace", "What a request knows", "The route, the language, the page before. Send what you need.", "privacy"),
]


@dataclass
class User(UserMixin):
    id: int
    name: str
    password: str
    newsletter: bool
    signed_up_at: datetime

    def has_password(self, password: str) -> bool:
        return check_password_hash(self.password, password)


@dataclass
class Post:
    id: int
    author: str
    title: str
    body: str
    tags: list[str]
    published_at: datetime

    @property
    def words(self) -> int:
        return len(self.body.split())


@dataclass
class Comment:
    id: int
    post_id: int
    author: str
    body: str
    posted_at: datetime


def init_app(app: Flask) -> None:
    os.makedirs(os.path.dirname(app.config["DATABASE"]), exist_ok=True)
    with sqlite3.connect(app.config["DATABASE"], timeout=10) as connection:
        connection.executescript(SCHEMA)
        connection.execute("BEGIN IMMEDIATE")  # two workers may start at once: one of them writes the first posts
        if connection.execute("SELECT count(*) FROM post").fetchone()[0] == 0:
            connection.executemany(
                "INSERT INTO post (author, title, body, tags, published_at) VALUES (?, ?, ?, ?, ?)",
                [(*post, _now()) for post in FIRST_POSTS],
            )
    connection.close()
    app.teardown_appcontext(_close)


def posts(text: str = "", tag: str = "") -> list[Post]:
    """The newest first; those that contain the text and carry the tag."""
    pattern = f"%{text}%"
    rows = _database().execute(
        "SELECT * FROM post WHERE (title LIKE ? OR body LIKE ?) AND (? = '' OR ',' || tags || ',' LIKE ?)"
        " ORDER BY id DESC",
        (pattern, pattern, tag, f"%,{tag},%"),
    )
    return [_post(row) for row in rows]


def post_by_id(post_id: int) -> Post | None:
    row = _database().execute("SELECT * FROM post WHERE id = ?", (post_id,)).fetchone()
    return _post(row) if row else None


def add_post(author: str, title: str, body: str, tags: list[str]) -> Post:
    cursor = _write(
        "INSERT INTO post (author, title, body, tags, published_at) VALUES (?, ?, ?, ?, ?)",
        (author, title, body, ",".join(tags), _now()),
    )
    return _found(post_by_id(cursor.lastrowid or 0))


def comments(post_id: int) -> list[Comment]:
    rows = _database().execute("SELECT * FROM comment WHERE post_id = ? ORDER BY id", (post_id,))
    return [Comment(**{**dict(row), "posted_at": datetime.fromisoformat(row["posted_at"])}) for row in rows]


def add_comment(post_id: int, author: str, body: str) -> None:
    _write(
        "INSERT INTO comment (post_id, author, body, posted_at) VALUES (?, ?, ?, ?)", (post_id, author, body, _now())
    )


def authors() -> int:
    """How many people wrote a post."""
    return int(_database().execute("SELECT count(DISTINCT author) FROM post").fetchone()[0])


def user_by_id(user_id: str) -> User | None:
    return _user("id", user_id)


def user_by_name(name: str) -> User | None:
    return _user("name", name)


def add_user(name: str, password: str, newsletter: bool) -> User | None:
    """The new user; None if the name is taken."""
    try:
        _write(
            "INSERT INTO user (name, password, newsletter, signed_up_at) VALUES (?, ?, ?, ?)",
            (name, generate_password_hash(password), newsletter, _now()),
        )
    except sqlite3.IntegrityError:
        return None
    return user_by_name(name)


def _user(column: str, value: str) -> User | None:
    row = _database().execute(f"SELECT * FROM user WHERE {column} = ?", (value,)).fetchone()
    if row is None:
        return None
    moment = datetime.fromisoformat(row["signed_up_at"])
    return User(row["id"], row["name"], row["password"], bool(row["newsletter"]), moment)


def _post(row: sqlite3.Row) -> Post:
    tags = [tag for tag in row["tags"].split(",") if tag]
    return Post(row["id"], row["author"], row["title"], row["body"], tags, datetime.fromisoformat(row["published_at"]))


def _found(post: Post | None) -> Post:
    assert post is not None
    return post


def _database() -> sqlite3.Connection:
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"], timeout=10)
        g.database.row_factory = sqlite3.Row
    return g.database  # type: ignore[no-any-return]


def _write(statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
    with _database() as connection:
        return connection.execute(statement, values)


def _close(_: BaseException | None) -> None:
    database = g.pop("database", None)
    if database is not None:
        database.close()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
