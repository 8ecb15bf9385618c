"""What all kinds of event-time windows have in common: watermark, closing, late events, idle partitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.online.agenda import Agenda
from pulsar_pipeline.online.answers import Answer, Record
from pulsar_pipeline.online.event_clock import moment, span_ms, time_of
from pulsar_pipeline.online.folding import Update
from pulsar_pipeline.online.live_objects import LiveObjects

Accumulator = TypeVar("Accumulator")

Late = Callable[[Any, Any], None]
"""(event, context): what to do with an event whose windows are all closed."""

_EVENT: Any = object()
NO_SPAN = timedelta(0)


@dataclass(frozen=True, slots=True)
class Window(Generic[Accumulator]):
    """A closed window of one key: from `start_ms` on, before `end_ms`."""

    key: str
    start_ms: int
    end_ms: int
    value: Accumulator

    @property
    def start(self) -> datetime:
        return moment(self.start_ms)

    @property
    def end(self) -> datetime:
        return moment(self.end_ms)

    def answer(self, record: Record) -> Answer:
        """An output with the window's key as its message key and the window's last millisecond as its time. (Without
        it an output has key and time of the event that happened to close the window.)"""
        return Answer(record, key=self.key, event_time_ms=self.end_ms - 1)


def send_late(event: Any, context: Any) -> None:
    """To the deployment's late topic, where it has one and the runtime is ours."""
    send = getattr(context, "send_late", None)
    if send is not None:
        send(event)


class Windows(ABC, Generic[Accumulator]):
    """Base of the kinds in `windows.py`, which tells what they do."""

    def __init__(
        self,
        context: Any,
        start: Callable[[], Accumulator],
        update: Update,
        *,
        lateness: timedelta,
        name: str,
        late: Late,
        idle_after: timedelta | None,
    ) -> None:
        self._start = start
        self._update = update
        self._lateness_ms = span_ms(lateness, "lateness", least=0)
        self._late = late
        self._late_count = 0
        self._late_metric = f"{name}_late_events"
        self._objects = LiveObjects(name)
        self._idle_timer = f"{name}/idle"
        self._idle_ms = None if idle_after is None else span_ms(idle_after, "idle_after")
        if idle_after is not None and not hasattr(context, "set_timer"):
            raise InstanceError("idle_after needs timers, which this runtime does not have", mend="leave it out")

    def add(
        self, key: str, event: Any, context: Any, *, value: Any = _EVENT, at: datetime | int | None = None
    ) -> list[Window[Accumulator]]:
        """One event into the windows of its key; gives the windows that its time closes, of all keys, by (end, key).

        `value` goes into the accumulators, the event itself where none is given. `at` is its time (milliseconds or a
        datetime with a time zone), that of the message by default. Raises DataError for an event without a time, and
        what `update` raises.
        """
        if not isinstance(key, str):
            raise DataError(f"the key of a window is text, not {key!r}")
        at_ms = time_of(at, context)
        agenda = self._objects.get(context, "agenda", Agenda)
        watermark = at_ms - self._lateness_ms
        if agenda.watermark is not None and agenda.watermark > watermark:
            watermark = agenda.watermark
        if not self._take(context, agenda, watermark, key, at_ms, event if value is _EVENT else value):
            self._tell_late(event, context)
            return []
        agenda.watermark = watermark
        if self._idle_ms is not None:
            self._watch_idle(agenda, context)
        return self._close(context, agenda, watermark)

    def on_timer(self, name: str, at_ms: int, context: Any) -> list[Window[Accumulator]]:
        """For a function's `on_timer`: the windows closed because no event came for `idle_after`; none for a timer that
        is not this collection's."""
        if name != self._idle_timer or self._idle_ms is None:
            return []
        agenda = self._objects.get(context, "agenda", Agenda)
        if agenda.busy:
            agenda.busy = False
            context.set_timer(self._idle_timer, at_ms + self._idle_ms)
            return []
        agenda.waiting = False
        closed = self._close(context, agenda, None)
        if closed:  # their time is over: what comes for them now is late
            agenda.watermark = max(agenda.watermark or closed[-1].end_ms, closed[-1].end_ms)
        return closed

    def _watch_idle(self, agenda: Agenda, context: Any) -> None:
        """One timer per partition, not moved with each event: it looks whether events came since it was set."""
        if agenda.waiting:
            agenda.busy = True
        else:
            agenda.waiting, agenda.busy = True, False
            context.set_timer(self._idle_timer, context.get_processing_time() + self._idle_ms)

    def _tell_late(self, event: Any, context: Any) -> None:
        self._late_count += 1
        context.record_metric(self._late_metric, self._late_count)
        self._late(event, context)

    @abstractmethod
    def _take(self, context: Any, agenda: Agenda, watermark: int, key: str, at_ms: int, value: Any) -> bool:
        """Put a value into every window that it falls into and that is open at `watermark`; whether there is any."""

    @abstractmethod
    def _close(self, context: Any, agenda: Agenda, until: int | None) -> list[Window[Accumulator]]:
        """Take out the windows that end at `until` or before (all, with None), in the order of (end, key)."""


def in_order(closed: list[Window[Accumulator]]) -> list[Window[Accumulator]]:
    """By (end, key)."""
    return sorted(closed, key=lambda window: (window.end_ms, window.key, window.start_ms))
