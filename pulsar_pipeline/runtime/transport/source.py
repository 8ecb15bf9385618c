"""The partitions an instance owns, and what arrives on them.

Ownership is an Exclusive subscription per partition: while another process holds one, the instance waits and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pulsar
from tenacity import Retrying, retry_if_exception_type, stop_when_event_set, wait_random_exponential

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.names import owned_partitions, parse_topic
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.transport.event import InputPartition

_log = logging.getLogger(__name__)

MAX_BATCH = 1000
"""Most events taken at once: what is in work between two commits stays bounded."""

_IDLE_WAIT_MS = 200
"""How long one wait for a first event lasts; also how soon a stop is noticed while idle."""

_GATHER_MS = 1
"""After a first event, how long more are gathered: what a quiet stream pays in latency."""

_MAX_BATCH_BYTES = 16_000_000

MAX_QUEUE = 1_000
"""Most events of a partition that wait in the client. More of them brought no more throughput."""

MAX_QUEUED_BYTES = 64_000_000
"""Most bytes of events that wait in the client, about: where events are large, fewer of them wait."""

_TEMPORARY = (
    pulsar.ConsumerBusy,
    pulsar.Timeout,
    pulsar.ConnectError,
    pulsar.NotConnected,
    pulsar.ServiceUnitNotReady,
    pulsar.TooManyLookupRequestException,
)


def input_partitions(config: InstanceConfig, parallelism: int, instance_id: int) -> list[InputPartition]:
    """The partitions of every input that this instance owns. Raises InstanceError when there are none."""
    owned = []
    for name, binding in config.inputs.items():
        topic, _ = parse_topic(binding.topic)
        owned += [
            InputPartition(name, str(topic), index, topic.partition(index), binding.stamped)
            for index in owned_partitions(binding.partitions, parallelism, instance_id)
        ]
    if not owned:
        raise InstanceError(
            f"instance {instance_id} of {parallelism} owns no partition", mend="lower the deployment's parallelism"
        )
    return owned


class Source:
    """Receives from all owned partitions, keeping the order within each. Used by the loop's thread only."""

    def __init__(self, subscribe: Callable[[int], Any], partitions: int) -> None:
        """`subscribe` takes all partitions, so many, with a queue of the given length for each."""
        self._subscribe = subscribe
        self._partitions = partitions
        self._queue = MAX_QUEUE
        self._largest = 0
        self._consumer = subscribe(self._queue)

    @classmethod
    def acquire(
        cls,
        client: pulsar.Client,
        subscription: str,
        partitions: Sequence[InputPartition],
        stop: StopSignal,
        waiting: Callable[[str], None],
    ) -> Source:
        """Take every partition, waiting for as long as another instance holds one.

        `waiting` is told why it waits. Raises InstanceError when the subscription is refused for good, and
        `tenacity.RetryError` when `stop` is set meanwhile.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_TEMPORARY),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_when_event_set(stop.event),
            before_sleep=lambda state: waiting(f"waiting for its partitions: {state.outcome.exception()}"),  # type: ignore[union-attr]
        )
        return cls(lambda queue: retrying(_subscribe, client, subscription, partitions, queue), len(partitions))

    def receive(self, longest_ms: int | None = None) -> list[Any]:
        """The next events in the order of each partition; empty when none came in a while, which is at most
        `longest_ms`.

        They are the client's own messages, not the library's wrappers around them, which cost as much again.
        """
        consumer = self._consumer._consumer
        try:
            first = consumer.receive(_IDLE_WAIT_MS if longest_ms is None else max(1, min(longest_ms, _IDLE_WAIT_MS)))
        except pulsar.Timeout:
            return []
        messages = [first, *consumer.batch_receive()]
        self._largest = max(first.length(), messages[-1].length())
        return messages

    @property
    def too_long(self) -> bool:
        """Whether so many events as large as the last ones would take too much memory."""
        return self._queue > 1 and self._queue * self._partitions * self._largest > 2 * MAX_QUEUED_BYTES

    def shorten(self) -> None:
        """Subscribe anew with a shorter queue. All that was processed has to be acknowledged before; the rest comes
        again. Raises as `acquire`."""
        self._queue = max(1, MAX_QUEUED_BYTES // (self._partitions * self._largest))
        _log.info("events of %s bytes: from now on %s of each partition wait here", self._largest, self._queue)
        self._consumer.close()
        self._consumer = self._subscribe(self._queue)

    def acknowledge(self, messages: Sequence[Any]) -> None:
        """Everything up to and including each of these messages, in the message's own partition, is done."""
        for message in messages:
            self._consumer.acknowledge_cumulative(message)

    def close(self) -> None:
        self._consumer.close()


def _subscribe(client: pulsar.Client, subscription: str, partitions: Sequence[InputPartition], queue: int) -> Any:
    _log.info("taking %s", ", ".join(p.full_name for p in partitions))
    try:
        return client.subscribe(
            [p.full_name for p in partitions],
            subscription,
            consumer_type=pulsar.ConsumerType.Exclusive,
            initial_position=pulsar.InitialPosition.Earliest,
            receiver_queue_size=queue,
            batch_index_ack_enabled=True,  # else an acknowledgement within a batch is kept by the client alone
            batch_receive_policy=pulsar.ConsumerBatchReceivePolicy(MAX_BATCH - 1, _MAX_BATCH_BYTES, _GATHER_MS),
        )
    except (pulsar.AuthorizationError, pulsar.AuthenticationError, pulsar.TopicNotFound) as error:
        raise InstanceError(
            f"cannot subscribe to the inputs: {error}",
            mend="`pulsar-pipeline plan` shows what is missing: a topic, or the functions role's permission",
        ) from error
