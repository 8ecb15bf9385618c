"""Micro-batches: a call of `process_many` for a turn's events, in the loop's thread.

Where the call fails, each event is processed by itself, so that the one at fault is found.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.processing.one_by_one import OneByOne
from pulsar_pipeline.runtime.processing.processor import Ready, Steps
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.supervision.stats import Counts
from pulsar_pipeline.runtime.supervision.watchdog import InWork


class MicroBatches:
    """Used by the loop's thread."""

    def __init__(
        self,
        function: Any,
        context: FunctionContext,
        steps: Steps,
        guarantee: Guarantee,
        in_work: InWork,
        alone: OneByOne,
    ) -> None:
        """`alone` processes what has to be processed event by event."""
        self._process_many = function.process_many
        self._context = context
        self._steps = steps
        self._guarantee = guarantee
        self._in_work = in_work
        self._alone = alone

    def take(self, turns: Sequence[Turn], counts: Counts) -> bool:
        return all(self._take_one(turn, counts) for turn in turns)

    def close(self) -> None:
        """Nothing is open."""

    def _take_one(self, turn: Turn, counts: Counts) -> bool:
        started = time.monotonic()
        batch = None if turn.skip else self._answered(turn)
        if batch is None:
            return self._alone.take_one(turn, counts)
        self._settle(turn, batch)
        turn.reached(len(turn.messages))
        counts.received += len(turn.messages)
        counts.processed += len(turn.messages)
        counts.latency_ms += (time.monotonic() - started) * 1e3
        if time.monotonic() >= self._guarantee.due_at:
            self._guarantee.commit()
        return True

    def _answered(self, turn: Turn) -> list[Sequence[Ready]] | None:
        """The outputs of each event; None where something is wrong with one of them."""
        context, decode = self._context, self._steps.decoder(turn)
        context.enter(turn.origin, turn.lane, turn.messages)
        try:
            records = [decode(message.data(), message.int_schema_version()) for message in turn.messages]
            self._in_work.message = turn.messages[0]
            answers = self._process_many(records, context)
            if not isinstance(answers, list | tuple) or len(answers) != len(records):
                raise DataError(f"process_many has to give a list of {len(records)} answers, one for each event")
            return [self._steps.ready(*pair) for pair in zip(answers, turn.messages, strict=True)]
        except Exception as error:  # noqa: BLE001 - told with the event at fault, when it is processed by itself
            context.effects.clear()
            context.get_logger().warning("a micro-batch of %s events failed: %s", len(turn.messages), error)
            return None
        finally:
            self._in_work.message = None

    def _settle(self, turn: Turn, batch: list[Sequence[Ready]]) -> None:
        if turn.note is not None:
            for _ in turn.messages:
                turn.note()
        if self._context.effects.any:
            self._context.effects.apply(turn.lane)
        for ready in batch:
            for payload, key, event_time in ready:
                turn.lane.emit(payload, key, event_time)
