"""What the guarantees without a state log have in common: outputs are sent as they are, state lives in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulsar_pipeline.runtime.direct_lane import DirectLane
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.runtime.turn import Turn


class DirectTurns:
    """What is received, as turns; of stamped inputs what counts."""

    def __init__(
        self, lanes: Mapping[int, DirectLane], partitions: Mapping[str, InputPartition], stamped: StampedInputs
    ) -> None:
        self.lanes = lanes
        self._partitions = partitions
        self._stamped = stamped

    def of(self, messages: Sequence[Any]) -> list[Turn]:
        groups: dict[str, list[Any]] = {}
        for message, _ in self._stamped.those_that_count(messages):
            groups.setdefault(message.topic_name(), []).append(message)
        return [self._turn(self._partitions[name], group) for name, group in groups.items()]

    def _turn(self, origin: InputPartition, messages: Sequence[Any]) -> Turn:
        return Turn(self.lanes[origin.partition], origin, messages)


def last_of_partition(messages: Sequence[Any]) -> list[Any]:
    """Of each partition's messages the last."""
    return list({message.topic_name(): message for message in messages}.values())
