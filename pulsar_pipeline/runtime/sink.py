"""Where an instance publishes: one producer per output partition, and one per topic of `context.publish`.

Sends do not wait and have no callback into Python, which is what makes them cheap; `flush` waits for all of them and
raises when any failed. Only sizes are checked before, since the client reports an oversized message to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.wire import MAX_PAYLOAD

Callback = Callable[[Any, Any], None]

_LINGER_MS = 2
_MAX_PENDING = 20_000


class Sink:
    """Producers by topic, opened at first use. Thread-safe for distinct topics; `flush` may run beside sends."""

    def __init__(self, client: pulsar.Client, schema_of: Callable[[str], Any] | None = None) -> None:
        """`schema_of(topic)` gives the pulsar schema to attach, or None for bytes."""
        self._client = client
        self._schema_of = schema_of or (lambda _topic: None)
        self._producers: dict[str, Any] = {}

    def send(self, topic: str, payload: bytes, callback: Callback | None = None, **message: Any) -> None:
        """Queue one message for `topic` (a partition's full name, or a topic). Raises DataError when too large.

        `callback(result, message_id)` costs about 20 us; None costs nothing.
        """
        if len(payload) > MAX_PAYLOAD:
            raise DataError(f"a message of {len(payload)} bytes is over the limit of {MAX_PAYLOAD}", where=topic)
        producer = self._producers.get(topic) or self.open(topic)
        producer.send_async(payload, callback, **message)

    def open(self, topic: str) -> Any:
        """The producer for `topic`; opening it early makes a missing topic or permission known at start."""
        if topic not in self._producers:
            options: dict[str, Any] = {}
            if (schema := self._schema_of(topic)) is not None:
                options["schema"] = schema
            self._producers[topic] = self._client.create_producer(
                topic,
                batching_enabled=True,
                batching_max_publish_delay_ms=_LINGER_MS,
                batching_max_messages=1000,
                max_pending_messages=_MAX_PENDING,
                block_if_queue_full=True,
                send_timeout_millis=0,
                initial_sequence_id=1,  # with deduplication on, 0 counts as unset and a reconnect loses messages
                **options,
            )
        return self._producers[topic]

    def flush(self) -> None:
        """Wait until everything sent so far is stored. Raises pulsar.PulsarException when something is not."""
        for producer in list(self._producers.values()):
            producer.flush()

    def close(self) -> None:
        for producer in self._producers.values():
            producer.close()
        self._producers.clear()
