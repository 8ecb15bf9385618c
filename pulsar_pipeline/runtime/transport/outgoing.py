"""A message for another topic than the output, and the bytes it waits as until its event is committed. Pure.

The bytes are a JSON object of topic and options, a line feed, and the payload as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.wire import MAX_PAYLOAD

OPTIONS = frozenset(
    {"properties", "partition_key", "ordering_key", "event_timestamp", "deliver_at", "replication_clusters"}
    | {"disable_replication"}
)
"""What `message_conf` may hold: options of the client's `send`."""

MAX_MESSAGE = MAX_PAYLOAD - 8_000
"""Bytes of a payload and its key; a stamp has to fit beside them."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`topic` is a topic or one partition of it. `callback(result, message_id)` is called once it is stored, if the
    process still lives then."""

    topic: str
    payload: bytes
    options: Mapping[str, Any] = field(default_factory=dict)
    callback: Callable[[Any, Any], None] | None = None

    @property
    def key(self) -> str | None:
        return self.options.get("partition_key")


Numbered = tuple[int, Outgoing]
"""A message that waits, with its number."""


def check(message: Outgoing) -> None:
    """Raises DataError for what could not be sent later on."""
    if unknown := sorted(message.options.keys() - OPTIONS):
        raise DataError(
            f"publish knows no option {', '.join(unknown)}",
            where=message.topic,
            mend=f"known are {', '.join(sorted(OPTIONS))}",
        )
    check_size(message.payload, message.key, message.topic)
    _head(message)


def check_size(payload: bytes, key: str | None, where: str | None = None) -> None:
    """Raises DataError for a message that no broker takes: the client would report it to nobody."""
    if len(payload) + len(key or "") > MAX_MESSAGE:
        raise DataError(
            f"a message of {len(payload):,} bytes is over the limit of {MAX_MESSAGE:,} (key included)", where=where
        )


def to_bytes(message: Outgoing) -> bytes:
    """Without the callback."""
    return _head(message) + b"\n" + message.payload


def from_bytes(data: bytes) -> Outgoing:
    """Of what `to_bytes` gave."""
    head, _, payload = data.partition(b"\n")
    options = json.loads(head)
    return Outgoing(options.pop("topic"), payload, options)


def _head(message: Outgoing) -> bytes:
    try:
        return json.dumps({"topic": message.topic, **message.options}, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"an option of publish cannot be kept: {error}", where=message.topic) from error
