from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pulsar_pipeline.runtime.arguments import parse
from pulsar_pipeline.runtime.supervision.exposition import InstanceCollector
from pulsar_pipeline.runtime.supervision.stats import KEPT_EXCEPTIONS, Counts, Stats, UserMetric
from tests.unit.runtime.fakes import FakeClock
from tests.unit.runtime.worker_arguments import argv


def test_counts_add_up_and_the_minute_starts_anew() -> None:
    clock = FakeClock()
    stats = Stats(clock)
    stats.add(Counts(received=10, processed=9, user_exceptions=1, latency_ms=20.0))
    assert stats.snapshot().last_minute.received == 10
    clock.seconds += 61
    assert stats.snapshot().last_minute.received == 0
    stats.add(Counts(received=5, processed=5, latency_ms=10.0))
    now = stats.snapshot()
    assert (now.total.received, now.last_minute.received) == (15, 5)
    assert now.total.average_latency_ms == pytest.approx(2.0)
    assert now.last_invocation_ms == clock.now_ms()


def test_only_the_latest_exceptions_are_kept() -> None:
    stats = Stats(FakeClock())
    for number in range(KEPT_EXCEPTIONS + 5):
        stats.user_failure(f"error {number}")
    texts = [failure.text for failure in stats.snapshot().user_failures]
    assert texts == [f"error {number}" for number in range(5, KEPT_EXCEPTIONS + 5)]


def test_reset_forgets_the_minute_and_the_users_metrics_not_the_totals() -> None:
    stats = Stats(FakeClock())
    stats.add(Counts(received=3))
    stats.add_metrics({"auc": UserMetric(1, 0.9, 0.9)})
    stats.reset()
    now = stats.snapshot()
    assert (now.total.received, now.last_minute.received, now.user_metrics) == (3, 0, {})


def test_prometheus_shows_pulsars_own_names_and_labels() -> None:
    stats = Stats(FakeClock())
    stats.add(Counts(received=7, processed=6, user_exceptions=1, latency_ms=14.0))
    stats.add_metrics({"roc_auc": UserMetric(1, 0.5, 0.5)})
    stats.add_metrics({"roc_auc": UserMetric(1, 0.75, 0.75)})
    registry = CollectorRegistry()
    registry.register(InstanceCollector(parse(argv()), stats))
    text = generate_latest(registry).decode()
    labels = (
        'cluster="west",fqfn="acme/predictions/failure-risk",instance_id="1",'
        'name="failure-risk",namespace="acme/predictions",tenant="acme"'
    )
    for line in (
        f"pulsar_function_received_total{{{labels}}} 7.0",
        f"pulsar_function_received_total_1min{{{labels}}} 7.0",
        f"pulsar_function_processed_successfully_total{{{labels}}} 6.0",
        f"pulsar_function_user_exceptions_total{{{labels}}} 1.0",
        f"pulsar_function_system_exceptions_total{{{labels}}} 0.0",
        f"pulsar_function_process_latency_ms_sum{{{labels}}} 14.0",
        f"pulsar_function_process_latency_ms_count{{{labels}}} 7.0",
    ):
        assert line in text
    assert 'metric="roc_auc"' in text
    (last,) = [line for line in text.splitlines() if line.startswith("pulsar_function_user_metric_last{")]
    assert last.endswith(" 0.75")
