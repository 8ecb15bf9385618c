"""Which partition a key goes to: as Pulsar's Java and Go clients choose by default (`HashingScheme.JavaStringHash`).

The Python client hashes otherwise (Boost's way, not to be had elsewhere), unless its `message_router` does as they do.
Functions rely on one way: the partitions with the same number of all their inputs hold the same keys. A producer of
another kind that feeds an input must use the same scheme: in C++ `JavaStringHash`, in Python a `message_router` that
calls `java_string_hash`, or a producer per partition as here, which spares a call per message.
"""

from __future__ import annotations

from pulsar_pipeline.names import java_string_hash

_MOST_KEPT = 100_000


class Partitioner:
    """Keys → partitions of one topic; remembers the keys it has seen, for they come again."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str, int] = {}
        self._next = 0

    def __call__(self, key: str | None) -> int:
        """The partition; events without a key go round."""
        if key is None:
            self._next = (self._next + 1) % self.partitions
            return self._next
        partition = self._known.get(key)
        if partition is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            partition = self._known[key] = java_string_hash(key) % self.partitions
        return partition
