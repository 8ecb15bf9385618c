"""The lane of a partition under the guarantees without a state log: everything is sent as it is, state is in memory."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.online.state import State
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.transport.outgoing import Outgoing, check
from pulsar_pipeline.runtime.transport.outlet import Outlet
from pulsar_pipeline.runtime.transport.sink import Sink, refused


class DirectLane:
    """One partition. Used by the loop's thread."""

    hung_timer: int | None = None

    def __init__(self, outlet: Outlet | None, sink: Sink, state: State) -> None:
        """`outlet` leads to the output's partition; None for a deployment without output."""
        self._outlet = outlet
        self._sink = sink
        self.publish = sink.send
        self.state = state
        self._done: dict[str, Any] = {}

    def emit(self, payload: bytes, key: str | None, event_time_ms: int | None) -> None:
        if self._outlet is not None:
            self._outlet.send(payload, key, event_time_ms)

    def check(self, message: Outgoing) -> None:
        check(message)
        with refused(message.topic):
            self._sink.open(message.topic)

    def fired(self) -> None:
        """Timers live in memory, as all state here does."""

    def reached(self, turn: Turn, count: int) -> None:
        if count > turn.done:
            self._done[turn.origin.full_name] = turn.messages[count - 1]
            turn.done = count

    def take_done(self) -> list[Any]:
        """Of each input the last event that is done and was not taken yet."""
        done, self._done = list(self._done.values()), {}
        return done
