"""A risk for each reading, by a model that learns from it: one for all machines, or a tree for each machine."""

from __future__ import annotations

from typing import Any

from learning import MODELS, step

from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.models import Models


class Risk(StreamFunction):
    def setup(self, context: Any) -> None:
        name = self.config(context)["model"]
        self._one_for_all = name == "logreg"
        self._models = Models(context, lambda _key: MODELS[name]())

    @on("readings")
    def predict_and_learn(self, reading: dict[str, Any], _context: Any) -> dict[str, Any]:
        machine = reading["machine_id"]
        risk = step(self._models["all" if self._one_for_all else machine], reading)
        return {"machine_id": machine, "reading_id": reading["reading_id"], "at": reading["at"], "risk": risk}
