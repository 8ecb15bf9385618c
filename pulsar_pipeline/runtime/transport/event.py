"""One received event on its way through the instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulsar

from pulsar_pipeline.statelog.records import Position


def parse_position(text: str) -> Position:
    """From `ledger:entry:batch`. Raises ValueError."""
    ledger, entry, batch = text.split(":")
    return Position(int(ledger), int(entry), int(batch))


def position_of(message: Any) -> Position:
    """Position of a consumed `pulsar.Message`."""
    return position_at(message.message_id())


def position_at(identity: Any) -> Position:
    """Position of a client's message id; that of a send callback has no partition, which a position does without."""
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
    return pulsar.MessageId(partition, position.ledger, position.entry, position.batch)
