"""A function run on given events with no broker: through Avro, in their order, failures set aside.

`Rehearsal` is the engine of `pulsar_pipeline.testing`. Run as a script from an unpacked package it is the trial that a
package must pass before it is sealed: events come as JSON lines on standard input, the verdict goes to a file.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from pulsar_pipeline.errors import DataError, PipelineError, TransientError
from pulsar_pipeline.online.answers import Answer, answers_of, key_of
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.coroutines import CoroutineRunner
from pulsar_pipeline.online.function import StreamFunction, check_handlers
from pulsar_pipeline.online.memory import Current, MemoryContext, topic_of
from pulsar_pipeline.online.state import State
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.package.manifest import Manifest

Done = TypeVar("Done")

Reason = Literal["invalid", "undecodable", "failed"]

ATTEMPTS = 5
"""At an event, as far as it fails with transient errors; the default of deployments."""


@dataclass(frozen=True)
class Event:
    """One event of a named input; raw bytes stand for what a broken producer may send."""

    input: str
    record: Mapping[str, Any] | bytes
    key: str | None = None
    event_time_ms: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Stands among events: so long none comes, and timers that are due meanwhile fire."""

    span: timedelta


@dataclass(frozen=True)
class Output:
    """What a consumer of the output topic gets for one event."""

    record: dict[str, Any]
    key: str | None
    event_time_ms: int | None
    event: int
    """Position of the input event, from 0."""
    partition: int = 0


@dataclass(frozen=True)
class EventError:
    """An event that would have gone to the dead letters."""

    event: int
    reason: Reason
    error: Exception

    def __str__(self) -> str:
        return f"event {self.event} {self.reason}: {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True)
class Outcome:
    """What came of one event: its outputs, or why it was set aside."""

    outputs: Sequence[Output] = ()
    error: EventError | None = None


class Rehearsal:
    """A function object in work. An event that fails leaves nothing behind in the state or among what was published,
    and is tried again where its error is a transient one, without waiting."""

    def __init__(self, function: Any, codecs: Codecs | None, context: MemoryContext) -> None:
        """Without codecs records are passed as they are. Raises what `setup` raises."""
        if isinstance(function, StreamFunction):
            function.prepare(context)
        self._function = function
        self._codecs = codecs
        self._context = context
        self._process_many = getattr(function, "process_many", None)
        self._transient = (TransientError, *getattr(function, "transient", ()))
        self._coroutines = CoroutineRunner()
        context.has_timers = self.has_timers

    @property
    def has_timers(self) -> bool:
        """Whether the function has something to do when a timer fires."""
        return hasattr(self._function, "on_timer")

    @property
    def takes_many(self) -> bool:
        """Whether the function has a way to take a micro-batch."""
        return self._process_many is not None

    def one(self, index: int, event: Event, partition: int | None = None, state: State | None = None) -> Outcome:
        """The event at position `index`; `state` is its partition's, the one before when None."""

        def attempt() -> Outcome:
            self._context.begin(_current(index, event, partition), state=state)
            returned = self._coroutines.finished(self._function.process(self._decoded(event), self._context))
            return Outcome(self._outputs(returned, index, event, partition))

        try:
            return self._patiently(attempt)
        except _Unreadable as unreadable:
            return Outcome(error=EventError(index, unreadable.reason, unreadable.error))
        except Exception as error:  # noqa: BLE001 - the edge to an author's code: any failure is that event's
            return Outcome(error=EventError(index, "invalid" if isinstance(error, DataError) else "failed", error))

    def many(
        self, index: int, events: Sequence[Event], partition: int | None = None, state: State | None = None
    ) -> list[Outcome]:
        """Consecutive events of one input and partition, the first at position `index`: as one micro-batch, and where
        anything about that fails one by one."""
        try:
            return self._patiently(lambda: self._together(index, events, partition, state))
        except Exception:  # noqa: BLE001 - whose fault it is shows when each event is taken alone
            return [self.one(index + place, event, partition, state) for place, event in enumerate(events)]

    def fire(self, index: int, partition: int | None, state: State) -> Iterator[Outcome]:
        """The timers of a partition whose time has come, by the context's clock, right before the event at `index`."""
        while self.has_timers and state.timers.due(self._context.now_ms):
            timer = state.timers.first()
            assert timer is not None
            yield self._fire_one(index, timer, partition, state)

    def _fire_one(self, index: int, timer: Timer, partition: int | None, state: State) -> Outcome:
        event = Event("", {}, None, timer.at_ms)

        def attempt() -> Outcome:
            self._context.begin(Current("", index, None, timer.at_ms), state=state)
            state.timers.delete(timer.name)
            returned = self._coroutines.finished(self._function.on_timer(timer.name, timer.at_ms, self._context))
            return Outcome(self._outputs(returned, index, event, partition))

        try:
            return self._patiently(attempt)
        except Exception as error:  # noqa: BLE001 - the edge to an author's code: any failure is that timer's
            return Outcome(error=EventError(index, "failed", error))

    def close(self) -> None:
        """The function object is not used any more."""
        self._coroutines.close()

    def _together(
        self, index: int, events: Sequence[Event], partition: int | None, state: State | None
    ) -> list[Outcome]:
        batch = [_current(index + place, event, partition) for place, event in enumerate(events)]
        self._context.begin(batch[0], batch, state)
        records = [self._decoded(event) for event in events]
        answers = self._process_many(records, self._context) if self._process_many else []
        if len(answers) != len(events):
            raise DataError(f"process_many gave {len(answers)} answers to {len(events)} events")
        return [
            Outcome(self._outputs(returned, index + place, events[place], partition))
            for place, returned in enumerate(answers)
        ]

    def _patiently(self, attempt: Callable[[], Done]) -> Done:
        for left in reversed(range(ATTEMPTS)):
            try:
                return attempt()
            except Exception as error:
                self._context.take_back()
                if not left or not isinstance(error, self._transient):
                    raise
        raise AssertionError("unreachable")

    def _decoded(self, event: Event) -> Any:
        if self._codecs is None:
            return copy.deepcopy(event.record)  # a handler may change its event, and be given it again
        payload = event.record
        try:
            if not isinstance(payload, bytes):
                payload = self._codecs.encode_event(event.input, payload)
        except DataError as error:
            raise _Unreadable("invalid", error) from error
        try:
            return self._codecs.decode_event(event.input, payload)
        except DataError as error:
            raise _Unreadable("undecodable", error) from error

    def _outputs(self, returned: Any, index: int, event: Event, partition: int | None) -> list[Output]:
        outputs = []
        for answer in answers_of(returned):
            record, time_ms = (answer.record, answer.event_time_ms) if isinstance(answer, Answer) else (answer, None)
            if self._codecs is None:
                seen, key = copy.deepcopy(record), key_of(answer, None, event.key)
            else:
                seen = self._codecs.decode_output(self._codecs.encode_output(record))
                key = key_of(answer, self._codecs.output_key, event.key)
            time_ms = event.event_time_ms if time_ms is None else time_ms
            outputs.append(Output(seen, key, time_ms, index, partition or 0))
        return outputs


class _Unreadable(Exception):
    """A way out of an attempt."""

    def __init__(self, reason: Reason, error: Exception) -> None:
        super().__init__(reason)
        self.reason, self.error = reason, error


def _current(index: int, event: Event, partition: int | None) -> Current:
    return Current(topic_of(event.input, partition), index, event.key, event.event_time_ms, event.properties)


# ── the trial of a package ────────────────────────────────────────────────────────────────────


def parse_events(lines: Iterable[str]) -> list[Event]:
    """JSON lines `{"input": NAME, "event": {…}}`, with `key` and `event_time_ms` if wanted. Raises DataError."""
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            events.append(Event(entry["input"], entry["event"], entry.get("key"), entry.get("event_time_ms")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"not a sample event: {type(error).__name__}: {error}",
                where=f"line {number}",
                mend='write {"input": NAME, "event": {…}} on each line',
            ) from error
    return events


@dataclass
class Verdict:
    """Of a trial; `error` is None when the package may be sealed."""

    stage: str = "import"
    error: str | None = None
    where: str | None = None
    mend: str | None = None
    events: int = 0
    outputs: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


def main(src: Path, verdict_file: Path) -> None:
    """Import, construct, check the schemas and run the sample; the first failure ends it."""
    verdict = Verdict()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            _trial(src, verdict)
        except BaseException as error:  # noqa: BLE001 - the process edge; sys.exit in a module is a failure as well
            verdict.error, verdict.mend = _message(error), getattr(error, "mend", None)
            verdict.where = _blame(error, src)
    verdict_file.write_text(json.dumps(vars(verdict)), encoding="utf-8")


def _trial(src: Path, verdict: Verdict) -> None:
    manifest = Manifest.load(src)
    module, _, name = manifest.class_name.rpartition(".")
    function_class = getattr(importlib.import_module(module), name)
    verdict.stage = "schemas"
    codecs = Codecs.of_package(src, manifest)
    if isinstance(function_class, type) and issubclass(function_class, StreamFunction):
        check_handlers(function_class, manifest.inputs)
    verdict.stage = "constructor"
    function = function_class()
    verdict.stage = "sample"
    events = parse_events(sys.stdin)
    context = MemoryContext(name=manifest.name, inputs=tuple(manifest.inputs), config=manifest.config)
    rehearsal = Rehearsal(function, codecs, context)
    outcomes = [rehearsal.one(index, event) for index, event in enumerate(events)]
    rehearsal.close()
    verdict.events, verdict.outputs = len(events), sum(len(outcome.outputs) for outcome in outcomes)
    verdict.metrics = {name: values[-1] for name, values in context.metrics.items()}
    if failed := next((outcome.error for outcome in outcomes if outcome.error), None):
        verdict.stage = f"sample event {failed.event + 1}"
        raise failed.error


def _message(error: BaseException) -> str:
    if isinstance(error, PipelineError):
        return f"{error.where}: {error.what}" if error.where else error.what
    return f"{type(error).__name__}: {error}"


def _blame(error: BaseException, src: Path) -> str | None:
    """The last line of the function's own code that was running, `function.py:12 in predict`."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_below(error.filename, src) or error.filename}:{error.lineno}"
    own = [
        (file, frame)
        for frame in traceback.extract_tb(error.__traceback__)
        if (file := _below(frame.filename, src)) and not file.startswith("pulsar_pipeline/")
    ]
    if not own:
        return None
    file, frame = own[-1]
    return f"{file}:{frame.lineno} in {frame.name}"


def _below(file: str, src: Path) -> str | None:
    path = Path(file).resolve()
    return path.relative_to(src.resolve()).as_posix() if path.is_relative_to(src.resolve()) else None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
