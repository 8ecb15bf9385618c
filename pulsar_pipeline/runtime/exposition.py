"""Prometheus exposition of an instance under Pulsar's own names, computed from `Stats` at scrape time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from pulsar_pipeline import metrics
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.stats import Counts, Snapshot, Stats

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
    """Expose `/metrics` on `port` from a daemon thread. Raises OSError when the port is taken."""
    registry = CollectorRegistry()
    registry.register(collector)
    start_http_server(port, registry=registry)
