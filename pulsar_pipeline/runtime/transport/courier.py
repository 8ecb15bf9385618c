"""Brings what waits in an outbox to its topics, so that each message counts once there.

Producers have one fixed name per outbox and messages their number as sequence id: what is sent again, by this process
after a reconnect or by the next owner after a crash, is dropped by brokers that deduplicate. Only messages whose commit
counts are sent, and those are the same for every owner there ever is, so it does not matter if two owners send them.
No batches: a broker judges a batch by its first message and would drop the rest with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pulsar

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.names import java_string_hash
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.transport.outgoing import Numbered, Outgoing
from pulsar_pipeline.runtime.transport.outlet import Callback
from pulsar_pipeline.runtime.transport.sink import REFUSALS, refused

_TRY_EVERY_S = 0.3

_MAX_PENDING = 1_000

_log = logging.getLogger(__name__)


class Courier:
    """Of one partition's outbox. `check` is for the loop's thread, the rest for the committer's."""

    def __init__(self, client: pulsar.Client, name: str, schema_of: Callable[[str], Any] = lambda _topic: None) -> None:
        """`name` is the producers' fixed name; `schema_of(topic)` the pulsar schema to attach, or None for bytes."""
        self._schema_of = schema_of
        self._client = client
        self._name = name
        self._partitions: dict[str, list[str]] = {}
        self._producers: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._waiting: deque[Numbered] = deque()
        self._on_their_way: dict[int, None] = {}
        self._answers: deque[tuple[int, Any]] = deque()
        self._last = 0
        self._next_try = 0.0

    def check(self, message: Outgoing) -> None:
        """Whether the topic is there and may be written. Raises DataError where it is not."""
        if message.topic not in self._partitions:
            with refused(message.topic), suppress(pulsar.ProducerBusy):  # a topic that is written by a former owner
                self._open(message.topic)

    def send(self, messages: Sequence[Numbered]) -> None:
        """Take over what a commit has released; `go_on` brings it on its way."""
        self._waiting.extend(messages)

    def go_on(self) -> bool:
        """Send what can be sent now; True while something is not stored yet. Never waits for a broker's answer, so that
        an owner that has been replaced finds that out. Raises InstanceError, pulsar.PulsarException."""
        self._take_answers()
        while self._waiting and len(self._on_their_way) < _MAX_PENDING:
            number, message = self._waiting[0]
            if not self._is_open(message.topic):
                break
            self._waiting.popleft()
            self._on_their_way[number] = None
            self._producers[self._partition_of(number, message)].send_async(
                message.payload, partial(self._answer, number, message.callback), sequence_id=number, **message.options
            )
            self._last = number
        return bool(self._waiting or self._on_their_way)

    @property
    def stored(self) -> int:
        """All messages up to this number have reached their topics."""
        return next(iter(self._on_their_way), self._last + 1) - 1

    def _answer(self, number: int, callback: Callback | None, result: Any, identity: Any) -> None:
        """Called by the client's own thread."""
        self._answers.append((number, result))
        if callback is not None:
            callback(result, identity)

    def _take_answers(self) -> None:
        while self._answers:
            number, result = self._answers.popleft()
            if result != pulsar.Result.Ok:
                raise InstanceError(
                    f"a committed message was not stored: {result}", mend="it is sent again at the start"
                )
            del self._on_their_way[number]

    def _partition_of(self, number: int, message: Outgoing) -> str:
        """The same one each time: deduplication is per partition."""
        partitions = self._partitions[message.topic]
        at = number if message.key is None else java_string_hash(message.key)
        return partitions[at % len(partitions)]

    def _is_open(self, topic: str) -> bool:
        """False while a former owner holds the producers' name: brokers notice within a minute that it is gone."""
        if topic in self._partitions:
            return True
        if time.monotonic() < self._next_try:
            return False
        try:
            self._open(topic)
        except pulsar.ProducerBusy:
            _log.info("a former owner still holds the producer of %s", topic)
            self._next_try = time.monotonic() + _TRY_EVERY_S
            return False
        except REFUSALS as error:
            raise InstanceError(
                f"a message that is committed cannot be delivered: {describe(error)}",
                where=topic,
                mend="declare the topic again, and let the functions role produce there; it waits until then",
            ) from error
        return True

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
