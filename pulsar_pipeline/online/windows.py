"""Windows by event time: what came of a key within a minute, an hour, a visit.

    def setup(self, context):
        self.minutes = TumblingWindows(
            context, stats.Mean, size=timedelta(minutes=1), lateness=timedelta(seconds=10), name="minutes"
        )

    @on("readings")
    def watch(self, reading, context):
        closed = self.minutes.add(reading["pump_id"], reading, context, value=reading["pressure_bar"])
        return [window.answer({"pump_id": window.key, "mean": window.value.get()}) for window in closed]

Each partition has a *watermark*: the latest event time that came, less `lateness`. It never goes back. A window is
closed by the event that takes the watermark to the window's end: that event's `add` gives it, once, and it is gone. So
`lateness` is how long a result waits for events that come out of order. An event is *late* when every window that it
falls into is closed. It changes nothing; it is counted in the metric `NAME_late_events` and sent to the deployment's
late topic, where it has one. `late=` does something else with it.

Event time stands still while no events come. With `idle_after` a partition's windows are closed once none has come for
that long (up to twice as long); the function has to hand its timers on:

    def on_timer(self, name, at_ms, context):
        return self.outputs(self.minutes.on_timer(name, at_ms, context))

Open windows and watermark are part of the partition's state as `Models` are, and like these not taken back when the
event fails or is tried again: call `add` when nothing can fail any more. Accumulators have to be picklable.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.online.agenda import Agenda
from pulsar_pipeline.online.event_clock import span_ms
from pulsar_pipeline.online.folding import Update, folded, update_in_place
from pulsar_pipeline.online.windowing import NO_SPAN, Accumulator, Late, Window, Windows, in_order, send_late


class _Open:
    """A window that is filling."""

    __slots__ = ("end", "start", "value")

    def __init__(self, start: int, end: int, value: Any) -> None:
        self.start, self.end, self.value = start, end, value

    def __reduce__(self) -> tuple[Any, ...]:
        return _Open, (self.start, self.end, self.value)


class SlidingWindows(Windows[Accumulator]):
    """Windows of one size that begin every `step`, so that an event falls into `size / step` of them."""

    def __init__(
        self,
        context: Any,
        start: Callable[[], Accumulator],
        update: Update = update_in_place,
        *,
        size: timedelta,
        step: timedelta,
        offset: timedelta = NO_SPAN,
        lateness: timedelta = NO_SPAN,
        idle_after: timedelta | None = None,
        late: Late = send_late,
        name: str = "windows",
    ) -> None:
        """`start()` makes the accumulator of a new window; `update(accumulator, value)` gives the new one, or None
        where it changed it in place, and is the accumulator's own `update(value)` by default.

        Windows begin at multiples of `step` since 1970 in UTC, and `offset` later. Several collections of a function
        need names of their own.
        """
        super().__init__(context, start, update, lateness=lateness, name=name, late=late, idle_after=idle_after)
        self._size_ms, self._step_ms = span_ms(size, "size"), span_ms(step, "step")
        self._offset_ms = span_ms(offset, "offset", least=0)
        if self._step_ms > self._size_ms:
            raise InstanceError(f"a step of {step} leaves gaps between windows of {size}", mend="give a smaller step")

    def _take(self, context: Any, agenda: Agenda, watermark: int, key: str, at_ms: int, value: Any) -> bool:
        size, begin = self._size_ms, at_ms - (at_ms - self._offset_ms) % self._step_ms
        taken = False
        while begin > at_ms - size and begin + size > watermark:
            self._put(context, agenda, key, begin, begin + size, value)
            begin -= self._step_ms
            taken = True
        return taken

    def _put(self, context: Any, agenda: Agenda, key: str, begin: int, end: int, value: Any) -> None:
        entry, made = f"{begin}-{end}/{key}", False

        def make() -> _Open:
            nonlocal made
            opened = _Open(begin, end, folded(self._start(), value, self._update))
            made = True
            return opened

        window = self._objects.get(context, entry, make)
        if made:
            agenda.add(self._objects, context, entry, end)
        else:
            window.value = folded(window.value, value, self._update)

    def _close(self, context: Any, agenda: Agenda, until: int | None) -> list[Window[Accumulator]]:
        closed = []
        for entry in agenda.take_due(self._objects, context, until):
            window = self._objects.get(context, entry, lambda: _Open(0, 0, None))
            self._objects.delete(context, entry)
            closed.append(Window(entry.partition("/")[2], window.start, window.end, window.value))
        return in_order(closed)


class TumblingWindows(SlidingWindows[Accumulator]):
    """Windows of one size, one right after the other: each event falls into one."""

    def __init__(
        self,
        context: Any,
        start: Callable[[], Accumulator],
        update: Update = update_in_place,
        *,
        size: timedelta,
        offset: timedelta = NO_SPAN,
        lateness: timedelta = NO_SPAN,
        idle_after: timedelta | None = None,
        late: Late = send_late,
        name: str = "windows",
    ) -> None:
        """As `SlidingWindows`, with a step of the size."""
        super().__init__(
            context,
            start,
            update,
            size=size,
            step=size,
            offset=offset,
            lateness=lateness,
            idle_after=idle_after,
            late=late,
            name=name,
        )
