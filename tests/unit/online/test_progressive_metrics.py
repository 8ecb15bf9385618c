"""Binned metrics against their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.metrics import ROCAUC, Accuracy

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.memory import MemoryContext
from pulsar_pipeline.online.metrics import BINS, BinaryMetrics, ProgressiveMetrics, _bin

SCORED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=80)


def metrics_of(scored: list[tuple[float, bool]]) -> BinaryMetrics:
    metrics = BinaryMetrics()
    for score, label in scored:
        metrics.update(score, label)
    return metrics


def exact_roc_auc(scored: list[tuple[float, bool]]) -> float | None:
    positives = [score for score, label in scored if label]
    negatives = [score for score, label in scored if not label]
    if not positives or not negatives:
        return None
    won = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return won / (len(positives) * len(negatives))


def exact_average_precision(scored: list[tuple[float, bool]]) -> float | None:
    total = sum(label for _, label in scored)
    if not total:
        return None
    area, recall = 0.0, 0.0
    for threshold in sorted({score for score, _ in scored}, reverse=True):
        chosen = [label for score, label in scored if score >= threshold]
        area += (sum(chosen) / total - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / total
    return area


@given(SCORED)
def test_roc_auc_is_within_its_stated_error(scored: list[tuple[float, bool]]) -> None:
    metrics, exact = metrics_of(scored), exact_roc_auc(scored)
    if exact is None:
        assert metrics.roc_auc is None
        assert metrics.roc_auc_error is None
    else:
        assert metrics.roc_auc is not None
        assert metrics.roc_auc_error is not None
        assert abs(metrics.roc_auc - exact) <= metrics.roc_auc_error + 1e-12


@given(SCORED)
def test_average_precision_is_exact_for_binned_scores(scored: list[tuple[float, bool]]) -> None:
    exact = exact_average_precision([(float(_bin(score)), label) for score, label in scored])
    assert metrics_of(scored).average_precision == (None if exact is None else pytest.approx(exact))


@given(st.floats(0, 1), st.floats(0, 1))
def test_bins_keep_the_order_of_scores(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= _bin(low) <= _bin(high) < BINS


def test_a_known_case() -> None:
    metrics = metrics_of([(0.1, False), (0.4, False), (0.35, True), (0.8, True)])
    assert metrics.roc_auc == pytest.approx(0.75)
    assert metrics.average_precision == pytest.approx(0.8333333333)
    assert metrics.log_loss == pytest.approx(-sum(map(math.log, (0.9, 0.6, 0.35, 0.8))) / 4)
    assert (metrics.count, metrics.positives, metrics.roc_auc_error) == (4, 2, 0.0)


def test_nothing_is_recorded_before_there_is_something() -> None:
    context, metrics = MemoryContext(), BinaryMetrics()
    metrics.record(context)
    assert context.metrics == {"labels": [0.0]}
    metrics.update(0.2, True)
    metrics.record(context)
    assert set(context.metrics) == {"labels", "average_precision", "log_loss"}


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_a_score_that_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(DataError, match="from 0 to 1"):
        BinaryMetrics().update(score, True)


def test_river_metrics_are_recorded_by_name() -> None:
    metrics = ProgressiveMetrics({"accuracy": Accuracy(), "area": ROCAUC()})
    metrics.update(True, True)
    metrics.update(False, True)
    context = MemoryContext()
    metrics.record(context)
    assert metrics.count == 2
    assert context.metrics["accuracy"] == [0.5]
    assert set(context.metrics) == {"accuracy", "area"}
