"""Which of the received events, and which timers, an owner takes now, and in what turns: events once each, and in a
replay all in their old order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any

from pulsar_pipeline.online.timers import until_first
from pulsar_pipeline.runtime.guarantees.order import Fire, Item
from pulsar_pipeline.runtime.guarantees.owner_lane import OwnerLane
from pulsar_pipeline.runtime.guarantees.stamped_input import StampedInputs
from pulsar_pipeline.runtime.processing.turn import ALL_DUE, Turn
from pulsar_pipeline.runtime.transport.entries import entries_of
from pulsar_pipeline.runtime.transport.event import InputPartition, position_of
from pulsar_pipeline.statelog.lineage import Lineage
from pulsar_pipeline.statelog.records import Position


class Admission:
    """Of all partitions of an instance."""

    def __init__(
        self,
        lanes: Mapping[int, OwnerLane],
        partitions: Mapping[str, InputPartition],
        numbers: Mapping[str, int],
        skipped: Collection[tuple[str, Position]],
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        """`numbers` of the inputs in stamps; empty where their order need not be taken down. `skipped` are events, by
        input partition and position, that must not be processed. `now_ms` is the clock of timers; None for a function
        that has none."""
        self._lanes = lanes
        self._partitions = partitions
        self._by_input = {(each.partition, each.name): each for each in partitions.values()}
        self._any_input = {each.partition: each for each in partitions.values()}
        self._numbers = numbers
        self._stamped = StampedInputs(partitions, lambda each: lanes[each.partition].state.lineage(each.name))
        self._skipped = skipped
        self._now_ms = now_ms
        self._fired_before = [lane for lane in lanes.values() if lane.owner.sequencer.replaying]

    def turns(self, messages: Sequence[Any]) -> list[Turn]:
        """What is due, of these and of those that waited for their place; timers behind the events."""
        groups = _as_they_came(messages) if len(self._numbers) > 1 else _by_topic(messages)
        turns = [turn for lane in self._fired_before for turn in self._placed(lane, lane.owner.sequencer.due())]
        self._fired_before = []
        turns += [turn for name, group in groups for turn in self._due(self._partitions[name], group)]
        if self._now_ms is not None:
            turns += self._timers(self._now_ms())
        return turns

    def until_timer_ms(self) -> int | None:
        """How long it is until a timer is due; None where none is set, or may not fire yet."""
        if self._now_ms is None:
            return None
        lanes = [lane for lane in self._lanes.values() if not lane.owner.sequencer.replaying]
        return until_first([lane.state.timers for lane in lanes], self._now_ms())

    def _timers(self, now_ms: int) -> Iterator[Turn]:
        for lane in self._lanes.values():
            if not lane.owner.sequencer.replaying and lane.state.timers.due(now_ms):
                yield self._firing(lane, ALL_DUE)

    def _firing(self, lane: OwnerLane, fires: int) -> Turn:
        origin = self._any_input[lane.owner.partition]
        return Turn(lane, origin, (), note=lane.owner.runs.add_timer if self._numbers else None, fires=fires)

    def _due(self, origin: InputPartition, messages: Sequence[Any]) -> Iterator[Turn]:
        lane = self._lanes[origin.partition]
        lineages: Sequence[Lineage | None] = ()
        if origin.stamped:
            counted = self._stamped.those_that_count(messages)
            messages, lineages = [message for message, _ in counted], [lineage for _, lineage in counted]
        sequencer = lane.owner.sequencer
        if not messages:
            return
        if sequencer.replaying:
            yield from self._replayed(lane, origin, messages, lineages)
            return
        fresh = sequencer.fresh(origin.name, entries_of(messages))
        if sum(map(len, fresh)) < len(messages):  # some were delivered again after a reconnect
            indexes = list(chain.from_iterable(fresh))
            messages = [messages[index] for index in indexes]
            lineages = [lineages[index] for index in indexes] if lineages else ()
        if messages:
            yield from self._turns(lane, origin, messages, lineages)

    def _replayed(
        self,
        lane: OwnerLane,
        origin: InputPartition,
        messages: Sequence[Any],
        lineages: Sequence[Lineage | None],
    ) -> Iterator[Turn]:
        """Events that wait for their place in the order of the first processing, and those that have got it."""
        offer = lane.owner.sequencer.offer
        due = [
            item
            for index, message in enumerate(messages)
            for item in offer(origin.name, position_of(message), (message, lineages[index] if lineages else None))
        ]
        yield from self._placed(lane, due)

    def _placed(self, lane: OwnerLane, due: Sequence[Item]) -> Iterator[Turn]:
        for name, items in groupby(due, key=lambda item: None if isinstance(item, Fire) else item[0]):
            if name is None:
                yield from (self._firing(lane, item.number) for item in items if isinstance(item, Fire))
                continue
            those, reached = zip(*(item[2] for item in items if not isinstance(item, Fire)), strict=True)
            yield from self._turns(lane, self._by_input[lane.owner.partition, name], those, reached)

    def _turns(
        self,
        lane: OwnerLane,
        origin: InputPartition,
        messages: Sequence[Any],
        lineages: Sequence[Lineage | None],
    ) -> Iterator[Turn]:
        """One turn, or more where events in the midst must not be processed."""
        note = partial(lane.owner.runs.add, self._numbers[origin.name]) if self._numbers else None
        whole = Turn(lane, origin, messages, lineages, note)
        if not self._skipped:
            yield whole
            return
        for skip, part in groupby(range(len(messages)), key=self._is_skipped(origin, messages)):
            indexes = list(part)
            cut = slice(indexes[0], indexes[-1] + 1)
            yield Turn(lane, origin, messages[cut], lineages[cut], note, skip)

    def _is_skipped(self, origin: InputPartition, messages: Sequence[Any]) -> Callable[[int], bool]:
        return lambda index: (origin.full_name, position_of(messages[index])) in self._skipped


def _by_topic(messages: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    groups: dict[str, list[Any]] = {}
    for message in messages:
        groups.setdefault(message.topic_name(), []).append(message)
    yield from groups.items()


def _as_they_came(messages: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    for name, group in groupby(messages, key=lambda message: message.topic_name()):
        yield name, list(group)
