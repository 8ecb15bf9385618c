"""The writing side of a view: rows, positions and freshness of a batch in one LMDB transaction.

Durability: every commit syncs the data pages, but the page that makes the commit valid goes to disk with the next
sync (LMDB's `metasync=False`). Losing power may so lose the last commit, never the store's integrity; and as
positions stand in the same transaction as rows, what was lost is read again from the topic. A killed process loses
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

import lmdb

from pulsar_pipeline.errors import ViewUnavailable
from pulsar_pipeline.statelog.lineage import Verdict
from pulsar_pipeline.view.layout import (
    FORMAT,
    MAX_DBS,
    MAX_READERS,
    META_DB,
    META_KEY,
    PARTITIONS_DB,
    ROWS_DB,
    Meta,
    PartitionRecord,
    encode_row,
    entity_key,
    partition_key,
    rank_of,
)
from pulsar_pipeline.view.lock import FolderLock
from pulsar_pipeline.view.migrate import migrate
from pulsar_pipeline.view.row import Change
from pulsar_pipeline.view.rule import TAKEN, PartitionState, Rank, judge, supersedes

LOCK_FILE = "writer.lock"
INITIAL_MAP = 64 << 20
"""Bytes of address space at first; doubled whenever a batch does not fit."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """News of a partition's freshness (see freshness.py), true once all changes before it are applied."""

    partition: int
    complete_until_ms: int
    caught_up: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """The partition is not the one the view has read before: drop its rows and position, begin at its start."""

    partition: int


Item = Change | Heartbeat | Forget


class ViewWriter:
    """The one writer of a view's store. Not for several threads at once."""

    def __init__(
        self, folder: Path, *, cluster: str, topic: str, map_size: int = INITIAL_MAP, wait_s: float = 0
    ) -> None:
        """Opens or creates the store. Raises ViewUnavailable when another process writes it (still after `wait_s`
        seconds), or when the store is of an unknown format or damaged. A store of another topic is begun anew."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = FolderLock(folder / LOCK_FILE, wait_s=wait_s)
        try:
            self._env = lmdb.open(
                str(folder), map_size=map_size, metasync=False, max_dbs=MAX_DBS, max_readers=MAX_READERS
            )
            self._meta_db, self._partitions_db, self._rows_db = (
                self._env.open_db(name) for name in (META_DB, PARTITIONS_DB, ROWS_DB)
            )
            self.meta = self._begin(cluster, topic)
        except lmdb.Error as error:
            self._lock.close()
            raise _damaged(folder, str(error)) from error
        except ViewUnavailable:
            self._env.close()
            self._lock.close()
            raise

    def close(self) -> None:
        """Close the store and give the lock back; harmless when done already."""
        self._env.close()
        self._lock.close()

    def partition(self, partition: int) -> PartitionRecord:
        """What is stored of a partition."""
        with self._env.begin(db=self._partitions_db) as txn:
            return PartitionRecord.decode(txn.get(partition_key(partition)))

    def set_partitions(self, count: int, now_ms: int) -> None:
        """The topic has `count` partitions now. Those new to a view that is ready count as complete until now."""
        with self._env.begin(write=True) as txn:
            for partition in range(self.meta.partitions, count):
                if txn.get(partition_key(partition), db=self._partitions_db) is None:
                    record = PartitionRecord(complete_until_ms=now_ms if self.meta.ready else 0)
                    txn.put(partition_key(partition), record.encode(), db=self._partitions_db)
            self.meta = self._put_meta(txn, replace(self.meta, partitions=count))

    def apply(self, items: Sequence[Item]) -> None:
        """Apply items in their order, all or none. Applying the same changes again changes nothing."""
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    meta = self._apply(txn, items)
            except lmdb.MapFullError:
                self._grow()
            else:
                self.meta = meta
                return

    def release_dead_readers(self) -> int:
        """Give back what readers that were killed held; how many there were. Call it now and then."""
        return self._env.reader_check()

    def _apply(self, txn: Any, items: Sequence[Item]) -> Meta:
        records: dict[int, PartitionRecord] = {}
        rows: dict[bytes, tuple[Rank, Change]] = {}
        for item in items:
            record = records.get(item.partition)
            if record is None:
                stored = txn.get(partition_key(item.partition), db=self._partitions_db)
                record = records[item.partition] = PartitionRecord.decode(stored)
            match item:
                case Change():
                    self._take(txn, record, item, rows)
                case Heartbeat():
                    record.complete_until_ms = max(record.complete_until_ms, item.complete_until_ms)
                    record.caught_up = item.caught_up
                    record.ready = record.ready or item.caught_up
                case Forget():
                    self._put_rows(txn, rows)
                    rows.clear()
                    self._drop_rows(txn, item.partition)
                    records[item.partition] = PartitionRecord()
                case _:
                    assert_never(item)
        self._put_rows(txn, rows)
        for partition, record in records.items():
            txn.put(partition_key(partition), record.encode(), db=self._partitions_db)
        return self._refresh_meta(txn)

    def _take(self, txn: Any, record: PartitionRecord, change: Change, rows: dict[bytes, tuple[Rank, Change]]) -> None:
        judged = judge(record.state, change.position, change.publish_time_ms, change.stamp)
        if judged is None:
            return
        before = record.state
        verdict, record.state = judged
        if verdict is Verdict.GAP:
            record.gaps += 1
            self._tell_gap(change, before)
        if verdict not in TAKEN:
            record.dropped += verdict is not Verdict.MARKER
            return
        if change.row is None:
            record.skipped += 1
            return
        record.applied += 1
        rank, key = Rank(record.state.clock_ms, change.partition), entity_key(change.row.entity)
        if key in rows:
            stored: Rank | None = rows[key][0]
        else:
            data = txn.get(key, db=self._rows_db)
            stored = None if data is None else rank_of(data)
        if stored is None or supersedes(rank, stored):
            rows[key] = rank, change

    def _tell_gap(self, change: Change, before: PartitionState) -> None:
        _log.error(
            "%s partition %d: outputs are missing between %s (%s) and %s (%s)",
            self.meta.topic,
            change.partition,
            ":".join(map(str, before.position)),
            before.lineage,
            ":".join(map(str, change.position)),
            change.stamp,
        )

    def _put_rows(self, txn: Any, rows: dict[bytes, tuple[Rank, Change]]) -> None:
        for key, (rank, change) in rows.items():
            if change.row is not None:
                txn.put(key, encode_row(rank, change.row), db=self._rows_db)

    def _drop_rows(self, txn: Any, partition: int) -> None:
        keys = [key for key, data in txn.cursor(self._rows_db) if rank_of(data).partition == partition]
        for key in keys:
            txn.delete(key, db=self._rows_db)

    def _refresh_meta(self, txn: Any) -> Meta:
        """Ready, once every partition has been caught up with; and from then on."""
        if self.meta.ready or not self.meta.partitions:
            return self.meta
        stored = [txn.get(partition_key(index), db=self._partitions_db) for index in range(self.meta.partitions)]
        if all(PartitionRecord.decode(data).ready for data in stored):
            return self._put_meta(txn, replace(self.meta, ready=True))
        return self.meta

    def _put_meta(self, txn: Any, meta: Meta) -> Meta:
        txn.put(META_KEY, meta.encode(), db=self._meta_db)
        return meta

    def _begin(self, cluster: str, topic: str) -> Meta:
        with self._env.begin(write=True) as txn:
            migrate(txn, self._meta_db, self._partitions_db)
            data = txn.get(META_KEY, db=self._meta_db)
            meta = None if data is None else Meta.decode(data)
            if data is not None and meta is None:
                raise _damaged(self.folder, f"its format is not {FORMAT}, the one this version reads")
            if meta is not None and (meta.cluster, meta.topic) == (cluster, topic):
                return meta
            if meta is not None:
                _log.warning("%s held %s of %s; begun anew for %s", self.folder, meta.topic, meta.cluster, topic)
            for database in (self._partitions_db, self._rows_db):
                txn.drop(database, delete=False)
            return self._put_meta(txn, Meta(cluster, topic))

    def _grow(self) -> None:
        size = self._env.info()["map_size"] * 2
        _log.info("%s: room for %d MiB", self.folder, size >> 20)
        self._env.set_mapsize(size)


def _damaged(folder: Path, what: str) -> ViewUnavailable:
    return ViewUnavailable(
        f"the view's store cannot be used: {what}",
        where=str(folder),
        mend="stop `serve`, delete this folder and start again: it is rebuilt from the topic",
    )
