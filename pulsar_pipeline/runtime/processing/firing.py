"""Timers that fire: `on_timer` of the function, in the loop's thread, between events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.processing.processor import Processor, Ready, Steps, Stopped
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.stats import Counts
from pulsar_pipeline.runtime.supervision.watchdog import InWork

MOST_AT_ONCE = 1_000
"""Timers of a lane that fire before events are looked at again."""


class TimerEvent:
    """Stands for the event while a timer fires: no key, and the timer's time."""

    def __init__(self, timer: Timer, partition: int) -> None:
        self.timer, self.partition = timer, partition

    def partition_key(self) -> str:
        return ""

    def ordering_key(self) -> str:
        return ""

    def event_timestamp(self) -> int:
        return self.timer.at_ms

    def properties(self) -> dict[str, str]:
        return {}

    def message_id(self) -> Any:
        raise InstanceError("a timer has no message id")


class WithTimers:
    """A way of processing, and timers that fire in their turn. Used by the loop's thread."""

    def __init__(
        self,
        inner: Processor,
        on_timer: Callable[[str, int, Any], Any],
        context: FunctionContext,
        steps: Steps,
        guarantee: Guarantee,
        in_work: InWork,
        stop: StopSignal,
    ) -> None:
        self._inner = inner
        self._on_timer = on_timer
        self._context = context
        context.has_timers = True
        self._steps = steps
        self._guarantee = guarantee
        self._in_work = in_work
        self._stop = stop

    def take(self, turns: Sequence[Turn], counts: Counts) -> bool:
        groups = [list(group) for _, group in groupby(turns, key=lambda turn: turn.fires is not None)]
        return all(
            (self._fire_all if group[0].fires is not None else self._inner.take)(group, counts) for group in groups
        )

    def _fire_all(self, turns: Sequence[Turn], counts: Counts) -> bool:
        return all(self._fire(turn, counts) for turn in turns)

    def close(self) -> None:
        self._inner.close()

    def _fire(self, turn: Turn, counts: Counts) -> bool:
        """The timers of a turn; False when the instance was stopped."""
        timers, now_ms = turn.lane.state.timers, self._context.get_processing_time()
        self._context.enter(turn.origin, turn.lane)
        if turn.fires:
            timer = timers.numbered(turn.fires)
            return timer is None or self._fire_one(turn, timer, counts)
        for _ in range(MOST_AT_ONCE):
            timer = timers.first()
            if timer is None or timer.at_ms > now_ms:
                break
            if not self._fire_one(turn, timer, counts):
                return False
        return True

    def _fire_one(self, turn: Turn, timer: Timer, counts: Counts) -> bool:
        started = time.monotonic()
        lane, effects = turn.lane, self._context.effects
        self._context.message = event = TimerEvent(timer, turn.origin.partition)
        try:
            ready = () if timer.number == lane.hung_timer else self._answer(event)
        except Stopped:
            return False
        except Exception as error:  # noqa: BLE001 - whatever the author's code raises belongs to this timer alone
            effects.clear()
            self._steps.timer_failed(timer, error, counts)
            ready = ()
        else:
            counts.processed += 1
        # Only now: until it has fired it stands in commits. It may set itself anew.
        lane.state.timers.delete(timer.name)
        if turn.note is not None:
            turn.note(timer.number)
        if effects.any:
            effects.apply(lane)
        for payload, key, event_time in ready:
            lane.emit(payload, key, event_time)
        lane.fired()
        counts.latency_ms += (time.monotonic() - started) * 1e3
        return True

    def _answer(self, event: TimerEvent) -> Sequence[Ready]:
        waits = self._steps.waits()
        while True:
            self._in_work.message = event
            try:
                returned = self._on_timer(event.timer.name, event.timer.at_ms, self._context)
                return self._steps.ready(returned, event)
            except Exception as error:
                wait_s = next(waits, None) if self._steps.is_transient(error) else None
                if wait_s is None:
                    raise
                self._context.effects.clear()
            finally:
                self._in_work.message = None
            self._guarantee.commit()
            if self._stop.event.wait(wait_s):
                raise Stopped
