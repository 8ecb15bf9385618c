"""An output message in, the change it makes to a view out. Pure.

A row is stored as the JSON text that the API answers (all but the lag), so that a read is a lookup and a copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pulsar_pipeline.errors import DataError, SchemaError
from pulsar_pipeline.schemas.values import jsonable
from pulsar_pipeline.statelog.stamp import Marker, Stamp, parse
from pulsar_pipeline.view.position import Position, token

Decode = Callable[[bytes, int], dict[str, Any]]
"""(payload, schema version) → record. Raises DataError or SchemaError where that cannot be."""


@dataclass(frozen=True, slots=True)
class OutputMessage:
    """A message of the output topic as it was consumed. `event_time_ms` is 0 where the producer set none; `stamp` is
    the text of its stamp or marker, "" where it has none."""

    partition: int
    position: Position
    key: str
    payload: bytes
    schema_version: int
    event_time_ms: int
    publish_time_ms: int
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What a view answers for one entity: the JSON text and the position token in it."""

    entity: str
    body: bytes
    token: str


@dataclass(frozen=True, slots=True)
class Change:
    """A message's effect: the partition moves to its position and, unless the message was bad or a marker, a row is
    offered."""

    partition: int
    position: Position
    publish_time_ms: int
    row: Row | None
    problem: str | None = None
    """Why there is no row; None for a marker."""
    stamp: Stamp | Marker | None = None


def change_of(message: OutputMessage, cluster: str, decode: Decode) -> Change:
    """The change a message makes. A message that cannot become a row makes a change without one; it never raises for
    what the message holds. What `decode` raises beyond DataError and SchemaError (no broker to ask) goes through."""
    try:
        stamp = parse(message.stamp) if message.stamp else None
    except ValueError as error:
        return _without_row(message, f"its stamp is wrong: {error}", None)
    if isinstance(stamp, Marker):
        return _without_row(message, None, stamp)
    if not message.key:
        return _without_row(message, "it has no key", stamp)
    try:
        prediction = jsonable(decode(message.payload, message.schema_version))
    except (DataError, SchemaError) as error:
        return _without_row(message, error.what, stamp)
    position = token(cluster, message.partition, message.position)
    document = {
        "entity": message.key,
        "prediction": prediction,
        "event_time": iso(message.event_time_ms) if message.event_time_ms else None,
        "published_time": iso(message.publish_time_ms),
        "position": position,
    }
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    row = Row(message.key, body, position)
    return Change(message.partition, message.position, message.publish_time_ms, row, stamp=stamp)


def iso(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC; what lies beyond the calendar becomes its last moment."""
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.max.replace(tzinfo=UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _without_row(message: OutputMessage, problem: str | None, stamp: Stamp | Marker | None) -> Change:
    return Change(message.partition, message.position, message.publish_time_ms, None, problem, stamp)
