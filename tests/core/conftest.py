from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from itly_core.client import Client
from itly_core.options import Options, ValidationOptions
from itly_core.package import Package
from itly_core.plans.document import Section
from itly_core.testing import Recorder
from tests.codegen.plans import closed, event, imported, plan_of

TEXT, NULLABLE = {"type": "string"}, {"type": ["string", "null"]}


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def debug(self, message: str) -> None:
        self.said.append(("debug", message))

    def info(self, message: str) -> None:
        self.said.append(("info", message))

    def warn(self, message: str) -> None:
        self.said.append(("warn", message))

    def error(self, message: str) -> None:
        self.said.append(("error", message))

    @property
    def errors(self) -> list[str]:
        return [message for level, message in self.said if level == "error"]


class Loaded:
    """A package with a client that records: what was accepted, counted and said."""

    def __init__(self, itly: ModuleType, **options: Any) -> None:
        self.itly = itly
        self.recorder = Recorder()
        self.log = Lines()
        for name in ("disabled", "fail_on_error", "track_invalid"):
            if name in options:
                validation = options.setdefault("validation", {})
                validation[name] = options.pop(name)
        if "validation" in options:
            options["validation"] = ValidationOptions(**options["validation"])
        scope = options.pop("scope", lambda: None)
        engine: Package = itly._package
        client = engine.start(Options(logger=self.log, **options), scope=scope, delivery=self.recorder)
        assert isinstance(client, Client)
        self.client = client
        engine.install(client)

    @property
    def calls(self) -> list[Any]:
        return self.recorder.calls

    @property
    def call(self) -> Any:
        """The only call that was accepted."""
        assert len(self.recorder.calls) == 1
        return self.recorder.calls[0]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A generated package: two events, a context, traits of users and groups, pages."""
    started = event(
        "Process Started",
        {
            "available_processors": {"type": "integer", "minimum": 1},
            "region": NULLABLE,
            "rev": {"const": 4},
            "note": TEXT,
            "price": {"type": "number"},
            "anything": {},
            "address": closed({"city": TEXT, "zip": {"type": "integer"}}, ["city"]),
            "tags": {"type": "array", "items": TEXT},
        },
        ["available_processors"],
        version="1.0.0",
    )
    ordered = event(
        "Order Completed",
        {"user_id": TEXT, "total": {"type": "number"}},
        ["user_id", "total"],
        user_id_property="user_id",
    )
    counted = event("Counted", {"user_id": {"type": "integer"}}, ["user_id"], user_id_property="user_id")
    plan = plan_of(
        started,
        ordered,
        counted,
        context=Section(name="context", schema=closed({"version": TEXT, "note": TEXT})),
        identify=Section(name="identify", schema=closed({"plan": {"enum": ["free", "pro"]}})),
        group=Section(name="group", schema=closed({"seats": {"type": "integer"}})),
        page=Section(name="page", schema=closed({"path": TEXT})),
    )
    return imported(plan, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A package whose plan has one event and nothing else."""
    return imported(plan_of(event("Seen")), tmp_path_factory.mktemp("bare"))


@pytest.fixture
def load(shop: ModuleType) -> Iterator[Callable[..., Loaded]]:
    """Load the shop with these options, recording."""
    yield lambda **options: Loaded(shop, **options)
    shop._package.uninstall()
