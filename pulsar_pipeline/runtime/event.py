"""One received event on its way through the instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pulsar


class Position(NamedTuple):
    """Where an event stands in its partition; ordered as the partition is."""

    ledger: int
    entry: int
    batch_index: int

    def __str__(self) -> str:
        return f"{self.ledger}:{self.entry}:{self.batch_index}"


def parse_position(text: str) -> Position:
    """From `ledger:entry:batch`. Raises ValueError."""
    ledger, entry, batch = text.split(":")
    return Position(int(ledger), int(entry), int(batch))


def position_of(message: Any) -> Position:
    """Position of a consumed `pulsar.Message`."""
    identity = message.message_id()
    return Position(identity.ledger_id(), identity.entry_id(), identity.batch_index())


@dataclass(frozen=True, slots=True)
class InputPartition:
    """One partition of one input; its outputs go to the output's partition of the same number."""

    name: str
    """The function's own name for the input."""
    topic: str
    """Full name of the partitioned topic."""
    partition: int
    full_name: str
    """Full name of the partition."""
    stamped: bool = False
    """Its messages carry stamps: the topic is another deployment's exactly-once output."""


def message_id(partition: int, position: Position) -> pulsar.MessageId:
    """The client's identity of a position; those of send callbacks lack the partition, so it is always given."""
    return pulsar.MessageId(partition, position.ledger, position.entry, position.batch_index)
