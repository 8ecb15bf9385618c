"""The seam between the loop and what a deployment is promised: which events count as new, where outputs and state go,
and when a batch is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.state import StateStore


class Guarantee(Protocol):
    """Called by the loop's thread only, except `settle`."""

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        """Of what was received, the events to process now, in this order."""

    def begin(self, message: Any) -> bool:
        """An admitted event is about to be processed; False where it must not be (it hung the function before)."""

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        """Queue an output of the event in work for the output partition of the same number."""

    def state(self, partition: int) -> StateStore:
        """The state that events of a partition see."""

    def batch_done(self, processed: Sequence[Any]) -> None:
        """These events are processed. Called after every receive, an empty one too; may block for back-pressure.

        Raises what storing raised.
        """

    def drain(self) -> None:
        """Return once all that was processed is stored and acknowledged; raises what storing raised."""

    def settle(self, message: Any) -> None:
        """The loop is stuck in this event, which was set aside: keep what can be kept before the process ends."""
