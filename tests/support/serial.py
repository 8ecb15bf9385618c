"""The reference of the fault tests: a function over events one after the other, with no runtime and no broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulsar_pipeline.testing import Event, run_function

ONCE = 1_000_000_000
"""Events between two commits: there is one, at the end."""


@dataclass(frozen=True)
class Told:
    """A message of the function's own for another topic."""

    payload: bytes
    key: str | None
    event_time_ms: int
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Balance:
    """An output, in all that a consumer sees of it."""

    record: dict[str, Any]
    key: str | None
    event_time_ms: int


@dataclass(frozen=True)
class Reference:
    """What must have come of the events."""

    outputs: list[Balance]
    told: list[Told]
    """In the order of publishing."""
    failed: list[tuple[int, str]]
    """Position of the event, and the reason for which it is a dead letter."""
    state: Mapping[str, bytes]


def serial_run(folder: Path, events: Iterable[Event]) -> Reference:
    """The function of a folder over events in order."""
    results = run_function(folder, events, commit_every=ONCE)
    return Reference(
        [Balance(output.record, output.key, output.event_time_ms or 0) for output in results.outputs],
        [
            Told(
                each.payload, each.conf.get("partition_key"), each.conf.get("event_timestamp", 0), dict(each.properties)
            )
            for each in results.published
        ],
        [(error.event, error.reason) for error in results.errors],
        results.state,
    )
