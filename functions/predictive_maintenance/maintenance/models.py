"""The models to choose from by config: a table of builders. Each learns online, from one label at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from river.drift import NoDrift
from river.forest import AMFClassifier, ARFClassifier
from river.linear_model import LogisticRegression
from river.optim import SGD
from river.preprocessing import StandardScaler

from maintenance.config import Config
from maintenance.features import Features
from maintenance.splitter import LeanGaussianSplitter
from pulsar_pipeline.errors import SpecError

CLIP = 1e-4
"""A member's probability stays this far from 0 and 1, so that one sure member cannot silence the others."""


class Classifier(Protocol):
    """What is used of a river classifier."""

    def learn_one(self, x: dict[str, float], y: bool) -> Any: ...

    def predict_proba_one(self, x: dict[str, float]) -> Any: ...


class RiskModel:
    """The mean of its members' log odds, with failures weighted in learning and the weight taken out again.

    Failures are about 3 in 100 readings. Learning each of them `failure_weight` times multiplies the odds a member
    gives by about that much, so the risk is the mean odds divided by it.
    """

    def __init__(self, members: Sequence[Classifier], failure_weight: int) -> None:
        self._members = tuple(members)
        self._failure_weight = failure_weight
        self._shift = math.log(failure_weight)
        self.learned = 0
        """Labels learned so far."""

    def risk(self, features: Features) -> float:
        """From 0 to 1; 1 / (1 + failure_weight) while nothing was learned. Changes nothing."""
        values = features._asdict()
        odds = [_log_odds(member.predict_proba_one(values)) for member in self._members]
        return 1.0 / (1.0 + math.exp(self._shift - sum(odds) / len(odds)))

    def learn(self, features: Features, failed: bool) -> None:
        """One label."""
        values = features._asdict()
        for _ in range(self._failure_weight if failed else 1):
            for member in self._members:
                member.learn_one(values, failed)
        self.learned += 1


def _log_odds(probabilities: Mapping[bool, float]) -> float:
    if not probabilities:  # a forest without a tree
        return 0.0
    probability = min(max(probabilities.get(True, 0.0), CLIP), 1.0 - CLIP)
    return math.log(probability / (1.0 - probability))


def _forest(config: Config) -> RiskModel:
    """Hoeffding trees see a border once it is certain, Mondrian trees split early: together better than either.

    Every Hoeffding tree may split on every feature (there are few, and a failure needs two or three at once) and a
    leaf answers with its counts, which is faster than naive Bayes and was better. The drift detectors are off: with
    them the average precision of these trees fell from 0.87 to 0.82 (rows 2,001-5,000), for a tree that is replaced
    has to wait long for the next failures.
    """
    hoeffding = ARFClassifier(
        n_models=config.trees,
        max_features=len(Features._fields),
        leaf_prediction="mc",
        splitter=LeanGaussianSplitter(),
        drift_detector=NoDrift(),  # type: ignore[no-untyped-call]
        warning_detector=NoDrift(),  # type: ignore[no-untyped-call]
        seed=config.seed,
    )
    mondrian = AMFClassifier(n_estimators=config.trees, use_aggregation=False, max_nodes=2000, seed=config.seed)
    return RiskModel([hoeffding, mondrian], config.failure_weight)


def _logistic(config: Config) -> RiskModel:
    """The baseline: a line through seven features, in a few microseconds."""
    return RiskModel([StandardScaler() | LogisticRegression(SGD(0.03))], config.failure_weight)


BUILDERS: Mapping[str, Callable[[Config], RiskModel]] = {"forest": _forest, "logistic": _logistic}


def build(config: Config) -> RiskModel:
    """An untaught model; equal configs give equal models. Raises SpecError for an unknown name."""
    if config.model not in BUILDERS:
        raise SpecError(f"no model {config.model!r}", key="config.model", mend=f"choose of {', '.join(BUILDERS)}")
    return BUILDERS[config.model](config)
