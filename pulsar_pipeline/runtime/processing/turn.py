"""What the loop takes at once: consecutive events of one input in one owned partition, and the lane they go down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pulsar_pipeline.online.state import State
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.statelog.lineage import Lineage

ALL_DUE = 0
"""All timers whose time has come. Numbers begin with 1."""


class Lane(Protocol):
    """One owned partition under a guarantee: its state, its output, its way to other topics.

    Used by the loop's thread. Sending queues, and blocks only for back-pressure; what the client raises means that the
    instance cannot go on.
    """

    hung_timer: int | None
    """The number of a timer that must not fire: it hung the function before."""

    @property
    def state(self) -> State:
        """The state that events of the partition see."""

    def emit(self, payload: bytes, key: str | None, event_time_ms: int | None) -> None:
        """An output of the event in work, for the output partition of the same number."""

    def check(self, message: Outgoing) -> None:
        """Whether a message could be published: asked while its event can still be told. Raises DataError."""

    def publish(self, message: Outgoing) -> None:
        """A message of the event in work for another topic, dead letters included; it was checked."""

    def fired(self) -> None:
        """A timer has fired, and what it did is part of the state."""

    def reached(self, turn: Turn, count: int) -> None:
        """The first `count` events of a turn are done; told before a commit, and at the turn's end."""


@dataclass(slots=True)
class Turn:
    """Events to be processed in this order."""

    lane: Lane
    origin: InputPartition
    messages: Sequence[Any]
    lineages: Sequence[Lineage | None] = ()
    """Of a stamped input: how far it has come with each event."""
    note: Callable[..., None] | None = None
    """To be called before each event, where the order of several inputs is taken down; of a timer with its number."""
    skip: bool = False
    """They count as done, but must not be processed: they hung the function before, and are dead letters."""
    fires: int | None = None
    """No events, but timers of the lane: the one of this number, which fired here before a crash, or with ALL_DUE those
    whose time has come."""
    done: int = 0
    """How many the lane has been told of."""

    def reached(self, count: int) -> None:
        self.lane.reached(self, count)
