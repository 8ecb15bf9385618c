"""A function for tests: doubles numbers, and misbehaves where its config says so."""

from __future__ import annotations

import threading
from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on


class Counter(StreamFunction):
    def setup(self, context: Any) -> None:
        self._config = self.config(context)
        if self._config["refuse_to_start"]:
            raise RuntimeError("the model file is missing")

    @on("events")
    def double(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        n = event["n"]
        if self._config["fail_every"] and n % self._config["fail_every"] == 0:
            raise ValueError(f"cannot take {n}")
        if n == self._config["hang_at"]:
            threading.Event().wait()
        context.record_metric("largest", n)
        return {"id": event["id"], "n": n, "doubled": 2 * n, "secret": context.get_secret("password")}
