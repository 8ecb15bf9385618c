"""The seam between the loop and what a deployment is promised: which events count as new, what lane they go down, and
when what came of them is kept for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from pulsar_pipeline.runtime.processing.turn import Turn


class Guarantee(Protocol):
    """Called by the loop's thread only, except `settle`."""

    gives_back: ClassVar[bool]
    """Whether events that no lane was told of as done come again; if not, a turn that was begun has to be ended."""

    due_at: float
    """Of `time.monotonic()`: when `commit` is to be called next, between two events."""

    def admit(self, messages: Sequence[Any]) -> list[Turn]:
        """Of what was received, the events to process now, in this order."""

    def until_timer_ms(self) -> int | None:
        """How long it is until a timer is due; None where none is set."""

    def commit(self) -> None:
        """Keep all that lanes were told of as done; does not wait for it, except for back-pressure.

        Raises what storing raised.
        """

    def batch_done(self) -> None:
        """Called after every receive, an empty one too; commits if it is time to. Raises what storing raised."""

    def drain(self) -> None:
        """Return once all that was done is stored and acknowledged; raises what storing raised."""

    def settle(self, message: Any) -> None:
        """The loop is stuck in this event, which was set aside: keep what can be kept before the process ends."""
