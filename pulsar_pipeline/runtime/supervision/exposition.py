"""Prometheus exposition of an instance under Pulsar's own names, computed from `Stats` at scrape time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from pulsar_pipeline import metrics
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.supervision.stats import Counts, Snapshot, Stats

_AFTER_S = 2.0
"""Before the port is tried at first, and again."""

_log = logging.getLogger(__name__)

_COUNTERS: tuple[tuple[metrics.Metric, Callable[[Counts], int]], ...] = (
    (metrics.FUNCTION_RECEIVED, lambda counts: counts.received),
    (metrics.FUNCTION_PROCESSED, lambda counts: counts.processed),
    (metrics.FUNCTION_USER_EXCEPTIONS, lambda counts: counts.user_exceptions),
    (metrics.FUNCTION_SYSTEM_EXCEPTIONS, lambda counts: counts.system_exceptions),
)


class InstanceCollector(Collector):
    """Families of one instance, labelled as Pulsar's own instance labels them."""

    def __init__(self, arguments: Arguments, stats: Stats) -> None:
        details = arguments.details
        self._stats = stats
        self._labels = [
            details.tenant,
            f"{details.tenant}/{details.namespace}",
            details.name,
            str(arguments.instance_id),
            arguments.cluster,
            details.fully_qualified_name,
        ]

    def collect(self) -> Iterator[Family]:
        snapshot = self._stats.snapshot()
        for metric, count in _COUNTERS:
            yield self._counter(metric, count(snapshot.total))
            yield self._gauge(metric.name + metrics.PER_MINUTE_SUFFIX, metric, count(snapshot.last_minute))
        last = metrics.FUNCTION_LAST_INVOCATION
        yield self._gauge(last.name, last, snapshot.last_invocation_ms)
        yield self._latency(snapshot)
        yield from self._user_metrics(snapshot)

    def _counter(self, metric: metrics.Metric, value: float) -> Family:
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        family.add_metric(self._labels, value)
        return family

    def _gauge(self, name: str, metric: metrics.Metric, value: float) -> Family:
        family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
        family.add_metric(self._labels, value)
        return family

    def _latency(self, snapshot: Snapshot) -> Family:
        metric = metrics.FUNCTION_LATENCY
        family = SummaryMetricFamily(metric.name, metric.help, labels=metric.labels)
        done = snapshot.total.processed + snapshot.total.user_exceptions
        family.add_metric(self._labels, count_value=done, sum_value=snapshot.total.latency_ms)
        return family

    def _user_metrics(self, snapshot: Snapshot) -> Iterator[Family]:
        metric, latest = metrics.FUNCTION_USER_METRIC, metrics.FUNCTION_USER_METRIC_LAST
        summary = SummaryMetricFamily(metric.name, metric.help, labels=metric.labels)
        last = GaugeMetricFamily(latest.name, latest.help, labels=latest.labels)
        for name, value in snapshot.user_metrics.items():
            summary.add_metric([*self._labels, name], count_value=value.count, sum_value=value.total)
            last.add_metric([*self._labels, name], value.last)
        yield summary
        yield last


def serve_metrics(port: int, collector: Collector) -> None:
    """Expose `/metrics` on `port`, from daemon threads. Returns at once.

    A functions worker picks ports blindly among those free at the moment, so that now and then this one is another
    instance's as well, or this instance's own control port. Nothing but the metrics depends on it, so control ports go
    first, and while the port is taken the instance works without.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    threading.Thread(target=_serve, args=(port, registry), name="metrics", daemon=True).start()


def _serve(port: int, registry: CollectorRegistry) -> None:
    told = False
    while True:
        time.sleep(_AFTER_S)
        try:
            start_http_server(port, registry=registry)
        except OSError as error:
            if not told:
                _log.warning("no metrics for now: cannot listen on port %s: %s", port, error.strerror)
            told = True
        else:
            return
