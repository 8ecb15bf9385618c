"""Which partition a state key belongs to when the number of partitions has changed: that of the messages of its entity.

A key's entity is the message key it is kept for. Of `Models` (keys `NAME/KEY`) it is KEY; of `put_state` and counters
the whole key, or what follows the first occurrence of a given separator. The partition of an entity is the one that
producers choose for its messages (`JavaStringHash`). Pure.

What is not kept for one message key cannot be moved: windows and timers (theirs are lists of many keys), and two values
of the same name in two partitions. Counters of the same name add up.
"""

from __future__ import annotations

from collections.abc import Iterator

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.names import java_string_hash
from pulsar_pipeline.runtime.guarantees.pieces import entries_of, owner_of, whole
from pulsar_pipeline.state.kinds import Kind, kind_of, name_of
from pulsar_pipeline.state.pickled import class_of
from pulsar_pipeline.statelog.records import Entry

_MODEL_SEPARATOR = "/"
_LISTS = "pulsar_pipeline.online."
"""Module of the classes that keep many keys in one object: the parts of windows."""


class Placement:
    """Moves the entries of several partitions; for one thread, partition after partition."""

    def __init__(self, partitions: int, separator: str | None = None) -> None:
        """`partitions`: how many there are now. `separator`: in keys of `put_state` and counters, what the entity
        follows."""
        self._partitions, self._separator = partitions, separator
        self._from: dict[str, int] = {}
        self._counters: dict[str, int] = {}

    def entity(self, key: str) -> str:
        """The message key that a state key is kept for."""
        name = name_of(key)
        separator = _MODEL_SEPARATOR if kind_of(key) is Kind.OBJECT else self._separator
        if separator is None:
            return name
        _, found, entity = name.partition(separator)
        return entity if found else name

    def partition(self, key: str) -> int:
        """Where a state key belongs."""
        return java_string_hash(self.entity(key)) % self._partitions

    def place(self, source: int, entry: Entry) -> tuple[int, Entry] | None:
        """An entry of the partition `source` and where it belongs; None for a counter's, see `counters`.

        Raises StateLogError for one that cannot be moved.
        """
        key = owner_of(entry.key)
        kind = kind_of(key)
        if kind is Kind.COUNTER:
            self._counters[key] = self._counters.get(key, 0) + int(whole(entry) or b"0")
            return None
        if kind not in (Kind.BYTES, Kind.OBJECT) or (kind is Kind.OBJECT and _keeps_a_list(entry)):
            raise StateLogError(
                f"{kind.value} {name_of(key)!r} of partition {source} cannot be moved by key",
                mend="windows and timers stay with their partition: let them close before, or begin without them",
            )
        if self._from.setdefault(key, source) != source:
            raise StateLogError(
                f"{kind.value} {name_of(key)!r} is in partitions {self._from[key]} and {source}: which one counts?",
                mend="it is kept for a partition, not for a message key; delete it in the function before the move",
            )
        return self.partition(key), entry

    def counters(self) -> Iterator[tuple[int, Entry]]:
        """The counters, once all entries have been placed: each the sum of those of its name."""
        for key, count in self._counters.items():
            for entry in entries_of({key: b"%d" % count}):
                yield self.partition(key), entry


def _keeps_a_list(entry: Entry) -> bool:
    pickled = whole(entry)
    return pickled is not None and class_of(pickled).startswith(_LISTS)
