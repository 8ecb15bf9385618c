"""Progressive (test, then learn) quality of a model: score an event before learning from it, record as metrics.

Recorded metrics reach Prometheus and `functions stats` through `context.record_metric`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from pulsar_pipeline.errors import DataError

BINS = 10_000
LOGIT_LIMIT = 16.0
"""Scores below 1e-7 or above 1 - 1e-7 share the outermost bins."""

_LOW = 1.0 / (1.0 + math.exp(LOGIT_LIMIT))
_SCALE = BINS / (2 * LOGIT_LIMIT)
_LOG_LOSS_FLOOR = 1e-15


class RiverMetric(Protocol):
    """What `river.metrics` have in common."""

    def update(self, y_true: Any, y_pred: Any) -> Any: ...

    def get(self) -> float: ...


class ProgressiveMetrics:
    """river's metrics by name, each updated with (truth, prediction) and recorded together."""

    def __init__(self, metrics: Mapping[str, RiverMetric]) -> None:
        self._metrics = dict(metrics)
        self.count = 0

    def update(self, y_true: Any, y_pred: Any) -> None:
        """`y_pred` was predicted before the model learned `y_true`."""
        self.count += 1
        for metric in self._metrics.values():
            metric.update(y_true, y_pred)

    def values(self) -> dict[str, float]:
        """Each metric's value so far."""
        return {name: float(metric.get()) for name, metric in self._metrics.items()}

    def record(self, context: Any) -> None:
        """Send every value that is a number yet."""
        _record(context, self.values())


class BinaryMetrics:
    """ROC AUC, average precision and log loss of probabilities, in bounded memory.

    Scores fall into 10,000 bins of equal width in log odds, so that small risks stay apart: neighbours differ by a
    factor of 1.0032 in odds. Scores of one bin count as ties. So ROC AUC is off by at most half the share of
    (positive, negative) pairs that lie in one bin, which `roc_auc_error` gives; average precision is exact for the
    binned scores. Log loss is exact. Update takes O(1), reading a value O(occupied bins).
    """

    def __init__(self) -> None:
        self._positives: dict[int, int] = {}
        self._negatives: dict[int, int] = {}
        self.positives = 0
        self.negatives = 0
        self._log_loss_sum = 0.0

    @property
    def count(self) -> int:
        """Updates so far."""
        return self.positives + self.negatives

    def update(self, score: float, label: bool) -> None:
        """`score`: probability of the positive class, predicted before the label was learned.

        Raises DataError for a score that is no probability.
        """
        if not 0.0 <= score <= 1.0:  # false for NaN as well
            raise DataError(f"a score has to be from 0 to 1, not {score!r}")
        bin_ = _bin(score)
        if label:
            self.positives += 1
            self._positives[bin_] = self._positives.get(bin_, 0) + 1
            self._log_loss_sum -= math.log(max(score, _LOG_LOSS_FLOOR))
        else:
            self.negatives += 1
            self._negatives[bin_] = self._negatives.get(bin_, 0) + 1
            self._log_loss_sum -= math.log(max(1.0 - score, _LOG_LOSS_FLOOR))

    @property
    def roc_auc(self) -> float | None:
        """Chance that a positive scores above a negative (ties half); None until both were seen."""
        if not self.positives or not self.negatives:
            return None
        won, below = 0.0, 0
        for bin_ in sorted(self._positives.keys() | self._negatives.keys()):
            positives, negatives = self._positives.get(bin_, 0), self._negatives.get(bin_, 0)
            won += positives * (below + 0.5 * negatives)
            below += negatives
        return won / (self.positives * self.negatives)

    @property
    def roc_auc_error(self) -> float | None:
        """Most that binning can have moved `roc_auc`; None until it has a value."""
        if not self.positives or not self.negatives:
            return None
        tied = sum(count * self._negatives.get(bin_, 0) for bin_, count in self._positives.items())
        return 0.5 * tied / (self.positives * self.negatives)

    @property
    def average_precision(self) -> float | None:
        """Area under precision over recall, as the step-wise sum; None until a positive was seen.

        A model without skill has the share of positives, not 0.5.
        """
        if not self.positives:
            return None
        total, hits, seen = 0.0, 0, 0
        for bin_ in sorted(self._positives.keys() | self._negatives.keys(), reverse=True):
            positives = self._positives.get(bin_, 0)
            hits += positives
            seen += positives + self._negatives.get(bin_, 0)
            total += positives * hits / seen
        return total / self.positives

    @property
    def log_loss(self) -> float | None:
        """Mean negative log likelihood, in nats; None before the first update."""
        return self._log_loss_sum / self.count if self.count else None

    def values(self) -> dict[str, float | None]:
        """All of them by name."""
        return {
            "roc_auc": self.roc_auc,
            "average_precision": self.average_precision,
            "log_loss": self.log_loss,
            "labels": float(self.count),
        }

    def record(self, context: Any) -> None:
        """Send every value that is defined yet."""
        _record(context, self.values())


def _bin(score: float) -> int:
    if score <= _LOW:
        return 0
    if score >= 1.0 - _LOW:
        return BINS - 1
    return int((math.log(score / (1.0 - score)) + LOGIT_LIMIT) * _SCALE)


def _record(context: Any, values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            context.record_metric(name, value)
