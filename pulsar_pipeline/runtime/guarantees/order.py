"""In which order an owner processes the events of its partition's inputs, and its timers. Pure.

A timer that fires is an event among the others: the record of the first processing has it in its place, and so it
fires there again after a crash, whatever the clock says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pulsar_pipeline.runtime.transport.entries import Entry
from pulsar_pipeline.statelog.records import Position

_BEFORE_ALL = Position(-1, -1, -1)


class Fire(NamedTuple):
    """Stands for an event where it is a timer's turn."""

    number: int
    """Of the timer's setting."""


Event = tuple[str, Position, Any]
"""Input, position, message."""

Item = Event | Fire


def input_numbers(inputs: Iterable[str]) -> dict[str, int]:
    """Input name → its number in stamps and commits: their place among the sorted names."""
    return {name: number for number, name in enumerate(sorted(inputs))}


class Sequencer:
    """Puts a partition's events into the order of their first processing, as far as that is known; then as they come.

    Events already processed are left out. `recorded` are the inputs, by number, still to be replayed, and timers as
    `statelog.runs.expand` gives them: until they are through, timers fire where it says so and nowhere else.
    """

    def __init__(self, numbers: Mapping[str, int], positions: Mapping[str, Position], recorded: Iterable[int]) -> None:
        self._numbers = numbers
        self._seen = dict(positions)
        self._recorded = deque(recorded)
        self._held: dict[int, deque[Event]] = {number: deque() for number in numbers.values()}
        self._arrived: deque[Event] = deque()

    @property
    def replaying(self) -> bool:
        return bool(self._recorded)

    def fresh(self, name: str, entries: Sequence[Entry]) -> list[range]:
        """While nothing is replayed: which of an input's received messages, by index, have not been seen before."""
        seen, fresh = self._seen.get(name, _BEFORE_ALL), []
        for entry in entries:
            if entry.last > seen:
                known = seen.batch + 1 - entry.position.batch if entry.position <= seen else 0
                fresh.append(range(entry.start + known, entry.end))
                seen = entry.last
        self._seen[name] = seen
        return fresh

    def offer(self, name: str, position: Position, message: Any) -> list[Item]:
        """What is now due."""
        seen = self._seen.get(name)
        if seen is not None and position <= seen:
            return []
        self._seen[name] = position
        item = (name, position, message)
        if not self._recorded:
            return [item]
        self._held[self._numbers[name]].append(item)
        self._arrived.append(item)
        return self.due()

    def due(self) -> list[Item]:
        """What is due without one more event: timers that fired before the first event behind the commit."""
        due: list[Item] = []
        if not self._recorded:
            return due
        while self._recorded and (self._recorded[0] < 0 or self._held[self._recorded[0]]):
            number = self._recorded.popleft()
            due.append(Fire(-number) if number < 0 else self._held[number].popleft())
        if not self._recorded:
            done = {id(item) for item in due}
            waiting = {id(item) for held in self._held.values() for item in held}
            due += [item for item in self._arrived if id(item) in waiting and id(item) not in done]
            self._arrived.clear()
            self._held.clear()
        return due
