"""The reference of the fault tests: a function over events one after the other, with no runtime and no broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.memory import MemoryContext
from pulsar_pipeline.online.rehearsal import Event, rehearse
from pulsar_pipeline.runtime.partition_state import PartitionState
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.load import load_function
from pulsar_pipeline.testing import _importable, _load_class


class _Context(MemoryContext):
    """Keeps state as an owner of a partition does, so that the bytes can be compared."""

    def __init__(self, inputs: tuple[str, ...]) -> None:
        super().__init__(inputs=inputs)
        self.state = PartitionState({})
        self.get_state, self.put_state, self.del_state = self.state.get, self.state.put, self.state.delete
        self.get_counter, self.incr_counter = self.state.counter, self.state.increment
        self.del_counter, self.get_state_object = self.state.delete_counter, self.state.object


@dataclass(frozen=True)
class Reference:
    """What must have come of the events."""

    outputs: list[dict[str, Any]]
    keys: list[str | None]
    state: dict[str, bytes]


def serial_run(folder: Path, events: Iterable[tuple[str, dict[str, Any]]]) -> Reference:
    """The function of a folder over (input, record) in order. An event that fails fails the test."""
    definition = load_function(folder)
    assert definition.output is not None
    codecs = Codecs(
        {name: load_schema(entry.schema_file) for name, entry in definition.inputs.items()},
        load_schema(definition.output.schema_file),
        definition.output.key,
    )
    context = _Context(tuple(definition.inputs))
    with _importable(folder):
        function = _load_class(definition.class_name, folder)()
        results = rehearse(function, codecs, [Event(name, record) for name, record in events], context)
        assert not results.errors, str(results.errors[0])
        context.state.snapshot()
    return Reference(
        [output.record for output in results.outputs],
        [output.key for output in results.outputs],
        context.state.everything(),
    )
