"""Brings what waits in an outbox to its topics, so that each message counts once there.

Producers have one fixed name per outbox and messages their number as sequence id: what is sent again, by this process
after a reconnect or by the next owner after a crash, is dropped by brokers that deduplicate. Only messages whose commit
counts are sent, and those are the same for every owner there ever is, so it does not matter if two owners send them.
No batches: a broker judges a batch by its first message and would drop the rest with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pulsar
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.names import java_string_hash
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.transport.outgoing import Numbered, Outgoing
from pulsar_pipeline.runtime.transport.sink import REFUSALS, refused

_NAME_FREE_AFTER_S = 90.0
"""A broker notices within a minute that a former owner which was cut off, and holds the name, is gone."""

_MAX_PENDING = 1_000

_log = logging.getLogger(__name__)


class Courier:
    """Of one partition's outbox. `check` is for the loop's thread, `deliver` for the committer's."""

    def __init__(self, client: pulsar.Client, name: str, schema_of: Callable[[str], Any] = lambda _topic: None) -> None:
        """`name` is the producers' fixed name; `schema_of(topic)` the pulsar schema to attach, or None for bytes."""
        self._schema_of = schema_of
        self._client = client
        self._name = name
        self._partitions: dict[str, list[str]] = {}
        self._producers: dict[str, Any] = {}
        self._lock = threading.Lock()

    def check(self, message: Outgoing) -> None:
        """Whether the topic is there and may be written. Raises DataError where it is not."""
        if message.topic not in self._partitions:
            with refused(message.topic), suppress(pulsar.ProducerBusy):  # a topic that is written by a former owner
                self._open(message.topic)

    def deliver(self, messages: Sequence[Numbered]) -> int:
        """Send them in order and wait until they are stored; gives the last number. Raises pulsar.PulsarException."""
        for number, message in messages:
            if message.topic not in self._partitions:
                self._until_free(message.topic)
            producer = self._producers[self._partition_of(number, message)]
            producer.send_async(message.payload, message.callback, sequence_id=number, **message.options)
        for producer in list(self._producers.values()):
            producer.flush()
        return messages[-1][0]

    def _partition_of(self, number: int, message: Outgoing) -> str:
        """The same one each time: deduplication is per partition."""
        partitions = self._partitions[message.topic]
        at = number if message.key is None else java_string_hash(message.key)
        return partitions[at % len(partitions)]

    def _until_free(self, topic: str) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(pulsar.ProducerBusy),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(_NAME_FREE_AFTER_S),
            before_sleep=lambda _state: _log.info("a former owner still holds the producer of %s", topic),
            reraise=True,
        )
        try:
            retrying(self._open, topic)
        except REFUSALS as error:
            raise InstanceError(
                f"a message that is committed cannot be delivered: {describe(error)}",
                where=topic,
                mend="declare the topic again, and let the functions role produce there; it waits until then",
            ) from error

    def _open(self, topic: str) -> None:
        with self._lock:
            partitions = self._client.get_topic_partitions(topic)
            for partition in partitions:
                if partition not in self._producers:
                    schema = self._schema_of(partition)
                    self._producers[partition] = self._client.create_producer(
                        partition,
                        producer_name=self._name,
                        batching_enabled=False,
                        max_pending_messages=_MAX_PENDING,
                        block_if_queue_full=True,
                        send_timeout_millis=0,
                        initial_sequence_id=1,
                        **({} if schema is None else {"schema": schema}),
                    )
            self._partitions[topic] = partitions
