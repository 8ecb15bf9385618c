"""The API's metrics: counted per worker process, shown for all of them together; views are read from their stores."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pulsar_pipeline import metrics
from pulsar_pipeline.clock import Clock
from pulsar_pipeline.query.access import OpenView

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
UNMATCHED = "unmatched"


class Recorder:
    """Counts requests by route template. One per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests, seconds = metrics.HTTP_REQUESTS, metrics.HTTP_SECONDS
        self._requests = Counter(requests.name, requests.help, requests.labels, registry=registry)
        self._seconds = Histogram(seconds.name, seconds.help, seconds.labels, registry=registry, buckets=BUCKETS_S)
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def record(self, route: str, method: str, status: int, seconds: float) -> None:
        bound = self._bound.get((route, method, status))
        if bound is None:
            bound = self._requests.labels(route, method, str(status)), self._seconds.labels(route, method)
            self._bound[route, method, status] = bound
        bound[0].inc()
        bound[1].observe(seconds)


class Measured:
    """ASGI middleware that records each request."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app, self._recorder = app, recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if route != UNMATCHED else "any"
            self._recorder.record(route, method, status, time.perf_counter() - started)


class ViewCollector(Collector):
    """The state of each view at the time of the scrape."""

    def __init__(self, views: Iterable[OpenView], clock: Clock) -> None:
        self._views, self._clock = views, clock

    def collect(self) -> Iterator[Family]:
        families = {metric.name: _family(metric) for metric in metrics.QUERY_METRICS if "_view_" in metric.name}
        for view in self._views:
            self._measure(view, families)
        yield from families.values()

    def _measure(self, open_view: OpenView, families: dict[str, Any]) -> None:
        view, reader = open_view.view, open_view.reader
        labels = [view.tenant, view.name]
        freshness = reader.freshness()
        families[metrics.VIEW_READY.name].add_metric(labels, float(freshness.ready))
        families[metrics.VIEW_ROWS.name].add_metric(labels, reader.rows())
        if freshness.ready:
            lag_s = freshness.lag_ms(self._clock.now_ms()) / 1000
            families[metrics.VIEW_LAG_SECONDS.name].add_metric(labels, lag_s)
        for partition, record in reader.partitions().items():
            each = [*labels, str(partition)]
            families[metrics.VIEW_APPLIED.name].add_metric(each, record.applied)
            families[metrics.VIEW_SKIPPED.name].add_metric(each, record.skipped)
            families[metrics.VIEW_DROPPED.name].add_metric(each, record.dropped)
            families[metrics.VIEW_GAPS.name].add_metric(each, record.gaps)
            families[metrics.VIEW_POSITION_LEDGER.name].add_metric(each, record.state.position.ledger)
            families[metrics.VIEW_POSITION_ENTRY.name].add_metric(each, record.state.position.entry)


def exposition(own: CollectorRegistry, views: ViewCollector, shared_folder: Path | None) -> bytes:
    """The text of `/metrics`. `shared_folder`: where the workers' counters lie, None for a single process."""
    registry = own
    if shared_folder is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(shared_folder))  # type: ignore[no-untyped-call]
    state = CollectorRegistry()
    state.register(views)
    return generate_latest(registry) + generate_latest(state)


def _family(metric: metrics.Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)
