"""What an instance holds of one partition it owns under exactly-once: state, positions, and its place in the output."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.order import Sequencer
from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage
from pulsar_pipeline.statelog.records import Position
from pulsar_pipeline.statelog.runs import Runs

_VALUE, _COUNTER, _OBJECT, _LINEAGE = "v:", "c:", "o:", "l:"
"""Key spaces of a partition's state: bytes, counters, live objects in pickled form, and how far stamped inputs are."""

MAX_KEY = 10_000
"""Characters of a state key."""


class PartitionState:
    """Keyed bytes, counters and live objects of one partition. Knows what changed since the last snapshot."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self._values = values
        self._changed: set[str] = set()
        self._objects: dict[str, Any] = {}
        self._touched: set[str] = set()

    def get(self, key: str) -> bytes | None:
        return self._values.get(_VALUE + key)

    def put(self, key: str, value: bytes) -> None:
        """Raises DataError for a key that the log cannot hold, as all that store something do."""
        self._set(_VALUE + _checked(key), value)

    def delete(self, key: str) -> None:
        self._remove(_VALUE + key)

    def increment(self, key: str, amount: int) -> None:
        self._set(_COUNTER + _checked(key), b"%d" % (self.counter(key) + amount))

    def counter(self, key: str) -> int:
        return int(self._values.get(_COUNTER + key, b"0"))

    def delete_counter(self, key: str) -> None:
        self._remove(_COUNTER + key)

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        """The live object of a key, made by `factory` at first use; it counts as changed from now on."""
        if key not in self._objects:
            stored = self._values.get(_OBJECT + _checked(key))
            self._objects[key] = pickle.loads(stored) if stored is not None else factory()
        self._touched.add(key)
        return self._objects[key]

    def lineage(self, name: str) -> Lineage:
        """How far a stamped input has come."""
        stored = self._values.get(_LINEAGE + name)
        return Lineage(*map(int, stored.split(b"."))) if stored is not None else ANYWHERE

    def set_lineage(self, name: str, lineage: Lineage) -> None:
        self._set(_LINEAGE + name, b"%d.%d.%d" % lineage)

    def snapshot(self) -> dict[str, bytes | None]:
        """What changed since the last snapshot: key → value, None for removed."""
        for key in self._touched:
            self._set(_OBJECT + key, pickle.dumps(self._objects[key], protocol=pickle.HIGHEST_PROTOCOL))
        changed = {key: self._values.get(key) for key in self._changed}
        self._touched.clear()
        self._changed.clear()
        return changed

    def everything(self) -> dict[str, bytes]:
        """All values as of the last snapshot. Call right after `snapshot`."""
        return dict(self._values)

    def _set(self, key: str, value: bytes) -> None:
        self._values[key] = value
        self._changed.add(key)

    def _remove(self, key: str) -> None:
        if self._values.pop(key, None) is not None:
            self._changed.add(key)


def _checked(key: str) -> str:
    """Refused with the event, before it is in a commit that nobody could write or read back."""
    if "\0" in key or len(key) > MAX_KEY or (not key.isascii() and not _is_utf8(key)):
        raise DataError(f"the state key {key[:100]!r} has a NUL, a lone surrogate, or over {MAX_KEY:,} characters")
    return key


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class Mark:
    """Where in the output partition the outputs after a snapshot begin; None until the broker said."""

    position: Position | None = None


@dataclass
class Owner:
    """One owned partition; used by the loop's thread, its snapshots by the committer's."""

    partition: int
    epoch: int
    incarnation: int
    nonce: str
    number: int
    """Of the last commit."""
    state: PartitionState
    positions: dict[str, Position]
    """Input → the last event processed."""
    seq: int
    """Of the last output made."""
    tail_seq: int
    """Of the last output that is in the topic already: re-made ones up to it are not sent again."""
    sequencer: Sequencer
    outputs_from: Position | None
    runs: Runs = field(default_factory=Runs)
    """Events since the last output; stays empty for a function with one input."""
    mark: Mark | None = None
    last_message: dict[str, Any] = field(default_factory=dict)
    processed: int = 0
    """Events since the last snapshot."""
