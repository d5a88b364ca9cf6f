"""For Prometheus: a collector of its client library (`pip install 'itly-web[prometheus]'`).

from prometheus_client import REGISTRY
from itly_core.exporters.prometheus import ItlyCollector

REGISTRY.register(ItlyCollector(itly.stats, spool_dir=".itly"))
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from .readings import METRICS, Metric, Readings, Stats


class ItlyCollector(Collector):
    """The metrics of docs/operations.md, with underscores for dots. Arguments as for `Readings`."""

    def __init__(self, stats: Stats | None = None, *, spool_dir: str | os.PathLike[str] | None = None) -> None:
        self._readings = Readings(stats, spool_dir)

    def collect(self) -> Iterator[Family]:
        reading = self._readings.read()
        for metric in METRICS:
            family = _family(metric)
            for labels, value in reading[metric.name].items():
                family.add_metric(labels, value)
            yield family

    def describe(self) -> Iterator[Family]:
        """What there will be. Registering opens no file."""
        return map(_family, METRICS)


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return make(metric.name.replace(".", "_"), metric.help, labels=metric.labels)
