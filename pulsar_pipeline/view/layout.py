"""What a view's LMDB environment holds, byte by byte. Pure.

    FOLDER/CLUSTER/TENANT/VIEW/          one environment per view: tenants share no file
        data.mdb lock.mdb                LMDB's own
        writer.lock                      held by the one process that writes

    database `meta`        b"view" → JSON: format, cluster, topic, partitions, ready
    database `partitions`  partition (4 bytes, big-endian) → JSON, see PartitionRecord
    database `rows`        entity key → header (clock, partition, length of the token) + token + JSON text

An entity key is `=` + UTF-8 of the entity or, above LMDB's limit for keys, `#` + its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pulsar_pipeline.statelog.lineage import Lineage
from pulsar_pipeline.view.position import Position
from pulsar_pipeline.view.row import Row
from pulsar_pipeline.view.rule import UNTOUCHED, PartitionState, Rank

FORMAT = 2
"""Grows with every change of this page. A store of format 1 is brought up to date by its writer (see migrate.py) and
until then counts as not there; one of any other format is refused."""

META_KEY = b"view"
META_DB, PARTITIONS_DB, ROWS_DB = b"meta", b"partitions", b"rows"
MAX_DBS = 3
MAX_READERS = 512
"""Read transactions open at once, over all processes; LMDB's default is 126."""

_MAX_KEY = 511
_HEADER = struct.Struct(">QIH")


def view_folder(folder: Path, cluster: str, tenant: str, view: str) -> Path:
    """Where a view's environment lies."""
    return folder / cluster / tenant / view


@dataclass(frozen=True, slots=True)
class Meta:
    """What the store is of, and whether it may be read. `partitions`: how many the topic was last seen to have."""

    cluster: str
    topic: str
    partitions: int = 0
    ready: bool = False
    format: int = FORMAT

    def encode(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Meta | None:
        """None for a format that this version does not know."""
        document = json.loads(data)
        return cls(**document) if document.get("format") == FORMAT else None


@dataclass(slots=True)
class PartitionRecord:
    """All a store keeps of a partition besides its rows."""

    state: PartitionState = UNTOUCHED
    complete_until_ms: int = 0
    caught_up: bool = False
    ready: bool = False
    applied: int = 0
    skipped: int = 0
    dropped: int = 0
    gaps: int = 0

    def encode(self) -> bytes:
        position, clock_ms, lineage = self.state
        return json.dumps(
            [
                *position,
                clock_ms,
                *lineage,
                self.complete_until_ms,
                self.caught_up,
                self.ready,
                self.applied,
                self.skipped,
                self.dropped,
                self.gaps,
            ]
        ).encode()

    @classmethod
    def decode(cls, data: bytes | None) -> PartitionRecord:
        """An empty record where there is none yet."""
        if data is None:
            return cls()
        ledger, entry, batch, clock_ms, epoch, incarnation, seq, *rest = json.loads(data)
        state = PartitionState(Position(ledger, entry, batch), clock_ms, Lineage(epoch, incarnation, seq))
        return cls(state, *rest)


def partition_key(partition: int) -> bytes:
    return partition.to_bytes(4, "big")


def entity_key(entity: str) -> bytes:
    """Key of an entity's row; distinct for distinct entities (as far as SHA-256 is)."""
    text = entity.encode("utf-8", "surrogatepass")
    return b"=" + text if len(text) < _MAX_KEY else b"#" + hashlib.sha256(text).digest()


class StoredRow(NamedTuple):
    """A row as it is read."""

    token: str
    body: bytes


def encode_row(rank: Rank, row: Row) -> bytes:
    position = row.token.encode()
    return _HEADER.pack(rank.clock_ms, rank.partition, len(position)) + position + row.body


def decode_row(data: bytes) -> StoredRow:
    start = _HEADER.size
    end = start + _HEADER.unpack_from(data)[2]
    return StoredRow(data[start:end].decode(), data[end:])


def rank_of(data: bytes) -> Rank:
    """The rank of a stored row."""
    clock_ms, partition, _ = _HEADER.unpack_from(data)
    return Rank(clock_ms, partition)
