"""Fits changes of state into records: as many parts or chunks as it takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.records import Entry

ROOM = 1_100_000
"""Bytes of entries in one record, at most: far from MAX_RECORD, for while one is encoded nothing else of the process
runs, and some are in memory at a time on either side."""

MOST = 500
"""Entries in one record, for the same reason."""

_OVERHEAD = 24
"""Bytes that Avro adds to an entry, at most: two lengths, the union's branch, a block's share."""


def pack(entries: Iterable[Entry], room: int = ROOM) -> Iterator[tuple[Entry, ...]]:
    """The entries in their order, in tuples that fit into a record each; nothing where there are none.

    Raises StateLogError for an entry that fits into none.
    """
    packed: list[Entry] = []
    left = room
    for entry in entries:
        size = entry_size(entry)
        if size > room:
            raise StateLogError(
                f"the value has {len(entry.value or b''):,} bytes; about {room:,} is the most",
                where=f"state key {entry.key[:100]!r}",
                mend="keep it under several keys",
            )
        if size > left or len(packed) >= MOST:
            yield tuple(packed)
            packed, left = [], room
        packed.append(entry)
        left -= size
    if packed:
        yield tuple(packed)


def entry_size(entry: Entry) -> int:
    """Bytes of an entry in a record, or a little more."""
    return len(entry.key.encode("utf-8", "surrogatepass")) + len(entry.value or b"") + _OVERHEAD
