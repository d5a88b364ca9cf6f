"""What Prometheus and OpenTelemetry are told, by their own libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from itly_core import signals
from itly_core.delivery.spool import QUARANTINE
from itly_core.errors import NotLoaded, Violation
from itly_core.exporters import readings
from itly_core.exporters.opentelemetry import observe
from itly_core.exporters.prometheus import ItlyCollector
from tests.spool.delivering import Adapter, Delivering, accept, eventually, ids_of, start, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def every_reading_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MAX_AGE_S", 0.0)


def scrape(collector: ItlyCollector) -> dict[tuple[str, ...], float]:
    """{(sample, values of its labels): value}, as a server reads them."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[Delivering]:
    """Five calls were delivered, two wait, one line was damaged, and one call was refused."""
    adapter = Adapter()
    (file,) = write(tmp_path, ["early"])
    file.write_bytes(b"no call\n" + file.read_bytes())
    made = start(tmp_path, adapter)
    accept(made, *ids_of("m", 4))
    eventually(lambda: len(adapter.calls) == 5)
    made.flush(20.0)
    adapter.is_down = True
    accept(made, *ids_of("late", 2))
    made.refuse("consent")
    eventually(lambda: made.stats()["custom"]["parked"] == 2)
    yield made
    made.shutdown(0.5)


def test_prometheus_is_told_of_one_process(delivery: Delivering) -> None:
    found = scrape(ItlyCollector(delivery.stats))

    assert found["itly_events_accepted_total", "custom"] == 7
    assert found["itly_events_delivered_total", "custom"] == 4
    assert found["itly_events_dropped_total", "custom", "consent"] == 1
    assert found["itly_queue_parked", "custom"] == 2
    assert not [name for name, *_ in found if name.startswith("itly_spool")]


def test_prometheus_is_told_of_every_process_of_a_spool(delivery: Delivering, tmp_path: Path) -> None:
    found = scrape(ItlyCollector(delivery.stats, spool_dir=tmp_path))

    assert found["itly_events_delivered_total", "custom"] == 5
    assert found["itly_events_dropped_total", "custom", "corrupt"] == 1
    assert found["itly_events_dropped_total", "custom", "consent"] == 1
    assert found["itly_queue_parked", "custom"] == 2
    assert 0 < found["itly_queue_oldest_age", "custom"] < 100
    assert found["itly_spool_corrupt_records",] == 1
    assert found["itly_spool_files",] >= 1
    assert found["itly_spool_free_bytes",] > 0
    places = [value for (name, *_), value in found.items() if name.startswith(("itly_events_d", "itly_queue_parked"))]
    rest = found["itly_queue_size", "custom"] + found["itly_lane_inflight", "custom"]
    assert found["itly_events_accepted_total", "custom"] == sum(places) + rest == 9


def test_opentelemetry_is_told_the_same(delivery: Delivering, tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    observe(delivery.stats, spool_dir=tmp_path, meter_provider=provider)
    collected = reader.get_metrics_data()
    assert collected is not None
    found: dict[tuple[str, ...], float] = {}
    units: dict[str, str] = {}
    for metric in collected.resource_metrics[0].scope_metrics[0].metrics:
        units[metric.name] = metric.unit
        for point in metric.data.data_points:
            labels = tuple(map(str, (point.attributes or {}).values()))
            found[(metric.name, *labels)] = point.value  # type: ignore[union-attr]
    provider.shutdown()

    prometheus = scrape(ItlyCollector(delivery.stats, spool_dir=tmp_path))
    same = {
        (name.removesuffix("_total"), *labels): value
        for (name, *labels), value in prometheus.items()
        if name not in ("itly_queue_oldest_age", "itly_spool_free_bytes")
    }
    dotted = {(name.replace(".", "_"), *labels): value for (name, *labels), value in found.items()}
    assert {key: dotted.get(key) for key in same} == same
    assert units["itly.spool.bytes"] == "By"
    assert units["itly.queue.oldest_age"] == "s"


def test_calls_that_break_the_plan_and_requests_that_fail_are_counted_as_they_happen() -> None:
    collector = ItlyCollector(dict)
    rules = ("type", "required")
    violations = tuple(Violation("total", "is wrong", rule) for rule in rules)
    signals.event_invalid.send(None, call=None, violations=violations)
    signals.event_invalid.send(None, call=None, violations=violations[1:])
    signals.batch_failed.send(None, destination="amplitude", reason="HTTP 503")
    found = scrape(collector)

    assert found["itly_events_rejected_total", "type"] == 1
    assert found["itly_events_rejected_total", "required"] == 1
    assert found["itly_events_retried_total", "amplitude"] == 1


def test_nothing_is_opened_when_it_is_registered(tmp_path: Path) -> None:
    def stats() -> Mapping[str, Mapping[str, Any]]:
        raise AssertionError("asked too early")

    CollectorRegistry(auto_describe=True).register(ItlyCollector(stats, spool_dir=tmp_path / "spool"))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, ["m-0"])
    (tmp_path / "state.db").write_bytes(b"garbage" * 1000)

    def stats() -> Mapping[str, Mapping[str, Any]]:
        raise NotLoaded("not loaded")

    assert scrape(ItlyCollector(stats, spool_dir=tmp_path)) == {}
    assert not scrape(ItlyCollector(spool_dir=tmp_path / "none yet")).get(("itly_spool_bytes",))


def test_there_must_be_something_to_export() -> None:
    with pytest.raises(ValueError, match="stats"):
        ItlyCollector()


def test_a_round_of_questions_looks_at_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MAX_AGE_S", 60.0)
    (file,) = write(tmp_path, ["m-0"])
    collector = ItlyCollector(spool_dir=tmp_path)
    before = scrape(collector)["itly_spool_bytes",]
    write(tmp_path, ["m-1"])

    assert scrape(collector)["itly_spool_bytes",] == before == file.stat().st_size
    assert (tmp_path / QUARANTINE).is_dir()


def test_the_library_itself_needs_neither() -> None:
    code = "import sys, itly_core.delivery; sys.exit(any(name.split('.')[0] in ('prometheus_client', 'opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
