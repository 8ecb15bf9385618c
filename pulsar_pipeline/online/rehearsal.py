"""A function run on given events with no broker: through Avro, one event after another, failures set aside.

`rehearse` is the engine of `pulsar_pipeline.testing`. Run as a script from an unpacked package it is the trial that a
package must pass before it is sealed: events come as JSON lines on standard input, the verdict goes to a file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pulsar_pipeline.errors import DataError, PipelineError
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.function import StreamFunction, check_handlers
from pulsar_pipeline.online.memory import Current, MemoryContext, Published, topic_of
from pulsar_pipeline.package.manifest import Manifest

Reason = Literal["invalid", "undecodable", "failed"]


@dataclass(frozen=True)
class Event:
    """One event of a named input; raw bytes stand for what a broken producer may send."""

    input: str
    record: Mapping[str, Any] | bytes
    key: str | None = None
    event_time_ms: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What a consumer of the output topic gets for one event."""

    record: dict[str, Any]
    key: str | None
    event_time_ms: int | None
    event: int
    """Position of the input event, from 0."""


@dataclass(frozen=True)
class EventError:
    """An event that would have gone to the dead letters."""

    event: int
    reason: Reason
    error: Exception

    def __str__(self) -> str:
        return f"event {self.event} {self.reason}: {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True)
class Results:
    """All that came of a run."""

    outputs: list[Output]
    metrics: dict[str, float]
    """Each metric's last value."""
    metric_values: dict[str, list[float]]
    """Each metric's values in order."""
    published: list[Published]
    errors: list[EventError]


def rehearse(function: Any, codecs: Codecs | None, events: Iterable[Event], context: MemoryContext) -> Results:
    """Every event in order. Without codecs records are passed as they are.

    Raises what `setup` raises; an event's own error is in the results and the next one goes on.
    """
    if isinstance(function, StreamFunction):
        function.prepare(context)
    outputs: list[Output] = []
    errors: list[EventError] = []
    for index, event in enumerate(events):
        context.current = Current(topic_of(event.input), index, event.key, event.event_time_ms, event.properties)
        reason: Reason = "invalid"
        try:
            payload = _encode(codecs, event)
            reason = "undecodable"
            record = codecs.decode_event(event.input, payload) if codecs else payload
            reason = "failed"
            output = function.process(record, context)
            if output is not None:
                seen = codecs.decode_output(codecs.encode_output(output)) if codecs else dict(output)
                key = codecs.key_of(output, event.key) if codecs else event.key
                outputs.append(Output(seen, key, event.event_time_ms, index))
        except Exception as error:  # noqa: BLE001 - the edge to an author's code: any failure is that event's
            refused = reason == "failed" and isinstance(error, DataError)
            errors.append(EventError(index, "invalid" if refused else reason, error))
    last = {name: values[-1] for name, values in context.metrics.items()}
    return Results(outputs, last, context.metrics, context.published, errors)


def _encode(codecs: Codecs | None, event: Event) -> Any:
    if isinstance(event.record, bytes) or codecs is None:
        return event.record
    return codecs.encode_event(event.input, event.record)


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
    results = rehearse(function, codecs, events, context)
    verdict.events, verdict.outputs, verdict.metrics = len(events), len(results.outputs), results.metrics
    if results.errors:
        failed = results.errors[0]
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
