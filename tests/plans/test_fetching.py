"""Plans behind an address, against a server on this machine."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from itly_core.errors import ConfigError, PlanError, PullError
from itly_core.plans import fetch, load
from itly_core.plans.server import Limits
from tests.plans.plan_server import PlanServer, send

PLAN = b"itly: 1\nplan: {name: Shop}\nevents: {A: {}}\n"


def test_a_plan_is_read_from_an_address(server: PlanServer) -> None:
    server.answers["/shop.yaml"] = send(PLAN)

    plan = load(f"{server.url}/shop.yaml?secret=1#part")

    assert (plan.name, [event.name for event in plan.events]) == ("Shop", ["A"])


def test_a_packed_answer_is_unpacked(server: PlanServer) -> None:
    server.answers["/plan"] = send(gzip.compress(PLAN), Content_Encoding="gzip")

    assert load(f"{server.url}/plan").name == "Shop"


def test_a_redirect_on_the_same_server_is_followed(server: PlanServer) -> None:
    server.answers["/old"] = send(b"", 302, Location="/new.yaml")
    server.answers["/new.yaml"] = send(PLAN)

    assert load(f"{server.url}/old").name == "Shop"


@pytest.mark.parametrize("status", [204, 401, 403, 404, 429, 500, 503])
def test_another_status_is_a_pull_error(server: PlanServer, status: int) -> None:
    server.answers["/plan"] = send(b"", status, Retry_After="0")

    with pytest.raises(PullError, match=f"answered {status}") as caught:
        load(f"{server.url}/plan?token=secret")

    assert (caught.value.status, caught.value.url) == (status, f"{server.url}/plan")


def test_a_redirect_to_another_server_is_refused_and_never_asked(server: PlanServer) -> None:
    other = PlanServer()
    try:
        server.answers["/plan"] = send(b"", 302, Location=f"{other.url}/plan")
        with pytest.raises(PullError, match="redirects to another server"):
            fetch.from_url(f"{server.url}/plan", token="secret")
        asked = other.headers
    finally:
        other.close()

    assert asked == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "https://127.0.0.1/plan", "//plans.example/x"])
def test_a_redirect_that_leaves_the_server_is_refused(server: PlanServer, location: str) -> None:
    server.answers["/plan"] = send(b"", 301, Location=location)

    with pytest.raises(PullError, match="redirects to another server"):
        load(f"{server.url}/plan")


def test_a_redirect_to_nonsense_is_a_pull_error(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"", 301, Location="http://[bad")

    with pytest.raises(PullError, match="its answer makes no sense"):
        load(f"{server.url}/plan")


def test_redirects_without_end_are_refused(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"", 302, Location="/plan")

    with pytest.raises(PullError, match="redirects more than 5 times"):
        load(f"{server.url}/plan")


def test_an_answer_that_breaks_off_is_a_pull_error(server: PlanServer) -> None:
    server.answers["/plan"] = send(PLAN, Content_Length="4000")

    with pytest.raises(PullError, match="broke off before the end"):
        load(f"{server.url}/plan")


def test_an_answer_without_end_is_cut(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"#" * 200_000)

    with pytest.raises(PullError, match="more than 100000 bytes"):
        fetch.from_url(f"{server.url}/plan", limits=Limits(answer_bytes=100_000))


def test_an_answer_that_grows_when_unpacked_is_cut(server: PlanServer) -> None:
    server.answers["/plan"] = send(gzip.compress(b"#" * 5_000_000), Content_Encoding="gzip")

    with pytest.raises(PullError, match="more than 100000 bytes"):
        fetch.from_url(f"{server.url}/plan", limits=Limits(answer_bytes=100_000))


def test_a_silent_server_is_given_up(server: PlanServer) -> None:
    server.answers["/plan"] = lambda _: bool(server.released.wait()) and None

    with pytest.raises(PullError, match="the server is silent"):
        fetch.from_url(f"{server.url}/plan", limits=Limits(silence_s=0.05))


def test_a_web_page_is_no_plan(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"\n<!doctype html><p>Please sign in</p>")

    with pytest.raises(PullError, match="a web page, not a plan"):
        load(f"{server.url}/plan")


def test_nobody_there_is_a_pull_error(server: PlanServer) -> None:
    server.close()

    with pytest.raises(PullError, match="no connection"):
        load(f"{server.url}/plan")


def test_an_unusable_document_is_a_plan_error_without_the_query(server: PlanServer) -> None:
    server.answers["/plan"] = send(b"itly: 1\nevents:\n  A: {x: 1}\n")

    with pytest.raises(PlanError) as caught:
        load(f"{server.url}/plan?token=secret")

    assert caught.value.location == f"{server.url}/plan:3"


def test_the_token_is_sent_and_nothing_else_that_identifies(
    server: PlanServer, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("PLAN_TOKEN", "s3cret")
    server.answers["/plan"] = send(PLAN)

    load({"plan": f"{server.url}/plan", "token_env": "PLAN_TOKEN"})
    load(f"{server.url}/plan")

    assert [headers.get("Authorization") for headers in server.headers] == ["Bearer s3cret", None]


REFUSED = {
    "no encryption": ("http://plans.example/plan", "not encrypted: use https"),
    "a password": ("https://me:secret@plans.example/plan", "https://plans.example/plan carries a password"),
    "no host": ("https:///plan", "names no host"),
    "no address": ("https://[plans/plan", "is not an address"),
    "a bad port": ("https://plans.example:port/plan", "is not an address"),
    "another scheme": ("ftp://plans.example/plan", "neither a path nor an https address"),
    "an unknown key": ({"plan": "a", "tokenenv": "b"}, "did you mean 'token_env'?"),
    "no plan": ({"provider": "itly"}, "a source needs `plan`"),
    "an unknown provider": ({"plan": "a", "provider": "itli"}, "did you mean 'itly'?"),
    "a source that is no text": (1, "plan of a source must be text, got 1"),
    "a plan that is no text": ({"plan": 1}, "must be text, got 1"),
    "a variable that is not set": ({"plan": "https://plans.example/p", "token_env": "NO_SUCH"}, "NO_SUCH holds no token"),
}  # fmt: skip


@pytest.mark.parametrize(("reference", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_reference_is_a_config_error(reference: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(reference)

    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
