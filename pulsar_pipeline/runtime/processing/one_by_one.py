"""The usual way: a call of `process` for each event, in the loop's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.function import StreamFunction
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.processing.processor import Ready, Steps, Stopped
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.stats import Counts
from pulsar_pipeline.runtime.supervision.watchdog import InWork

_UNDECODABLE: Any = object()


class OneByOne:
    """Used by the loop's thread."""

    def __init__(
        self,
        function: Any,
        context: FunctionContext,
        steps: Steps,
        guarantee: Guarantee,
        in_work: InWork,
        stop: StopSignal,
    ) -> None:
        self._function = function
        self._direct = isinstance(function, StreamFunction) and type(function).process is StreamFunction.process
        self._context = context
        self._steps = steps
        self._guarantee = guarantee
        self._in_work = in_work
        self._stop = stop

    def take(self, turns: Sequence[Turn], counts: Counts) -> bool:
        return all(self.take_one(turn, counts) for turn in turns)

    def close(self) -> None:
        """Nothing is open."""

    def take_one(self, turn: Turn, counts: Counts) -> bool:
        """One turn; see `Processor.take`."""
        started, failures = time.monotonic(), counts.user_exceptions
        done = self._skip(turn) if turn.skip else self._each(turn, counts)
        turn.reached(done)
        counts.received += done
        counts.processed += done - (counts.user_exceptions - failures)
        counts.latency_ms += (time.monotonic() - started) * 1e3
        return done == len(turn.messages)

    def _each(self, turn: Turn, counts: Counts) -> int:
        """How many events of the turn are done."""
        context, in_work, guarantee, steps = self._context, self._in_work, self._guarantee, self._steps
        decode, process, ready_of, monotonic = steps.decoder(turn), self._call(turn), steps.ready, time.monotonic
        lane, note, effects = turn.lane, turn.note, context.effects
        emit = lane.emit
        context.enter(turn.origin, lane)
        for done, message in enumerate(turn.messages):
            if monotonic() >= guarantee.due_at and not self._pause(turn, done):
                return done
            context.message = message
            record: Any = _UNDECODABLE
            try:
                record = decode(message.data(), message.int_schema_version())
                in_work.message = message  # only now: a schema may have to be asked for, and the broker be away
                ready = ready_of(process(record, context), message)
            except Exception as error:  # noqa: BLE001 - whatever the author's code raises belongs to this event alone
                in_work.message = None
                try:
                    ready = self._mend(turn, done, message, record, error, counts)
                except Stopped:
                    return done
            in_work.message = None
            if note is not None:
                note()
            if effects.any:
                effects.apply(lane)
            for payload, key, event_time in ready:
                emit(payload, key, event_time)
        return len(turn.messages)

    def _call(self, turn: Turn) -> Callable[[Any, Any], Any]:
        """What processes an event of the turn: `process`, or where that only looks the handler up, the handler."""
        call: Callable[[Any, Any], Any] = (
            self._function.handler(turn.origin.name) if self._direct else self._function.process
        )
        return call

    def _skip(self, turn: Turn) -> int:
        for _ in turn.messages:
            if turn.note is not None:
                turn.note()
        return len(turn.messages)

    def _pause(self, turn: Turn, done: int) -> bool:
        """Commit in the midst of a turn; False when the instance is to stop here."""
        turn.reached(done)
        self._guarantee.commit()
        return not (self._stop.is_set() and self._guarantee.gives_back)

    def _mend(
        self, turn: Turn, done: int, message: Any, record: Any, error: Exception, counts: Counts
    ) -> Sequence[Ready]:
        """The outputs of an event that failed at first; none if it was set aside. Raises Stopped, Halted."""
        self._context.effects.clear()
        if record is _UNDECODABLE:
            if not isinstance(error, DataError):
                raise error  # the broker's fault, not the event's
            turn.reached(done)
            self._steps.undecodable(turn, message, error, counts)
            return ()
        final: BaseException = error
        if self._steps.is_transient(error):
            for wait_s in self._steps.waits():
                if not self._pause(turn, done) or self._stop.event.wait(wait_s):
                    raise Stopped
                self._in_work.message = message
                try:
                    return self._steps.ready(self._call(turn)(record, self._context), message)
                except Exception as again:  # noqa: BLE001 - as above
                    self._context.effects.clear()
                    final = again
                finally:
                    self._in_work.message = None
                if not self._steps.is_transient(final):
                    break
        turn.reached(done)
        self._steps.failed(turn, message, final, counts)
        return ()
