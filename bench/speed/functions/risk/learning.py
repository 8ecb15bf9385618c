"""What the models see of a reading, and one step of them; measured alone by the benchmark's `--parts`, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from river.compose import Pipeline
from river.linear_model import LogisticRegression
from river.preprocessing import StandardScaler
from river.tree import HoeffdingTreeClassifier

MODELS: dict[str, Callable[[], Any]] = {
    "logreg": lambda: Pipeline(StandardScaler(), LogisticRegression()),
    "hoeffding": HoeffdingTreeClassifier,
}

_MEASURED = ("air_temperature_k", "process_temperature_k", "rotational_speed_rpm", "torque_nm", "tool_wear_min")


def step(model: Any, reading: dict[str, Any]) -> float:
    """Predict, then learn."""
    features = features_of(reading)
    risk = model.predict_proba_one(features).get(True, 0.0)
    model.learn_one(features, outcome_of(reading))
    return float(risk)


def features_of(reading: dict[str, Any]) -> dict[str, float]:
    """Eight numbers."""
    features = {name: reading[name] for name in _MEASURED}
    quality = reading["product_type"]
    features["low"], features["medium"], features["high"] = quality == "L", quality == "M", quality == "H"
    return features


def outcome_of(reading: dict[str, Any]) -> bool:
    """Worn tools under much torque fail."""
    return bool(reading["tool_wear_min"] * reading["torque_nm"] > 9000)
