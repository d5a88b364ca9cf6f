"""For OpenTelemetry: observable instruments of its metrics API (`pip install 'itly-web[opentelemetry]'`).

from itly_core.exporters.opentelemetry import observe

observe(itly.stats, spool_dir=".itly")  # with the global meter provider
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from ..version import VERSION
from .readings import METRICS, Metric, Readings, Stats


def observe(
    stats: Stats | None = None,
    *,
    spool_dir: str | os.PathLike[str] | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Make the instruments of docs/operations.md. Once for each process. stats, spool_dir: as for `Readings`."""
    readings = Readings(stats, spool_dir)
    meter = get_meter("itly", VERSION, meter_provider)
    for metric in METRICS:
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(metric.name, [_callback(metric, readings)], metric.unit, metric.help)


def _callback(metric: Metric, readings: Readings) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def answer(options: CallbackOptions) -> Iterable[Observation]:
        for labels, value in readings.read()[metric.name].items():
            yield Observation(value, dict(zip(metric.labels, labels, strict=True)))

    return answer
