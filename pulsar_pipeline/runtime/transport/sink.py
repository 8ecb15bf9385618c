"""Where an instance publishes: one producer per output partition, and one per topic of `context.publish`.

Sends do not wait and have no callback into Python, which is what makes them cheap; `flush` waits for all of them and
raises when any failed. Sizes are checked before, since the client reports an oversized message to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.runtime.transport.outlet import Outlet

REFUSALS = (pulsar.TopicNotFound, pulsar.AuthorizationError, pulsar.InvalidTopicName)
"""What a broker says for good of a topic that is not there or may not be written."""

_LINGER_MS = 1
_MAX_PENDING = 20_000
_MAX_PENDING_BYTES = 64_000_000


class Sink:
    """Producers by topic, opened at first use. Thread-safe for distinct topics; `flush` may run beside sends."""

    def __init__(
        self,
        client: pulsar.Client,
        schema_of: Callable[[str], Any] = lambda _topic: None,
        batches: Callable[[str], bool] = lambda _topic: True,
    ) -> None:
        """`schema_of(topic)` gives the pulsar schema to attach, or None for bytes; `batches(topic)` whether messages
        for it may be sent together."""
        self._client = client
        self.schema_of = schema_of
        self._batches = batches
        self._producers: dict[str, Any] = {}
        self._outlets: dict[str, Outlet] = {}
        self._other_bytes = 0
        self._stored_bytes = 0

    def send(self, message: Outgoing) -> None:
        """Queue a message for a topic, or a partition of one."""
        self.open(message.topic).send_async(message.payload, message.callback, **message.options)
        self._other_bytes += len(message.payload)

    def outlet(self, topic: str) -> Outlet:
        """The fast way to a topic. Raises pulsar.PulsarException."""
        if topic not in self._outlets:
            self._outlets[topic] = Outlet(self.open(topic))
        return self._outlets[topic]

    def open(self, topic: str) -> Any:
        """The producer for `topic`; opening it early makes a missing topic or permission known at start."""
        if topic not in self._producers:
            options: dict[str, Any] = {}
            if (schema := self.schema_of(topic)) is not None:
                options["schema"] = schema
            self._producers[topic] = self._client.create_producer(
                topic,
                batching_enabled=self._batches(topic),
                batching_max_publish_delay_ms=_LINGER_MS,
                batching_max_messages=1000,
                max_pending_messages=_MAX_PENDING,
                block_if_queue_full=True,
                send_timeout_millis=0,
                initial_sequence_id=1,  # with deduplication on, 0 counts as unset and a reconnect loses messages
                **options,
            )
        return self._producers[topic]

    def keep_bounded(self) -> None:
        """Wait for what was sent to be stored, where that is many bytes. Called between batches."""
        if self._queued_bytes() - self._stored_bytes > _MAX_PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Wait until everything sent so far is stored. Raises pulsar.PulsarException when something is not."""
        queued = self._queued_bytes()
        for producer in list(self._producers.values()):
            producer.flush()
        self._stored_bytes = max(queued, self._stored_bytes)

    def close(self) -> None:
        for producer in self._producers.values():
            producer.close()
        self._producers.clear()
        self._outlets.clear()

    def _queued_bytes(self) -> int:
        return self._other_bytes + sum(outlet.queued_bytes for outlet in list(self._outlets.values()))


@contextmanager
def refused(topic: str) -> Iterator[None]:
    """What the broker says of a topic that may not be written or is not there, as a DataError: the event's fault."""
    try:
        yield
    except REFUSALS as error:
        raise DataError(
            f"cannot publish: {describe(error)}",
            where=topic,
            mend="declare the topic, or let the functions role produce there",
        ) from error
