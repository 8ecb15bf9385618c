"""Risk of failure per machine reading, learned online from labels that arrive later."""

from __future__ import annotations

from typing import Any

from maintenance.config import Config
from maintenance.features import features_of
from maintenance.state import State

from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.models import Models

_MODEL = "model"
"""Each partition has one model, for all its machines."""


class FailureRisk(StreamFunction):
    """Readings in, risks out; labels teach."""

    def setup(self, context: Any) -> None:
        """Raises SpecError for a config that cannot be."""
        self._config = Config.of(self.config(context))
        State(self._config)  # a config that cannot be fails here, not with the first event
        self._states = Models(context, lambda _key: State(self._config))

    @on("readings")
    def predict(self, reading: dict[str, Any], _context: Any) -> dict[str, Any]:
        """The risk of this reading, by the labels learned before it."""
        state = self._states[_MODEL]
        learned = state.model.learned
        risk = state.predict(reading["machine_id"], reading["reading_id"], features_of(reading))
        return {
            "machine_id": reading["machine_id"],
            "reading_id": reading["reading_id"],
            "at": reading["at"],
            "risk": risk,
            "alert": risk >= self._config.alert_at,
            "learned": learned,
        }

    @on("labels")
    def learn(self, label: dict[str, Any], context: Any) -> None:
        """Join the label with what was predicted, score it, learn it."""
        state = self._states[_MODEL]
        missed = state.learn(label["machine_id"], label["reading_id"], label["failed"])
        if missed is not None:
            context.record_metric(missed.value, state.missed[missed])
        elif state.model.learned % self._config.metrics_every == 0:
            state.quality.record(context)
