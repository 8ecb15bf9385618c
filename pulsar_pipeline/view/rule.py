"""Which message wins: the one place that decides what a view takes from its topic. Pure.

Within a partition the log's order decides: a message at or below the last one taken was delivered again and is
dropped, a later one replaces an earlier one of the same key.

Between partitions (a key may come from two of them, for example after the partition count grew) the later publish
time decides. A publish time may run back within a partition (another producer, another machine's clock), which would
set the two orders against each other; so each partition has a clock that never runs back, the largest publish time
seen in it so far. (clock, partition) then orders a key's messages the same way however the partitions' batches
interleave, and whether or not some were applied before a crash.
"""

from __future__ import annotations

from typing import NamedTuple

from pulsar_pipeline.view.position import NOWHERE, Position


class PartitionState(NamedTuple):
    """What a view remembers of a partition: the last message taken, and the partition's clock."""

    position: Position = NOWHERE
    clock_ms: int = 0


UNTOUCHED = PartitionState()


class Stamp(NamedTuple):
    """What a row remembers of the message it came from, to be compared with the next one."""

    clock_ms: int
    partition: int


def judge(state: PartitionState, position: Position, publish_time_ms: int) -> PartitionState | None:
    """The partition's state after taking the message, or None where it has been taken before."""
    if position <= state.position:
        return None
    return PartitionState(position, max(state.clock_ms, publish_time_ms))


def supersedes(new: Stamp, stored: Stamp) -> bool:
    """Whether a message just taken replaces the row. An equal stamp is a later message of the same partition."""
    return new >= stored
