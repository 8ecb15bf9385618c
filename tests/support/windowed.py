"""What windows must come to, worked out from all events at once; and a context whose state lives through crashes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.online.windowing import Window

Event = tuple[str, int, int]
"""Key, time, value."""

Closed = tuple[str, int, int, tuple[int, ...]]
"""Key, start, end, and the values that came in, sorted."""


class StatefulContext:
    """The part of a context that windows use. `commit` keeps the state; `crash` goes back to what was kept."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.event_time_ms = 0
        self.partition = 0
        self.metrics: dict[str, float] = {}
        self.late: list[Any] = []
        self.timers: dict[str, int] = {}
        self.live: dict[str, Any] = {}
        self.touched: set[str] = set()
        self.kept: dict[str, bytes] = {}
        self.written = 0
        """Bytes that commits have written."""

    def get_current_message_topic_name(self) -> str:
        return f"persistent://t/n/in-partition-{self.partition}"

    def get_message_eventtime(self) -> int:
        return self.event_time_ms

    def record_metric(self, name: str, value: float) -> None:
        self.metrics[name] = value

    def send_late(self, event: Any) -> None:
        self.late.append(event)

    def get_processing_time(self) -> int:
        return self.now_ms

    def set_timer(self, name: str, at_ms: int) -> None:
        self.timers[name] = at_ms

    def get_state_object(self, key: str, factory: Callable[[], Any]) -> Any:
        if key not in self.live:
            stored = None if key in self.touched else self.kept.get(key)
            self.live[key] = factory() if stored is None else pickle.loads(stored)
        self.touched.add(key)
        return self.live[key]

    def del_state_object(self, key: str) -> None:
        self.live.pop(key, None)
        self.touched.add(key)

    def commit(self) -> None:
        for key in self.touched:
            if key in self.live:
                self.kept[key] = pickle.dumps(self.live[key])
                self.written += len(self.kept[key])
            else:
                self.kept.pop(key, None)
        self.touched.clear()

    def crash(self) -> None:
        self.live.clear()
        self.touched.clear()


@dataclass
class _Filling:
    start: int
    end: int
    values: list[int]


@dataclass
class Expected:
    """`closed[i]` is what event i must close; `late` the numbers of the late events."""

    closed: list[list[Closed]] = field(default_factory=list)
    late: list[int] = field(default_factory=list)


def expected(
    events: Iterable[Event],
    lateness: int,
    windows_of: Callable[[int], Iterable[tuple[int, int]]],
    *,
    joins: bool = False,
) -> Expected:
    """By the definitions alone, looking at every window for every event. `windows_of(time)` gives the windows that an
    event falls into; with `joins`, windows of a key that overlap are one."""
    found, highest = Expected(), None
    filling: dict[str, list[_Filling]] = {}
    for number, (key, time, value) in enumerate(events):
        highest = time if highest is None else max(highest, time)
        watermark = highest - lateness
        mine, taken = filling.setdefault(key, []), False
        for start, end in windows_of(time):
            touched = [each for each in mine if _touches(each, start, end, joins=joins)]
            merged = _Filling(
                min([start, *(each.start for each in touched)]),
                max([end, *(each.end for each in touched)]),
                sorted([value, *(one for each in touched for one in each.values)]),
            )
            if merged.end > watermark:
                taken = True
                mine[:] = [each for each in mine if each not in touched] + [merged]
        if not taken:
            found.late.append(number)
        closed = []
        for owner, open_ in filling.items():
            closed += [(each.end, owner, each.start, tuple(each.values)) for each in open_ if each.end <= watermark]
            open_[:] = [each for each in open_ if each.end > watermark]
        found.closed.append([(owner, start, end, values) for end, owner, start, values in sorted(closed)])
    return found


def _touches(each: _Filling, start: int, end: int, *, joins: bool) -> bool:
    return (each.start < end and start < each.end) if joins else (each.start, each.end) == (start, end)


def told(closed: Iterable[Window[list[int]]]) -> list[Closed]:
    """As `Expected` has it."""
    return [(window.key, window.start_ms, window.end_ms, tuple(sorted(window.value))) for window in closed]
