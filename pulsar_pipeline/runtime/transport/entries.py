"""Received messages by the entry of the topic they came in. Pure but for asking messages who they are.

A batch is one entry: its messages come in a row, with growing batch index, one producer and one publish time. So where
an entry ends is found by halving, and nearly all messages need not be asked, which would take as long as all else that
exactly-once does with an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.runtime.transport.event import position_at
from pulsar_pipeline.statelog.records import Position


@dataclass(frozen=True, slots=True)
class Entry:
    """Messages `start` to `end` (not included) are of one entry, the first of them at `position`, without a gap."""

    start: int
    end: int
    position: Position

    @property
    def last(self) -> Position:
        ledger, entry, batch = self.position
        return Position(ledger, entry, batch + self.end - self.start - 1)


def entries_of(messages: Sequence[Any], start: int = 0, end: int | None = None) -> list[Entry]:
    """The entries of messages of one partition, as they were received."""
    found, stop = [], len(messages) if end is None else end
    while start < stop:
        position = position_at(messages[start].message_id())
        following = _end(messages, start, stop, position)
        found.append(Entry(start, following, position))
        start = following
    return found


def _end(messages: Sequence[Any], start: int, stop: int, position: Position) -> int:
    """Where the entry at `start` ends: by steps that double, then by halving the last one."""
    ledger, entry, batch = position
    if batch < 0:
        return start + 1

    def belongs(index: int) -> bool:
        return position_at(messages[index].message_id()) == (ledger, entry, batch + index - start)

    inside, step = start, 1
    while inside + step < stop and belongs(inside + step):
        inside += step
        step *= 2
    outside = min(inside + step, stop)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if belongs(middle):
            inside = middle
        else:
            outside = middle
    return outside
