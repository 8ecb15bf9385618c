"""The least a function can do."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on


class Identity(StreamFunction):
    @on("events")
    def same(self, event: dict[str, Any], _context: Any) -> dict[str, Any]:
        return event
