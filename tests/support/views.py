"""Views filled without a broker."""

from __future__ import annotations

import json
from pathlib import Path

from pulsar_pipeline.view.layout import view_folder
from pulsar_pipeline.view.position import Position, token
from pulsar_pipeline.view.row import Change, OutputMessage, change_of
from pulsar_pipeline.view.store import Heartbeat, ViewWriter

PUBLISHED_MS = 1_700_000_000_000


def change(
    partition: int, entry: int, entity: str, record: dict, *, published_ms: int | None = None, stamp: str = ""
) -> Change:
    """What the message at ledger 1, `entry` would change."""
    published = PUBLISHED_MS + entry if published_ms is None else published_ms
    message = OutputMessage(partition, Position(1, entry, -1), entity, b"", 0, published - 5, published, stamp)
    return change_of(message, "west", lambda payload, version: record)


def fill(folder: Path, tenant: str, view: str, rows: dict[str, dict], *, now_ms: int, topic: str) -> None:
    """A ready view of one partition in cluster west that holds `rows` and was caught up at `now_ms`."""
    writer = ViewWriter(view_folder(folder, "west", tenant, view), cluster="west", topic=topic)
    writer.set_partitions(1, now_ms)
    changes = [change(0, entry, entity, record) for entry, (entity, record) in enumerate(rows.items())]
    writer.apply([*changes, Heartbeat(0, now_ms, caught_up=True)])
    writer.close()


def body(entry: int, entity: str, record: dict, partition: int = 0) -> dict:
    """The row that `change` makes, parsed."""
    row = change(partition, entry, entity, record).row
    assert row is not None
    assert row.token == token("west", partition, Position(1, entry, -1))
    return dict(json.loads(row.body))
