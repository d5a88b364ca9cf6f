"""The shop over real HTTP, with a local sink as Amplitude and Segment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from sample_projects.local_sink import LocalSink
from tests.servers import Server

SHOP = Path(__file__).parents[1]
ROOT = SHOP.parents[1]
GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "config.wsgi"]
SYNC = [*GUNICORN, "--workers", "2"]
ALONE = [*GUNICORN, "--workers", "1"]
GTHREAD = [*GUNICORN, "--workers", "2", "--worker-class", "gthread", "--threads", "4", "--preload"]


@pytest.fixture(scope="session")
def empty_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with products and nobody in it."""
    folder = tmp_path_factory.mktemp("shop")
    migrated = manage("migrate", "-v0", SHOP_DATA=str(folder))
    assert migrated.returncode == 0, migrated.stderr
    return folder / "shop.sqlite3"


@pytest.fixture
def serve(sink: LocalSink, tmp_path: Path, empty_shop: Path) -> Callable[..., Any]:
    """Starts the shop in production, on an empty database, sending to `sink`."""
    (tmp_path / "shop.sqlite3").write_bytes(empty_shop.read_bytes())

    @contextmanager
    def start(command: list[str] = ALONE, **env: str) -> Iterator[Server]:
        given = {
            "PYTHONPATH": f"{SHOP}:{ROOT}",
            "SHOP_DATA": str(tmp_path),
            "SHOP_DEBUG": "0",
            "AMPLITUDE_API_KEY": "AK",
            "AMPLITUDE_ENDPOINT": sink.amplitude_url,
            "SEGMENT_WRITE_KEY": "WK",
            "SEGMENT_ENDPOINT": sink.segment_url,
            **env,
        }
        with Server(command, cwd=SHOP, env=given) as server:
            yield server

    return start


class Customer:
    """A browser."""

    def __init__(self, server: Server, agent: str = "Customer/1") -> None:
        self._url = server.url
        self._session = requests.Session()
        self._session.headers["User-Agent"] = agent

    def get(self, path: str, status: int = 200) -> str:
        answer = self._session.get(self._url + path, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, status: int = 200, **form: str) -> str:
        """Sends a form from the page it stands on; follows where it leads."""
        if "csrftoken" not in self._session.cookies:
            self.get("/sign-in/")
        token = self._session.cookies["csrftoken"]
        answer = self._session.post(self._url + path, data=form, headers={"X-CSRFToken": token}, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.text

    def sign_up(self, name: str, **form: str) -> str:
        return self.post("/sign-up/", username=name, password1="long and odd 1", password2="long and odd 1", **form)


def manage(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A management command, in a process of its own that knows nothing of this test run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_", "ITLY"))}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=SHOP,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", [SYNC, GTHREAD], ids=["sync", "gthread"])
def test_a_purchase_arrives_at_both_vendors(serve: Callable[..., Any], sink: LocalSink, command: list[str]) -> None:
    with serve(command) as server:
        customer = Customer(server)
        assert "Sea Green Ink" in customer.get("/?shelf=ink")
        assert "2 for" in customer.get("/search/?q=Ink")
        customer.get("/products/sea-green-ink/")
        assert "Sea Green Ink: 3 added" in customer.post("/products/sea-green-ink/add/", quantity="3")
        customer.post("/products/brass-ballpoint/add/", quantity="1")
        assert "Brass Ballpoint taken out" in customer.post("/products/brass-ballpoint/remove/")
        customer.sign_up("zoe", newsletter="on")
        customer.get("/checkout/")
        page = customer.post("/checkout/", recipient="Zoe Z", address="1 Lane", payment="invoice")
        assert "Thank you" in page
        assert "31.20" in page
        customer.post("/sign-out/")
        messages = sink.wait_for(13, where="segment")
        events = sink.wait_for(13, where="amplitude")

    tracked = {message["event"]: message for message in messages if message["type"] == "track"}
    assert set(tracked) == {
        *("Products Searched", "Product Viewed", "Product Added", "Product Removed", "Signed Up"),
        *("Checkout Started", "Order Completed", "Signed Out"),
    }
    order = tracked["Order Completed"]["properties"]
    ink = {
        "sku": "IN-302",
        "name": "Sea Green Ink",
        "category": "ink",
        "price": {"amount": 10.4, "currency": "EUR"},
    }
    assert order == {
        "order_id": re.findall(r"Order (\w{8}) of", page)[0] + order["order_id"][8:],
        "lines": [{"product": ink, "quantity": 3}],
        "total": {"amount": 31.2, "currency": "EUR"},
        "payment": "invoice",
        "coupon": None,
        "schema_rev": 2,
        "version": "1.0",
    }
    (identify,) = [message for message in messages if message["type"] == "identify"]
    assert identify["traits"].items() >= {"name": "zoe", "newsletter": True, "orders": 0}.items()

    assert {event["insert_id"] for event in events} == {message["messageId"] for message in messages}
    assert all("itly" not in message["context"] for message in messages)
    assert "long and odd" not in str(sink.requests)
    assert "1 Lane" not in str(sink.requests)


def test_every_event_carries_its_request(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve() as server:
        customer = Customer(server, "Browser/7")
        customer.get("/products/music-book/?utm_source=news&secret=1")
        customer.sign_up("zoe")
        customer.post("/products/music-book/add/", quantity="2")
        messages = sink.wait_for(5, where="segment")
        events = sink.wait_for(5, where="amplitude")

    assert {message["context"]["userAgent"] for message in messages} == {"Browser/7"}
    assert {message["context"]["ip"] for message in messages} == {"127.0.0.0"}
    (viewed,) = [message for message in messages if message.get("event") == "Product Viewed"]
    assert viewed["context"]["campaign"] == {"source": "news"}
    assert {(message["context"]["route"], message["context"]["method"]) for message in messages} == {
        ("products/<slug:slug>/", "GET"),
        ("sign-up/", "POST"),
        ("/", "GET"),
        ("products/<slug:slug>/add/", "POST"),
    }
    happened = [event for event in events if event["event_type"] != "$identify"]
    assert all(event["event_properties"]["context"]["method"] in ("GET", "POST") for event in happened)
    assert all(event["event_properties"]["version"] == "1.0" for event in happened if "Page" not in event["event_type"])
    assert "secret=1" not in str(sink.requests)


def test_customers_at_the_same_time_do_not_mix(serve: Callable[..., Any], sink: LocalSink) -> None:
    names = [f"customer-{number}" for number in range(5)]

    def shop(name: str) -> None:
        customer = Customer(server, name)
        customer.sign_up(name)
        for _ in range(5):
            customer.get("/products/field-notebook/")
        customer.post("/products/field-notebook/add/", quantity=str(int(name[-1]) + 1))

    with serve(GTHREAD) as server:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(shop, names))
        expected = len(names) * 9  # signed up, identified, back at the catalogue, 5 looks, 1 in the basket
        messages = sink.wait_for(expected, where="segment", timeout_s=30)
        sink.wait_for(expected, where="amplitude", timeout_s=30)

    ids = {message["traits"]["name"]: message["userId"] for message in messages if message["type"] == "identify"}
    assert sorted(ids) == names
    assert len(set(ids.values())) == len(names)
    for name, user_id in ids.items():
        own = [message for message in messages if message["context"]["userAgent"] == name]
        assert {message["userId"] for message in own} == {user_id}
        assert len({message["messageId"] for message in own}) == 9
        (added,) = [message for message in own if message.get("event") == "Product Added"]
        assert added["properties"]["quantity"] == int(name[-1]) + 1


def test_in_production_a_broken_call_is_flagged_and_the_page_works(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve() as server:
        customer = Customer(server)
        customer.post("/products/iron-gall-ink/add/", quantity="1")
        assert "10 % off" in customer.post("/basket/coupon/", code="ink10")
        customer.post("/basket/coupon/", code="NONE", status=400)
        messages = sink.wait_for(3, where="segment")
        sink.wait_for(3, where="amplitude")
        server.wait_for_line("'Coupon Entered' breaks the tracking plan: percent_off")

    broken, right = [message for message in messages if message.get("event") == "Coupon Entered"]
    assert broken["properties"].items() >= {"code": "INK10", "percent_off": "10 %"}.items()
    assert broken["context"]["itly"]["valid"] is False
    assert broken["context"]["itly"]["violations"][0]["path"] == "percent_off"
    assert right["properties"]["percent_off"] is None
    assert "itly" not in right["context"]


def test_in_development_a_broken_call_raises_where_it_is_made(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve(SHOP_DEBUG="1") as server:
        customer = Customer(server)
        customer.post("/products/iron-gall-ink/add/", quantity="1")
        page = customer.post("/basket/coupon/", code="INK10", status=500)
        (message,) = sink.wait_for(1, where="segment")

    assert "InvalidEvent" in page
    assert "percent_off" in page
    assert message["event"] == "Product Added"


def test_nothing_is_lost_when_the_vendors_are_down_and_the_shop_is_killed(
    serve: Callable[..., Any], sink: LocalSink
) -> None:
    sink.go_down()
    with serve() as server:
        customer = Customer(server)
        for _ in range(20):
            customer.get("/products/cedar-pencils/")
        server.kill()
    sink.go_up()
    with serve() as server:
        Customer(server).get("/products/music-book/")
        sink.wait_for(21, where="segment", timeout_s=30)
        sink.wait_for(21, where="amplitude", timeout_s=30)

    for vendor, key in (("segment", "messageId"), ("amplitude", "insert_id")):
        assert len({event[key] for event in sink.events(vendor)}) == 21


def test_a_page_that_sends_nothing_sends_nothing(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve() as server:
        customer = Customer(server)
        customer.get("/imprint/")
        customer.get("/products/cedar-pencils/")
        (message,) = sink.wait_for(1, where="segment")

    assert message["event"] == "Product Viewed"


def test_a_wrong_form_says_so_and_sends_nothing(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve() as server:
        customer = Customer(server)
        told = [
            customer.post("/products/music-book/add/", status=400, quantity="21"),
            customer.post("/sign-in/", status=400, username="nobody", password="x"),
            customer.post("/sign-up/", status=400, username="me", password1="a", password2="b"),
            customer.post("/basket/coupon/", status=400, code=""),
        ]

    words = ["less than or equal to 20", "correct username", "password fields", ""]
    assert all(word in page for word, page in zip(words, told, strict=True)), told
    assert sink.count() == 0


def test_an_order_is_its_customers_own(serve: Callable[..., Any], sink: LocalSink) -> None:
    with serve() as server:
        zoe, max_ = Customer(server), Customer(server)
        zoe.sign_up("zoe")
        zoe.post("/products/music-book/add/", quantity="1")
        zoe.post("/checkout/", recipient="Z", address="1 Lane", payment="card_on_delivery")
        messages = sink.wait_for(5, where="segment")
        (completed,) = [message for message in messages if message.get("event") == "Order Completed"]
        order_id = completed["properties"]["order_id"]
        assert "Music Book" in zoe.get(f"/orders/{order_id}/")
        max_.sign_up("max")

        max_.get(f"/orders/{order_id}/", status=404)


def test_the_package_is_what_the_plan_gives() -> None:
    done = manage("itly_pull", "--check")

    assert done.returncode == 0, done.stdout + done.stderr


def test_models_and_migrations_agree_and_the_checks_pass() -> None:
    for command in (["makemigrations", "--check", "--dry-run"], ["check", "--fail-level", "WARNING"]):
        done = manage(*command)
        assert done.returncode == 0, done.stdout + done.stderr
