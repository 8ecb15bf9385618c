"""Which message wins: the one place that decides what a view takes from its topic. Pure.

Within a partition the log's order decides: a message at or below the last one taken was delivered again and is
dropped, a later one replaces an earlier one of the same key. Outputs of an exactly-once deployment carry a stamp, and
must also count by the rule of statelog/lineage.py: what a former owner sent late, or what was made again after a crash,
is dropped. Messages without a stamp (other guarantees, other writers) have their position only.

A gap in the stamps means that the topic has lost a message. The view takes the message behind it, counts and logs the
gap, and goes on: what is lost does not come back by waiting, and every entity but the lost one's is served right. A
view that stopped would answer ever older rows for all of them.

Between partitions (a key may come from two of them, for example after the partition count grew) the later publish
time decides. A publish time may run back within a partition (another producer, another machine's clock), which would
set the two orders against each other; so each partition has a clock that never runs back, the largest publish time
taken from it so far. (clock, partition) then ranks a key's messages the same way however the partitions' batches
interleave, and whether or not some were applied before a crash.
"""

from __future__ import annotations

from typing import NamedTuple

from pulsar_pipeline.statelog import lineage as outputs
from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage, Verdict
from pulsar_pipeline.statelog.stamp import Marker, Stamp
from pulsar_pipeline.view.position import NOWHERE, Position

TAKEN = (Verdict.TAKE, Verdict.GAP)
"""Verdicts of messages that may make a row."""


class PartitionState(NamedTuple):
    """What a view remembers of a partition: the last message seen, the partition's clock, how far its outputs are.

    A view may begin in the middle of the outputs (the topic keeps the later ones only), so it begins ANYWHERE.
    """

    position: Position = NOWHERE
    clock_ms: int = 0
    lineage: Lineage = ANYWHERE


UNTOUCHED = PartitionState()


class Rank(NamedTuple):
    """What a row remembers of the message it came from, to be compared with the next one."""

    clock_ms: int
    partition: int


def judge(
    state: PartitionState, position: Position, publish_time_ms: int, stamp: Stamp | Marker | None = None
) -> tuple[Verdict, PartitionState] | None:
    """What is to be done with a message, and the partition's state after it; None where it was delivered before."""
    if position <= state.position:
        return None
    verdict, lineage = (Verdict.TAKE, state.lineage) if stamp is None else outputs.judge(state.lineage, stamp)
    clock_ms = max(state.clock_ms, publish_time_ms) if verdict in TAKEN else state.clock_ms
    return verdict, PartitionState(position, clock_ms, lineage)


def supersedes(new: Rank, stored: Rank) -> bool:
    """Whether a message just taken replaces the row. An equal rank is a later message of the same partition."""
    return new >= stored
