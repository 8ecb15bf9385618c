"""A function for tests: timers that are set, moved and deleted, and tell when they fire."""

from __future__ import annotations

import time
from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on


class Alarms(StreamFunction):
    """An alarm for each order, and how many there were."""

    @on("orders")
    def order(self, order: dict[str, Any], context: Any) -> None:
        if order["in_ms"] is None:
            context.delete_timer(order["id"])
        else:
            context.set_timer(order["id"], context.get_processing_time() + order["in_ms"])

    def on_timer(self, name: str, at_ms: int, context: Any) -> dict[str, Any]:
        if name.startswith("hang"):
            time.sleep(600)
        context.incr_counter("alarms", 1)
        return {
            "id": name,
            "at": at_ms,
            "fired": context.get_processing_time(),
            "count": context.get_counter("alarms"),
        }
