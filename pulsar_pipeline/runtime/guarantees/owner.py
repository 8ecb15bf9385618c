"""What an instance holds of one partition it owns under exactly-once: state, positions, and its place in the output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.runtime.guarantees.order import Sequencer
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.statelog.identities import Identities
from pulsar_pipeline.statelog.records import Position
from pulsar_pipeline.statelog.runs import Runs


@dataclass
class Mark:
    """Where in the output partition the outputs after a snapshot begin; None until the broker said."""

    position: Position | None = None


@dataclass
class Owner:
    """One owned partition; used by the loop's thread, its snapshots by the committer's."""

    partition: int
    epoch: int
    incarnation: int
    nonce: str
    number: int
    """Of the last commit."""
    state: PartitionState
    positions: dict[str, Position]
    """Input → the last event processed."""
    seq: int
    """Of the last output made."""
    tail_seq: int
    """Of the last output that is in the topic already: re-made ones up to it are not sent again."""
    sequencer: Sequencer
    outputs_from: Position | None
    identities: Identities = field(default_factory=Identities)
    """Which events are in the state, told by their producers."""
    runs: Runs = field(default_factory=Runs)
    """Events since the last output; stays empty for a function with one input."""
    mark: Mark | None = None
    last_message: dict[str, Any] = field(default_factory=dict)
    """Input → the last event processed since the last snapshot, to acknowledge."""
    processed: int = 0
    """Events since the last snapshot."""
