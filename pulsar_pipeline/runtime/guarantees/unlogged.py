"""What the guarantees without a state log have in common: outputs are sent as they are, state lives in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pulsar_pipeline.online.timers import until_first
from pulsar_pipeline.runtime.guarantees.direct_lane import DirectLane
from pulsar_pipeline.runtime.guarantees.stamped_input import StampedInputs
from pulsar_pipeline.runtime.processing.turn import ALL_DUE, Turn
from pulsar_pipeline.runtime.transport.event import InputPartition


class DirectTurns:
    """What is received, as turns; of stamped inputs what counts."""

    def __init__(
        self,
        lanes: Mapping[int, DirectLane],
        partitions: Mapping[str, InputPartition],
        stamped: StampedInputs,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        """`now_ms` is the clock of timers; None for a function that has none."""
        self.lanes = lanes
        self._partitions = partitions
        self._stamped = stamped
        self._now_ms = now_ms
        self._any_input = {each.partition: each for each in partitions.values()}

    def of(self, messages: Sequence[Any]) -> list[Turn]:
        groups: dict[str, list[Any]] = {}
        for message, _ in self._stamped.those_that_count(messages):
            groups.setdefault(message.topic_name(), []).append(message)
        turns = [self._turn(self._partitions[name], group) for name, group in groups.items()]
        if self._now_ms is not None:
            turns += self._timers(self._now_ms())
        return turns

    def until_timer_ms(self) -> int | None:
        """How long it is until a timer is due; None where none is set."""
        if self._now_ms is None:
            return None
        return until_first([lane.state.timers for lane in self.lanes.values()], self._now_ms())

    def _timers(self, now_ms: int) -> Iterator[Turn]:
        for partition, lane in self.lanes.items():
            if lane.state.timers.due(now_ms):
                yield Turn(lane, self._any_input[partition], (), fires=ALL_DUE)

    def _turn(self, origin: InputPartition, messages: Sequence[Any]) -> Turn:
        return Turn(self.lanes[origin.partition], origin, messages)


def last_of_partition(messages: Sequence[Any]) -> list[Any]:
    """Of each partition's messages the last."""
    return list({message.topic_name(): message for message in messages}.values())
