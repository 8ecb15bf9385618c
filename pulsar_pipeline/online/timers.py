"""Processing-time timers of a partition: names with the time at which each is due. Pure.

A timer is kept with the partition's state (key space `t:`); this is their order. Setting and deleting cost the
logarithm of how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

_STALE = 1_000
"""Entries of the heap that no timer stands for any more, beyond as many as there are timers, until it is made anew."""


class Timer(NamedTuple):
    """`at_ms`: milliseconds since the Unix epoch. Timers come in the order of (at_ms, name)."""

    at_ms: int
    name: str


class TimerQueue:
    """The timers of a partition by name. For one thread."""

    def __init__(
        self, timers: Mapping[str, int] | None = None, store: Callable[[str, int | None], None] | None = None
    ) -> None:
        """Those in `timers` are set already. `store(name, at_ms)` is told of changes, None for one that is gone."""
        self._at = dict(timers or {})
        self._store = store
        self._heap: list[Timer] = []
        self._make_heap()

    def __len__(self) -> int:
        return len(self._at)

    def at(self, name: str) -> int | None:
        """When a timer is due; None where there is none."""
        return self._at.get(name)

    def set(self, name: str, at_ms: int) -> None:
        """A timer of this name is due at `at_ms`; one that there was is moved."""
        if self._at.get(name) == at_ms:
            return
        self._at[name] = at_ms
        heappush(self._heap, Timer(at_ms, name))
        if len(self._heap) > 2 * len(self._at) + _STALE:
            self._make_heap()
        if self._store is not None:
            self._store(name, at_ms)

    def delete(self, name: str) -> None:
        """Nothing where there is none."""
        if self._at.pop(name, None) is not None and self._store is not None:
            self._store(name, None)

    def first(self) -> Timer | None:
        """The earliest."""
        while self._heap:
            timer = self._heap[0]
            if self._at.get(timer.name) == timer.at_ms:
                return timer
            heappop(self._heap)
        return None

    def due(self, now_ms: int) -> bool:
        """Whether there is one whose time has come."""
        first = self.first()
        return first is not None and first.at_ms <= now_ms

    def pop(self) -> Timer | None:
        """Takes out the earliest, whatever the clock says."""
        timer = self.first()
        if timer is not None:
            heappop(self._heap)
            self.delete(timer.name)
        return timer

    def _make_heap(self) -> None:
        self._heap = [Timer(at_ms, name) for name, at_ms in self._at.items()]
        heapify(self._heap)
