"""Events on their way back into the input partitions they came from.

An event goes back as it was: bytes, key, event time, properties and schema version. It says of which event it is a
replay, and for whom. Sends do not wait; `flush` says what came of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulsar

from pulsar_pipeline.cluster.failures import client_failure
from pulsar_pipeline.errors import ClusterError, DataError
from pulsar_pipeline.letters.letter import REPLAY_FOR, REPLAY_OF, Letter
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.schemas.wire import registered_schema

_INITIAL_SEQUENCE = 1
"""0 counts as unset where deduplication is on, and a reconnect before the first answer then loses messages."""

_LETTERS_OWN_FAULT = (pulsar.TopicNotFound, pulsar.IncompatibleSchema, pulsar.InvalidTopicName)


class Unreturnable(DataError):
    """This letter cannot go back; others may."""


@dataclass
class _Producer:
    connected: Any
    sent: int = 0


class Returns:
    """For one deployment (`TENANT/NAME`). `exactly_once_outputs` are topics that a replay must not write to → whose
    they are. For one thread."""

    def __init__(
        self, client: pulsar.Client, cluster: str, deployment: str, exactly_once_outputs: Mapping[str, str]
    ) -> None:
        self._client, self._where = client, f"cluster {cluster}"
        self._deployment = deployment
        self._exactly_once_outputs = exactly_once_outputs
        self._producers: dict[tuple[str, int | None], _Producer] = {}
        self._used_last: dict[str, _Producer] = {}

    def check(self, letter: Letter) -> None:
        """Raises Unreturnable for a letter that must not or cannot go back."""
        if not letter.source_topic or not letter.source_position:
            raise Unreturnable("it does not tell where it came from", mend="dismiss it, or send the event anew")
        topic = letter.source_topic.rpartition("-partition-")[0]
        maker = self._exactly_once_outputs.get(topic)
        if maker is not None or letter.is_stamped:
            whose = f"{maker}'s" if maker else "a deployment's"
            raise Unreturnable(
                f"{topic} is {whose} exactly-once output, in which a replay would be nobody's",
                mend="mend what made the event and send that one's own inputs anew, then dismiss this",
            )

    def send(self, letter: Letter) -> None:
        """Queue a letter's event. Raises Unreturnable, ClusterError."""
        self.check(letter)
        producer = self._producer(letter.source_topic, letter.schema_version)
        optional: dict[str, Any] = {}
        if letter.key is not None:
            optional["partition_key"] = letter.key
        if letter.event_time_ms is not None:
            optional["event_timestamp"] = letter.event_time_ms
        with _telling(self._where, letter.source_topic):
            producer.connected.send_async(
                letter.payload,
                None,
                properties=letter.event_properties | {REPLAY_OF: letter.source_position, REPLAY_FOR: self._deployment},
                **optional,
            )
        producer.sent += 1

    def flush(self) -> None:
        """Wait until all that was sent is stored. Raises ClusterError when something is not."""
        for (topic, _), producer in self._producers.items():
            self._flush(topic, producer)

    def close(self) -> None:
        for producer in self._producers.values():
            producer.connected.close()
        self._producers.clear()
        self._used_last.clear()

    def _producer(self, topic: str, version: int | None) -> _Producer:
        found = self._producers.get((topic, version)) or self._open(topic, version)
        used_last = self._used_last.get(topic)
        if used_last is not None and used_last is not found:
            self._flush(topic, used_last)  # two producers keep no order between them
        self._used_last[topic] = found
        return found

    def _open(self, topic: str, version: int | None) -> _Producer:
        options: dict[str, Any] = {}
        if version is not None:
            options["schema"] = self._schema(topic, version)
        try:
            connected = self._client.create_producer(
                topic,
                batching_enabled=True,
                batching_max_messages=1000,
                batching_max_publish_delay_ms=5,
                max_pending_messages=2000,
                block_if_queue_full=True,
                initial_sequence_id=_INITIAL_SEQUENCE,
                **options,
            )
        except _LETTERS_OWN_FAULT as error:
            failure = client_failure(error, where=self._where, doing=f"{topic} does not take it")
            raise Unreturnable(failure.what, mend=failure.mend) from error
        except pulsar.PulsarException as error:
            raise client_failure(error, where=self._where, doing=f"cannot send to {topic}") from error
        producer = self._producers[topic, version] = _Producer(connected)
        return producer

    def _schema(self, topic: str, version: int) -> Any:
        try:
            return registered_schema(self._client, str(parse_topic(topic)[0]), version)
        except DataError as error:
            raise Unreturnable(error.what, mend="send the event anew, and dismiss this") from error

    def _flush(self, topic: str, producer: _Producer) -> None:
        with _telling(self._where, topic):
            producer.connected.flush()
        stored = producer.connected.last_sequence_id() - _INITIAL_SEQUENCE
        if producer.sent and stored != producer.sent:
            raise ClusterError(
                f"{topic} stored {stored} of {producer.sent} events",
                where=self._where,
                mend="replay again: what is stored is not sent twice",
            )


@contextmanager
def _telling(where: str, topic: str) -> Iterator[None]:
    """What the client raises, as errors of ours."""
    try:
        yield
    except pulsar.PulsarException as error:
        raise client_failure(error, where=where, doing=f"cannot send to {topic}") from error
