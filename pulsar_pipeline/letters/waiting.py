"""The letters that wait: those that the dead-letter topic's subscription has not acknowledged.

They are received and, unless settled, left as they are: closing the consumer gives them back. One process at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pulsar

from pulsar_pipeline.cluster.failures import client_failure
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, ClusterNotFound, RolloutError
from pulsar_pipeline.letters.letter import Letter, LetterPosition, letter_of
from pulsar_pipeline.names import DEAD_LETTERS_SUBSCRIPTION, TopicName

_QUEUE = 500
_QUEUE_BYTES = 32_000_000
"""Letters fetched ahead, at most: each may have 5 MB."""

_PATIENCE_MS = 15_000
"""How long a letter that the broker says waits may take to come."""

_REMEMBERED = 20_000
"""Settled letters that are acknowledged again if they come again: a broker forgets acknowledgements inside a batch when
the topic moves."""

_REST_MS = 300
"""The last batch comes as a whole: what of it waits still is there with its first letter."""

_Place = tuple[int, int, int]
"""Ledger, entry, place in the batch."""


class WaitingLetters:
    """Of one deployment, in one cluster. For one thread."""

    def __init__(self, client: pulsar.Client, http: AdminHttp, topic: TopicName, partitions: int) -> None:
        self.topic = topic
        self.partitions = partitions
        self._client, self._http = client, http

    @contextmanager
    def partition(self, partition: int) -> Iterator[PartitionLetters]:
        """The letters of a partition; what is settled within is stored at the end.

        Raises ClusterError, and RolloutError while another process has them.
        """
        entries, size = self._backlog(partition)
        if entries == 0:
            yield PartitionLetters(None, partition, 0, self._http.name)
            return
        name = self.topic.partition(partition)
        consumer = self._subscribe(name, queue_for(entries, size))
        try:
            yield PartitionLetters(consumer, partition, entries, self._http.name)
        except BaseException:
            with suppress(pulsar.PulsarException):  # what went wrong before is what is to be told
                consumer.close()
            raise
        with _telling(self._http.name, name):
            consumer.close()  # behind the acknowledgements, on the same connection

    def _backlog(self, partition: int) -> tuple[int, int]:
        """How many entries wait (a batch is one), and their bytes."""
        path = f"/admin/v2/persistent/{self.topic.path}-partition-{partition}/stats"
        stats = self._http.get(path, params={"getPreciseBacklog": "true"})
        found = (stats.get("subscriptions") or {}).get(DEAD_LETTERS_SUBSCRIPTION)
        if found is None:
            raise ClusterNotFound(
                f"nothing keeps the dead letters of {self.topic.path}",
                where=f"cluster {self._http.name}",
                mend=f"pulsar-pipeline apply {self.topic.tenant}",
            )
        return int(found["msgBacklog"]), int(found.get("backlogSize") or 0)

    def _subscribe(self, name: str, queue: int) -> Any:
        try:
            return self._client.subscribe(
                name,
                DEAD_LETTERS_SUBSCRIPTION,
                consumer_type=pulsar.ConsumerType.Exclusive,
                initial_position=pulsar.InitialPosition.Earliest,
                receiver_queue_size=queue,
                batch_index_ack_enabled=True,
            )
        except pulsar.ConsumerBusy as error:
            raise RolloutError(
                "another process is at work on these dead letters",
                where=f"cluster {self._http.name}, {self.topic.path}",
                mend="wait until it ends",
            ) from error
        except pulsar.PulsarException as error:
            raise _failure(error, self._http.name, self.topic.path) from error


def queue_for(entries: int, size: int) -> int:
    """How many letters to fetch ahead, where `entries` have `size` bytes together."""
    return max(1, min(_QUEUE, _QUEUE_BYTES * entries // max(size, 1)))


class PartitionLetters:
    """The letters of one partition that waited when it was opened, in their order."""

    def __init__(self, consumer: Any, partition: int, entries: int, cluster: str) -> None:
        self._consumer = consumer
        self._partition = partition
        self._entries = entries
        self._cluster = cluster
        self._messages: dict[LetterPosition, Any] = {}
        self._settled: OrderedDict[_Place, None] = OrderedDict()

    def __iter__(self) -> Iterator[Letter]:
        """Each letter once. Raises ClusterError when the broker stops giving them."""
        if self._consumer is None:
            return
        with _telling(self._cluster, "the dead letters"):
            last = _place(self._consumer.get_last_message_id())
        begun, before = 0, (-1, -1, -2)
        while True:
            message = self._receive(begun)
            if message is None:
                return
            place = _place(message.message_id())
            if place <= before:  # after a reconnect all that is not acknowledged comes again
                if place in self._settled:
                    self.settle(message)
                continue
            if place > last:
                return  # set aside since
            begun += place[:2] != before[:2]
            before = place
            letter = letter_of(message, self._partition)
            self._messages[letter.position] = message
            yield letter
            self._messages.pop(letter.position, None)
            if place == last:
                return

    def keep(self, letter: Letter) -> Any:
        """What settles the letter later: the caller's to keep while it waits."""
        return self._messages[letter.position]

    def settle(self, kept: Any) -> None:
        """The letter waits no more."""
        with _telling(self._cluster, "the dead letters"):
            self._consumer.acknowledge(kept)
        self._settled[_place(kept.message_id())] = None
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)

    def _receive(self, begun: int) -> Any:
        """The next message; None when there is no more."""
        rest = begun >= self._entries
        try:
            return self._consumer.receive(_REST_MS if rest else _PATIENCE_MS)
        except pulsar.Timeout:
            if rest:
                return None
            raise ClusterError(
                f"{self._entries - begun} dead letters wait, and none comes",
                where=f"cluster {self._cluster}",
                mend="try again; what was done so far is done",
            ) from None
        except pulsar.PulsarException as error:
            raise _failure(error, self._cluster, "the dead letters") from error


@contextmanager
def _telling(cluster: str, what: str) -> Iterator[None]:
    try:
        yield
    except pulsar.PulsarException as error:
        raise _failure(error, cluster, what) from error


def _failure(error: Exception, cluster: str, what: str) -> ClusterError:
    return client_failure(error, where=f"cluster {cluster}", doing=f"cannot read {what}")


def _place(identity: Any) -> _Place:
    return identity.ledger_id(), identity.entry_id(), identity.batch_index()
