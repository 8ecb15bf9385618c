"""Functions that wait: `async def process`, many events at once, those of one key in their order.

What the events of a batch come to goes on in the order of the events, so outputs and positions are those of a function
that took them one after the other. State changes as each event ends; events of one key see each other's, in order.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.effects import Effects
from pulsar_pipeline.runtime.processing.processor import Ready, Steps
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.supervision.stats import Counts
from pulsar_pipeline.runtime.supervision.watchdog import InWork


@dataclass(frozen=True, slots=True)
class _Success:
    ready: Sequence[Ready] = ()
    effects: Effects | None = None


@dataclass(frozen=True, slots=True)
class _Undecodable:
    error: DataError


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException
    hung: bool = False


_Outcome = _Success | _Undecodable | _Failure
_Tasks = dict[tuple[int, str], "asyncio.Task[_Outcome]"]
"""By partition and key, the task of the last event."""


class Concurrent:
    """Used by the loop's thread, which is the event loop's too. A batch that was begun is ended before a stop."""

    def __init__(
        self,
        function: Any,
        context: FunctionContext,
        steps: Steps,
        in_work: InWork,
        concurrency: int,
        timeout_s: float,
    ) -> None:
        """At most `concurrency` events are in work at once; one that takes `timeout_s` seconds is set aside as hung."""
        self._process = function.process
        self._context = context
        self._steps = steps
        self._in_work = in_work
        self._timeout_s = timeout_s
        self._runner = asyncio.Runner()
        self._room = asyncio.Semaphore(concurrency)

    def take(self, turns: Sequence[Turn], counts: Counts) -> bool:
        if turns:
            self._runner.run(self._take(turns, counts))
        return True

    def close(self) -> None:
        self._runner.close()

    async def _take(self, turns: Sequence[Turn], counts: Counts) -> None:
        started, tasks = time.monotonic(), _Tasks()
        begun = [[self._begin(turn, message, tasks) for message in turn.messages] for turn in turns]
        for turn, outcomes in zip(turns, begun, strict=True):
            for done, (message, outcome) in enumerate(zip(turn.messages, outcomes, strict=True)):
                self._in_work.message = message  # the oldest that is not done; a function may block instead of waiting
                found = await outcome
                self._in_work.message = None
                turn.reached(done)
                self._settle(turn, message, found, counts)
            turn.reached(len(turn.messages))
        counts.latency_ms += (time.monotonic() - started) * 1e3

    def _begin(self, turn: Turn, message: Any, tasks: _Tasks) -> asyncio.Task[_Outcome]:
        key = (turn.origin.partition, message.partition_key())
        task = tasks[key] = asyncio.create_task(self._one(turn, message, tasks.get(key)))
        return task

    async def _one(self, turn: Turn, message: Any, before: asyncio.Task[_Outcome] | None) -> _Outcome:
        if before is not None:
            await asyncio.wait((before,))
        if turn.skip:
            return _Success()
        async with self._room:
            try:
                with self._in_work.suspended():
                    record = self._steps.decoder(turn)(message.data(), message.int_schema_version())
            except DataError as error:
                return _Undecodable(error)
            waits = self._steps.waits()
            while isinstance(outcome := await self._attempt(turn, message, record), _Failure):
                wait_s = next(waits, None) if self._steps.is_transient(outcome.error) else None
                if wait_s is None:
                    break
                await asyncio.sleep(wait_s)
            return outcome

    async def _attempt(self, turn: Turn, message: Any, record: Any) -> _Outcome:
        context = self._context.of_event(message, turn.origin, turn.lane)
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                returned = self._process(record, context)
                if inspect.isawaitable(returned):
                    returned = await returned
            ready = self._steps.ready(returned, message)
        except Exception as error:  # noqa: BLE001 - whatever the author's code raises belongs to this event alone
            return _Failure(error, hung=limit.expired())
        context.effects.apply_state(turn.lane)
        return _Success(ready, context.effects)

    def _settle(self, turn: Turn, message: Any, outcome: _Outcome, counts: Counts) -> None:
        counts.received += 1
        if turn.note is not None:
            turn.note()
        match outcome:
            case _Undecodable(error):
                self._steps.undecodable(turn, message, error, counts)
            case _Failure(_, True):
                self._steps.hung(turn, message, self._timeout_s, counts)
            case _Failure(error):
                self._steps.failed(turn, message, error, counts)
            case _Success(ready, effects):
                counts.processed += 1
                if effects is not None and effects.any:
                    effects.apply_messages(turn.lane)
                for payload, key, event_time in ready:
                    turn.lane.emit(payload, key, event_time)
