"""What outlives a process: the output topic, and what its commits have stored; and what is left of it at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.online.memory import Published
from pulsar_pipeline.online.rehearsal import EventError, Output
from pulsar_pipeline.testkit.difference import difference


@dataclass(frozen=True)
class Contradiction:
    """An output that exists, and what it was when it was made again after a crash. The one that exists counts."""

    published: Output
    again: Output | None
    """None where it was not made again at all."""


@dataclass(frozen=True)
class Results:
    """All that came of a run. Of processes that died, what counts: outputs once, the rest as it was committed."""

    outputs: list[Output]
    metrics: dict[str, float]
    """Each metric's last value."""
    metric_values: dict[str, list[float]]
    """Each metric's values in order."""
    published: list[Published]
    errors: list[EventError]
    late: list[Any] = field(default_factory=list)
    """Events that went to the late topic."""
    states: list[Mapping[str, bytes]] = field(default_factory=list)
    """Of each partition what the last commit holds, by key: `v:` a value, `c:` a counter, `o:` a pickled object of
    `Models`. Empty in a run without commits."""
    contradictions: list[Contradiction] = field(default_factory=list)

    @property
    def state(self) -> Mapping[str, bytes]:
        """Of the only partition, or the first."""
        return self.states[0] if self.states else {}


@dataclass
class World:
    """Partitions are numbered from 0; a run without partitions has one."""

    topics: list[list[Output]]
    """The outputs that exist, by partition."""
    states: list[dict[str, bytes]]
    numbers: list[int]
    """How many outputs of each partition there were at the last commit."""
    position: int = 0
    """Events that the last commit covers."""
    outputs: list[Output] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)
    errors: list[EventError] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)

    @classmethod
    def of(cls, partitions: int) -> World:
        """With nothing in it yet."""
        return cls([[] for _ in range(partitions)], [{} for _ in range(partitions)], [0] * partitions)

    def emit(self, number: int, output: Output) -> None:
        """Output `number` of its partition, from 0: published, or compared with the one that exists."""
        topic = self.topics[output.partition]
        if number == len(topic):
            topic.append(output)
            self.outputs.append(output)
        elif not same_output(topic[number], output):
            self.contradictions.append(Contradiction(topic[number], output))

    def results(self, numbers: list[int]) -> Results:
        """`numbers` are the outputs that the last process made or found made."""
        for topic, made in zip(self.topics, numbers, strict=True):
            self.contradictions += [Contradiction(output, None) for output in topic[made:]]
        last = {name: values[-1] for name, values in self.metrics.items()}
        states: list[Mapping[str, bytes]] = list(self.states)
        return Results(
            self.outputs, last, self.metrics, self.published, self.errors, self.late, states, self.contradictions
        )


def same_output(one: Output, other: Output) -> bool:
    """Equal in all that a consumer sees."""
    return (one.key, one.event_time_ms) == (other.key, other.event_time_ms) and not difference(one.record, other.record)
