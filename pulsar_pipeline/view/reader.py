"""The reading side of a view: for any number of processes beside the one that writes. Lookups only; never blocks on
the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.errors import ViewUnavailable
from pulsar_pipeline.view.freshness import UNKNOWN, Freshness, freshness_of
from pulsar_pipeline.view.layout import (
    MAX_DBS,
    META_DB,
    META_KEY,
    PARTITIONS_DB,
    ROWS_DB,
    Meta,
    PartitionRecord,
    StoredRow,
    decode_row,
    entity_key,
)

REFRESH_S = 0.1
"""How long freshness, once read, is kept: it can only overstate the lag by that much."""

_OPEN_AGAIN_S = 0.2

T = TypeVar("T")


class ViewReader:
    """A view's store, opened read-only as soon as it exists. For one thread."""

    def __init__(self, folder: Path, cluster: str, clock: Clock) -> None:
        self.cluster = cluster
        self._folder = folder
        self._clock = clock
        self._env: Any = None
        self._meta_db: Any = None
        self._partitions_db: Any = None
        self._rows_db: Any = None
        self._try_open_at = float("-inf")
        self._freshness = UNKNOWN
        self._freshness_until = float("-inf")

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    def get(self, entity: str) -> StoredRow | None:
        """The entity's row, or None. Raises ViewUnavailable until the view has been caught up with once."""
        data = self._read(lambda txn: txn.get(entity_key(entity), db=self._rows_db))
        return None if data is None else decode_row(data)

    def get_many(self, entities: Iterable[str]) -> list[StoredRow | None]:
        """Rows of one and the same state of the view, in the order asked for. Raises as `get`."""
        keys = [entity_key(entity) for entity in entities]
        found = self._read(lambda txn: [txn.get(key, db=self._rows_db) for key in keys])
        return [None if data is None else decode_row(data) for data in found]

    def partitions(self) -> dict[int, PartitionRecord]:
        """Every partition's record; empty while there is no store of the format that this version reads."""
        if not self._opened():
            return {}
        return self._transact(self._read_partitions)

    def rows(self) -> int:
        """How many entities have a row; 0 while there is no store."""
        if not self._opened():
            return 0
        return int(self._transact(lambda txn: txn.stat(self._rows_db)["entries"]))

    def freshness(self) -> Freshness:
        """The view's freshness, at most REFRESH_S old."""
        now = self._clock.monotonic()
        if now >= self._freshness_until and self._opened():
            meta, partitions = self._transact(lambda txn: (self._read_meta(txn), self._read_partitions(txn)))
            self._freshness = UNKNOWN if meta is None else freshness_of(meta.ready, partitions.values())
            self._freshness_until = now + REFRESH_S
        return self._freshness

    def _read(self, job: Callable[[Any], T]) -> T:
        if not self.freshness().ready:
            raise ViewUnavailable("the view has not caught up with its topic yet", mend="try again in a moment")
        return self._transact(job)

    def _transact(self, job: Callable[[Any], T]) -> T:
        try:
            with self._env.begin() as txn:
                return job(txn)
        except lmdb.MapResizedError:
            self._env.set_mapsize(0)  # take over the size that the writer has grown the store to
            with self._env.begin() as txn:
                return job(txn)

    def _read_meta(self, txn: Any) -> Meta | None:
        data = txn.get(META_KEY, db=self._meta_db)
        return None if data is None else Meta.decode(data)

    def _read_partitions(self, txn: Any) -> dict[int, PartitionRecord]:
        if self._read_meta(txn) is None:
            return {}
        return {
            int.from_bytes(key, "big"): PartitionRecord.decode(data) for key, data in txn.cursor(self._partitions_db)
        }

    def _opened(self) -> bool:
        if self._env is not None:
            return True
        now = self._clock.monotonic()
        if now < self._try_open_at:
            return False
        self._try_open_at = now + _OPEN_AGAIN_S
        return self._open()

    def _open(self) -> bool:
        if not (self._folder / "data.mdb").exists():
            return False
        try:
            env = lmdb.open(str(self._folder), readonly=True, create=False, max_dbs=MAX_DBS, max_spare_txns=2)
        except lmdb.Error:  # the writer is just creating it
            return False
        try:
            self._meta_db, self._partitions_db, self._rows_db = (
                env.open_db(name, create=False) for name in (META_DB, PARTITIONS_DB, ROWS_DB)
            )
        except lmdb.Error:
            env.close()
            return False
        self._env = env
        return True
