"""All that changes with events, in one object: held once per partition."""

from __future__ import annotations

from maintenance.config import Config
from maintenance.features import Features
from maintenance.memory import Memory, Missed, Predicted
from maintenance.models import build
from pulsar_pipeline.online.metrics import BinaryMetrics


class State:
    """The model, what waits for its label, and the quality so far. Can be pickled; knows no context and no clock."""

    def __init__(self, config: Config) -> None:
        self.model = build(config)
        self.memory = Memory(config.remembered_readings, config.remembered_machines)
        self.quality = BinaryMetrics()
        self.missed = dict.fromkeys(Missed, 0)

    def predict(self, machine_id: str, reading_id: int, features: Features) -> float:
        """The risk, by what was learned up to now. A label that came before its reading is learned after it."""
        predicted = Predicted(features, self.model.risk(features))
        failed = self.memory.remember(machine_id, reading_id, predicted)
        if failed is not None:
            self._learn(predicted, failed)
        return predicted.risk

    def learn(self, machine_id: str, reading_id: int, failed: bool) -> Missed | None:
        """Score the prediction that the label judges, then learn from it; None, or why it was not learned now."""
        found = self.memory.judge(machine_id, reading_id, failed)
        if isinstance(found, Missed):
            self.missed[found] += 1
            return found
        self._learn(found, failed)
        return None

    def _learn(self, predicted: Predicted, failed: bool) -> None:
        self.quality.update(predicted.risk, failed)
        self.model.learn(predicted.features, failed)
