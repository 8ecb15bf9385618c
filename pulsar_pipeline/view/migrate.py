"""Brings a store of the format before up to date, in the transaction that opens it. Rows stay; nothing is read anew.

Format 1 knew no lineage: its views go on from where they stand, and the next stamped output they see counts.
"""

from __future__ import annotations

import json
from typing import Any

from pulsar_pipeline.statelog.lineage import ANYWHERE
from pulsar_pipeline.view.layout import FORMAT, META_KEY

_BEFORE = 1
_DROPPED_AND_GAPS = (0, 0)


def migrate(txn: Any, meta_db: Any, partitions_db: Any) -> None:
    """Rewrite a store of the format before; leaves any other as it is."""
    data = txn.get(META_KEY, db=meta_db)
    meta = {} if data is None else json.loads(data)
    if meta.get("format") != _BEFORE:
        return
    for key, record in list(txn.cursor(partitions_db)):
        txn.put(key, _with_lineage(record), db=partitions_db)
    txn.put(META_KEY, json.dumps({**meta, "format": FORMAT}).encode(), db=meta_db)


def _with_lineage(record: bytes) -> bytes:
    """[ledger, entry, batch, clock, …] → [ledger, entry, batch, clock, epoch, incarnation, seq, …, dropped, gaps]"""
    fields = json.loads(record)
    return json.dumps([*fields[:4], *ANYWHERE, *fields[4:], *_DROPPED_AND_GAPS]).encode()
