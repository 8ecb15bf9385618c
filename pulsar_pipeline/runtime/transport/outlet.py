"""The way of an output to its partition, past the client library's per-message checks.

The client's `Producer.send_async` and the message it builds cost more than the rest of an event's way; what it checks
is known here. `tests/integration` and the fault tests hold these few lines to what the client does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _pulsar

from pulsar_pipeline.statelog.stamp import PROPERTY

Callback = Callable[[Any, Any], None]

_Builder = _pulsar.MessageBuilder


class Outlet:
    """Sends to one topic without waiting. For one thread."""

    __slots__ = ("_send", "queued_bytes")

    def __init__(self, producer: Any) -> None:
        """`producer` is a `pulsar.Producer`."""
        self._send = producer._producer.send_async
        self.queued_bytes = 0
        """Of all that was sent, whether stored or not."""

    def send(
        self,
        payload: bytes,
        key: str | None,
        event_time_ms: int | None,
        stamp: str | None = None,
        callback: Callback | None = None,
    ) -> None:
        """Queue one message. Blocks while the client's queue is full; raises what the client does.

        `callback(result, message_id)` costs about 20 us; None costs nothing.
        """
        builder = _Builder()
        builder.content(payload)
        if stamp is not None:
            builder.property(PROPERTY, stamp)
        if key:
            builder.partition_key(key)
        if event_time_ms:
            builder.event_timestamp(event_time_ms)
        self._send(builder.build(), callback)
        self.queued_bytes += len(payload)
