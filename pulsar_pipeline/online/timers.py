"""Processing-time timers of a partition: names with the time at which each is due. Pure.

Timers are part of the partition's state; this is their order. Setting and deleting cost the logarithm of how many there
are. Each setting has a number, by which the timer that fired is known again when events are processed again after a
crash: its time may be another then, for the clock has gone on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

_STALE = 1_000
"""Entries of the heap that no timer stands for any more, beyond as many as there are timers, until it is made anew."""


class Timer(NamedTuple):
    """`at_ms`: milliseconds since the Unix epoch. Timers come in the order of (at_ms, name)."""

    at_ms: int
    name: str
    number: int
    """Of its setting, from 1."""


Store = Callable[[str, Timer | None], None]


class TimerQueue:
    """The timers of a partition by name. For one thread."""

    def __init__(self, timers: Iterable[Timer] = (), following: int = 1, store: Store | None = None) -> None:
        """Those in `timers` are set already, the next setting has the number `following`. `store(name, timer)` is told
        of changes, None for a timer that is gone; `following` of this object is one more after each setting."""
        self._by_name = {timer.name: timer for timer in timers}
        self._by_number = {timer.number: timer for timer in self._by_name.values()}
        self.following = max([following, *(number + 1 for number in self._by_number)])
        self._store = store
        self._heap: list[Timer] = []
        self._make_heap()

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Timer | None:
        return self._by_name.get(name)

    def numbered(self, number: int) -> Timer | None:
        """The timer of a setting; None where it has fired, was deleted or moved."""
        return self._by_number.get(number)

    def set(self, name: str, at_ms: int) -> None:
        """A timer of this name is due at `at_ms`; one that there was is moved."""
        self._forget(name)
        timer = Timer(at_ms, name, self.following)
        self.following += 1
        self._by_name[name] = self._by_number[timer.number] = timer
        heappush(self._heap, timer)
        if len(self._heap) > 2 * len(self._by_name) + _STALE:
            self._make_heap()
        if self._store is not None:
            self._store(name, timer)

    def delete(self, name: str) -> None:
        """Nothing where there is none."""
        if self._forget(name) and self._store is not None:
            self._store(name, None)

    def first(self) -> Timer | None:
        """The earliest."""
        while self._heap:
            timer = self._heap[0]
            if self._by_number.get(timer.number) is not None:
                return timer
            heappop(self._heap)
        return None

    def due(self, now_ms: int) -> bool:
        """Whether there is one whose time has come."""
        first = self.first()
        return first is not None and first.at_ms <= now_ms

    def _forget(self, name: str) -> bool:
        timer = self._by_name.pop(name, None)
        if timer is None:
            return False
        del self._by_number[timer.number]
        return True

    def _make_heap(self) -> None:
        self._heap = list(self._by_name.values())
        heapify(self._heap)


def until_first(queues: Iterable[TimerQueue], now_ms: int) -> int | None:
    """Milliseconds until a timer of any of these is due, 0 for one that is; None where there is none."""
    firsts = [first.at_ms for queue in queues if (first := queue.first()) is not None]
    return max(0, min(firsts) - now_ms) if firsts else None
