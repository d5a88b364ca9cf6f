"""The blog over real HTTP, with a local sink as Amplitude and Segment."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from sample_projects.local_sink import LocalSink
from tests.servers import Server

BLOG = Path(__file__).parents[1]
ROOT = BLOG.parents[1]
SERVERS = {
    "flask": ["flask", "--app", "blog", "run", "--port", "0"],
    "sync": ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--workers", "2", "blog:create_app()"],
    "gthread": [
        *["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--workers", "2"],
        *["--worker-class", "gthread", "--threads", "2", "--preload", "blog:create_app()"],
    ],
}


@pytest.fixture
def serve(sink: LocalSink, tmp_path: Path) -> Callable[..., Any]:
    """Starts the blog, on an empty database, sending to `sink`."""

    @contextmanager
    def start(kind: str) -> Iterator[Server]:
        destinations = "FLASK_ITLY__DESTINATIONS__"
        env = {
            "PYTHONPATH": f"{BLOG}:{ROOT}",
            "BLOG_INSTANCE": str(tmp_path),
            "FLASK_ITLY__DELIVERY__MODE": "memory",
            f"{destinations}amplitude__api_key": "AK",
            f"{destinations}amplitude__endpoint": sink.amplitude_url,
            f"{destinations}segment__write_key": "WK",
            f"{destinations}segment__endpoint": sink.segment_url,
        }
        with Server(SERVERS[kind], cwd=BLOG, env=env) as server:
            yield server

    return start


class Reader:
    """A browser."""

    def __init__(self, server: Server) -> None:
        self._url = server.url
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "Reader/1"

    def get(self, path: str) -> str:
        answer = self._session.get(self._url + path, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.text

    def post(self, path: str, status: int = 200, **form: str) -> str:
        answer = self._session.post(self._url + path, data=form, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.mark.parametrize("kind", SERVERS)
def test_a_readers_visit_arrives_at_both_vendors(serve: Callable[..., Any], sink: LocalSink, kind: str) -> None:
    with serve(kind) as server:
        reader = Reader(server)
        assert "Names that last" in reader.get("/?tag=names")
        reader.get("/posts/2")
        reader.get("/search?q=route")
        reader.post("/sign-up", name="Zoe", password="secret", newsletter="on")
        assert "Very true." in reader.post("/posts/2/comments", body="Very true.")
        reader.post("/sign-out")
        messages = sink.wait_for(10, where="segment")
        sink.wait_for(10, where="amplitude")

    tracked = {message["event"]: message for message in messages if message["type"] == "track"}
    assert set(tracked) == {"Post Viewed", "Posts Searched", "Signed Up", "Comment Posted", "Signed Out"}
    assert tracked["Posts Searched"]["properties"] == {"query": "route", "results": 1, "version": "1.0"}
    assert tracked["Comment Posted"]["properties"].items() >= {"post_id": 2, "length": 10, "is_first": True}.items()
    assert "userId" not in tracked["Posts Searched"]
    assert tracked["Signed Up"]["userId"] == tracked["Signed Out"]["userId"] == "1"
    assert tracked["Comment Posted"]["context"]["userAgent"] == "Reader/1"

    (identify,) = [message for message in messages if message["type"] == "identify"]
    assert identify["traits"].items() >= {"display_name": "Zoe", "newsletter": True}.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*Z", identify["traits"]["signed_up_at"])
    assert "secret" not in str(sink.requests)


def test_an_author_joins_the_group_of_authors(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("flask") as server:
        author = Reader(server)
        author.post("/sign-up", name="Joan", password="secret")
        author.post("/write", title="Mine", body="Three words here", tags="one, two")
        messages = sink.wait_for(6, where="segment")

    published = next(message for message in messages if message.get("event") == "Post Published")
    group = next(message for message in messages if message["type"] == "group")
    viewed = next(message for message in messages if message.get("event") == "Post Viewed")
    assert published["properties"].items() >= {"post_id": 4, "words": 3, "tags": ["one", "two"]}.items()
    assert (group["groupId"], group["userId"], group["traits"]) == ("authors", "1", {"name": "Authors", "members": 3})
    assert viewed["properties"]["is_own"] is True


def test_a_refused_sign_in_says_why_and_never_who(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("flask") as server:
        reader = Reader(server)
        reader.post("/sign-in", status=400, name="nobody-here", password="wrong-one")
        (message,) = sink.wait_for(1, where="segment")

    assert (message["event"], message["properties"]["reason"]) == ("Sign In Failed", "unknown_name")
    assert "nobody-here" not in str(sink.requests[0].body)


def test_a_page_that_sends_nothing_sends_nothing(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("flask") as server:
        reader = Reader(server)
        reader.get("/about")
        reader.get("/posts/1")
        (message,) = sink.wait_for(1, where="segment")

    assert message["event"] == "Post Viewed"


def test_readers_get_their_pages_while_the_vendors_are_down(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve("flask") as server:
        sink.go_down()
        reader = Reader(server)
        assert "A plan before an event" in reader.get("/posts/1")
        sink.go_up()

        assert sink.wait_for(1, where="amplitude", timeout_s=30)[0]["event_type"] == "Post Viewed"


def test_the_package_is_what_the_plan_gives() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "itly_core", "pull", "--check"], cwd=BLOG, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
