"""Events through as many processes as there are crashes: each takes up the last commit and goes on behind it."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any

from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.online.memory import MemoryContext
from pulsar_pipeline.online.models import Models
from pulsar_pipeline.online.rehearsal import Event, Outcome, Rehearsal, Wait
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.testkit.subject import Subject
from pulsar_pipeline.testkit.world import Results, World

START = -1
"""Where a crash before the first event stands."""


@dataclass(frozen=True)
class Crash:
    """Among the events: the process dies here, as of kill -9, and another goes on from the last commit."""


@dataclass(frozen=True)
class Conditions:
    """How a run is made."""

    config: Mapping[str, Any]
    secrets: Mapping[str, str]
    commit_every: int | None = None
    """Events between two commits; None for a run that stores nothing."""
    batch: int = 1
    """Most events of a micro-batch."""
    partitions: int | None = None
    """None for one partition without a number."""


class Run:
    """One run of a subject; call it inside `opened`."""

    def __init__(
        self, subject: Subject, events: Sequence[Event | Wait], conditions: Conditions, crashes: Iterable[int] = ()
    ) -> None:
        """`crashes` are the positions of events right after which a process dies, START for before the first. An event
        may be named several times."""
        self._subject = subject
        self._events = events
        self._conditions = conditions
        self._crashes = Counter(crashes)
        self._partitions = _partitions_of(events, conditions.partitions)
        self._clock = _clock_of(events)
        self._world = World.of(conditions.partitions or 1)

    def results(self, changed: set[str] | None = None) -> Results:
        """Run it, once. The names of attributes of the last function object that events have changed are put into
        `changed`. Raises what constructor and `setup` raise, InstanceError for a state that cannot be stored."""
        while True:
            process = self._start()
            if self._live(process):
                break
            process.close()
        if changed is not None:
            changed |= process.changed_attributes()
        process.close()
        return self._world.results(process.numbers)

    def _start(self) -> _Process:
        return _Process(self._subject, self._world, self._conditions)

    def _live(self, process: _Process) -> bool:
        """Until the end, or False when the process has died."""
        if self._dies(START):
            return False
        at = self._world.position
        while at < len(self._events):
            self._fire(process, at)
            for outcome in self._outcomes(process, at):
                process.take(outcome)
                at += 1
                if self._dies(at - 1):
                    return False
            every = self._conditions.commit_every
            if every is not None and at - self._world.position >= every:
                process.commit(at)
        process.commit(at, store=self._conditions.commit_every is not None)
        return True

    def _fire(self, process: _Process, at: int) -> None:
        process.context.now_ms = self._clock[at]
        for number, state in enumerate(process.states):
            for outcome in process.rehearsal.fire(at, number, state):
                process.take(outcome)

    def _dies(self, event: int) -> bool:
        if not self._crashes[event]:
            return False
        self._crashes[event] -= 1
        return True

    def _outcomes(self, process: _Process, at: int) -> list[Outcome]:
        end, event = at + 1, self._events[at]
        if isinstance(event, Wait):
            return [Outcome()]
        if process.rehearsal.takes_many and not process.rehearsal.has_timers:  # these fire between events
            every = self._conditions.commit_every or len(self._events)
            most = min(at + self._conditions.batch, self._world.position + every, len(self._events))
            while end < most and self._kind(end) == self._kind(at):
                end += 1
        partition = self._partitions[at]
        state = process.states[partition or 0]
        if end == at + 1:
            return [process.rehearsal.one(at, event, partition, state)]
        batch = [each for each in self._events[at:end] if isinstance(each, Event)]
        return process.rehearsal.many(at, batch, partition, state)

    def _kind(self, at: int) -> tuple[str, int | None]:
        event = self._events[at]
        return ("" if isinstance(event, Wait) else event.input), self._partitions[at]


class _Process:
    """A function object and the state it works on, until it dies."""

    def __init__(self, subject: Subject, world: World, conditions: Conditions) -> None:
        self.states = [PartitionState(dict(values)) for values in world.states]
        self.numbers = list(world.numbers)
        self._world = world
        self._errors = len(world.errors)
        self.context = MemoryContext(
            name=subject.name,
            inputs=subject.inputs,
            config={**subject.defaults, **conditions.config},
            secrets=conditions.secrets,
            state=self.states[0],
        )
        self._taken: list[Outcome] = []
        self._function = subject.construct()
        self.rehearsal = Rehearsal(self._function, subject.codecs, self.context)
        self._attributes = _attributes(self._function)

    def take(self, outcome: Outcome) -> None:
        """Publish the outputs of an event."""
        for output in outcome.outputs:
            self._world.emit(self.numbers[output.partition], output)
            self.numbers[output.partition] += 1
        self._taken.append(outcome)

    def commit(self, position: int, *, store: bool = True) -> None:
        """What was done so far counts from now on."""
        world = self._world
        if store:
            for state, stored in zip(self.states, world.states, strict=True):
                for key, value in state.snapshot().items():
                    if value is None:
                        stored.pop(key, None)
                    else:
                        stored[key] = value
        world.position, world.numbers = position, list(self.numbers)
        world.errors += [outcome.error for outcome in self._taken if outcome.error]
        world.published += self.context.published
        world.late += self.context.late
        for name, values in self.context.metrics.items():
            world.metrics.setdefault(name, []).extend(values)
        self._taken.clear()
        self.context.published.clear()
        self.context.late.clear()
        self.context.metrics.clear()

    def changed_attributes(self) -> set[str]:
        """Attributes of the function object that are not as `setup` left them."""
        now = _attributes(self._function)
        return {name for name in now if now[name] != self._attributes.get(name)}

    def close(self) -> None:
        self.rehearsal.close()


class _AttributePickler(pickle.Pickler):
    """Leaves out what belongs to the state."""

    def persistent_id(self, value: Any) -> str | None:
        return "state" if isinstance(value, MemoryContext | Models) else None


def _attributes(function: Any) -> dict[str, bytes]:
    """The function object's own attributes as bytes, as far as they have any."""
    found = {}
    for name, value in vars(function).items():
        if name.startswith("_StreamFunction__"):
            continue
        buffer = BytesIO()
        try:
            _AttributePickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
        except Exception:  # noqa: BLE001 - of an author's class
            continue
        found[name] = buffer.getvalue()
    return found


def _clock_of(events: Iterable[Event | Wait]) -> list[int]:
    """Before each event the time: the latest that an event had, that one included, and what was waited since."""
    now, times = 0, []
    for event in events:
        if isinstance(event, Wait):
            now += event.span // timedelta(milliseconds=1)
        else:
            now = max(now, event.event_time_ms or 0)
        times.append(now)
    return times


def _partitions_of(events: Collection[Event | Wait], partitions: int | None) -> list[int | None]:
    """As the product sends them: by key, those without one in turn."""
    if partitions is None:
        return [None] * len(events)
    choose = Partitioner(partitions)
    return [None if isinstance(event, Wait) else choose(event.key) for event in events]
