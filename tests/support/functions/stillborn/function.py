"""A function for tests: its constructor raises, but only inside a runtime instance, so that it can be packaged."""

from __future__ import annotations

import sys
from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on


class Stillborn(StreamFunction):
    def __init__(self) -> None:
        if "pulsar_pipeline.runtime.instance" in sys.modules:
            raise RuntimeError("no GPU on this machine")

    @on("events")
    def echo(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"id": event["id"], "n": event["n"], "doubled": 0, "secret": None}
