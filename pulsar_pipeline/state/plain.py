"""An exported state → the plain checkpoint that a package starts from under Pulsar's own Python instance."""

from __future__ import annotations

from pulsar_pipeline.online.checkpoint import States
from pulsar_pipeline.runtime.guarantees.pieces import take
from pulsar_pipeline.state.archive import Entries, Section
from pulsar_pipeline.state.arriving import Archive
from pulsar_pipeline.state.kinds import Kind, kind_of

_PLAIN = frozenset({Kind.BYTES, Kind.COUNTER, Kind.OBJECT})
"""What there is without our runtime; no timers, no positions."""


def states_of(archive: Archive) -> States:
    """Values, counters and objects by partition. All of it is in memory then."""
    stored: dict[int | None, dict[str, bytes]] = {}
    current: dict[str, bytes] = {}
    for record in archive.records():
        match record:
            case Section(partition=partition):
                current = stored[partition] = {}
            case Entries(entries=entries):
                current |= {key: value for key, value in entries if value is not None and kind_of(key) in _PLAIN}
    return {partition: take(entries) for partition, entries in stored.items()}
