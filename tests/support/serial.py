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
class Reference:
    """What must have come of the events."""

    outputs: list[dict[str, Any]]
    keys: list[str | None]
    state: Mapping[str, bytes]


def serial_run(folder: Path, events: Iterable[tuple[str, dict[str, Any]]]) -> Reference:
    """The function of a folder over (input, record) in order. An event that fails fails the test."""
    results = run_function(folder, [Event(name, record) for name, record in events], commit_every=ONCE)
    assert not results.errors, str(results.errors[0])
    return Reference(
        [output.record for output in results.outputs], [output.key for output in results.outputs], results.state
    )
