"""A partition's state log on a broker: where to begin, what comes next, what to append.

`topic` is always the full name of one partition, `key` what its records are sealed with (see keys.py), and an id a
serialized message id. All errors are StateLogErrors that name the topic.

Traps this is built around (each seen on a real broker): a reader leaves its start message out unless told otherwise; an
id of another cluster is silently taken for some place in this one; a flush does not tell of a message that was too
large, nor one for which a sequence id was used twice; `initial_sequence_id` must be 1, for 0 counts as unset and the
client then uses ids twice when it reconnects before the first answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pulsar

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.records import Chunk, Record
from pulsar_pipeline.statelog.sealed import unseal

RECEIVE_QUEUE = 100
"""Records fetched ahead; each may have 4 MB."""

MAX_PENDING = 200
"""Records on their way at once; an append waits for room."""

END_TIMEOUT_MS = 30_000
"""How long the last record of a log may take to come."""

_INITIAL_SEQUENCE = 1


class StateLogReader:
    """Reads a log's records in order. For one thread."""

    def __init__(self, client: pulsar.Client, topic: str, key: bytes, start: bytes | None) -> None:
        """Begin with the record at `start`; None: with the first one there is. Raises StateLogError."""
        self._topic, self._key = topic, key
        begin = pulsar.MessageId.earliest if start is None else pulsar.MessageId.deserialize(start)
        self._reader = _open(client, topic, begin)

    def read(self, timeout_ms: int) -> tuple[Record, bytes] | None:
        """The next record and its id; waits for it, None after `timeout_ms` milliseconds.

        Raises StateLogError where it cannot be read or is not to be believed.
        """
        with _telling(self._topic):
            try:
                message = self._reader.read_next(timeout_ms)
            except pulsar.Timeout:
                return None
        return _unsealed(message, self._key, self._topic), message.message_id().serialize()

    def close(self) -> None:
        """Harmless when the client has been closed before."""
        _close(self._reader)


def find_start(client: pulsar.Client, topic: str, key: bytes) -> bytes | None:
    """Where reading the log may begin: the last record says so. None: at its first record.

    An id that does not lead to a checkpoint is left alone; it is of another cluster. Raises StateLogError.
    """
    last = _record_at(client, topic, key, pulsar.MessageId.latest)
    if last is None or last.checkpoint is None:
        return None
    found = _record_at(client, topic, key, pulsar.MessageId.deserialize(last.checkpoint))
    return last.checkpoint if isinstance(found, Chunk) and found.index == 0 else None


class StateLogWriter:
    """Appends to a log, without waiting and in order. For one thread."""

    def __init__(self, client: pulsar.Client, topic: str, name: str) -> None:
        """`name` of the producer: different for each writer there ever is, or the broker takes it for a former one.
        Raises StateLogError."""
        self._topic = topic
        self._appended = 0
        with _telling(topic):
            self._producer = client.create_producer(
                topic,
                producer_name=name,
                initial_sequence_id=_INITIAL_SEQUENCE,
                send_timeout_millis=0,
                batching_enabled=False,
                max_pending_messages=MAX_PENDING,
                block_if_queue_full=True,
            )

    def append(self, sealed: bytes) -> None:
        """Send a sealed record; waits only while MAX_PENDING others are on their way. `flush` says what came of it."""
        with _telling(self._topic):
            self._producer.send_async(sealed, None)
        self._appended += 1

    def flush(self) -> None:
        """Wait until all that was appended is stored. Raises StateLogError where something is not."""
        with _telling(self._topic):
            self._producer.flush()
        stored = self._producer.last_sequence_id() - _INITIAL_SEQUENCE
        if self._appended and stored != self._appended:
            raise StateLogError(
                f"the broker stored {stored} of {self._appended} records",
                where=self._topic,
                mend="the instance starts again by itself; if this recurs, see the broker's log and its message size",
            )

    def close(self) -> None:
        """Harmless when the client has been closed before."""
        _close(self._producer)


@contextmanager
def _telling(topic: str) -> Iterator[None]:
    """What the client raises, as errors of ours."""
    try:
        yield
    except pulsar.TopicNotFound as error:
        raise StateLogError("the state log does not exist", where=topic, mend="apply the tenant") from error
    except pulsar.PulsarException as error:
        raise StateLogError(f"the broker refused: {error}", where=topic) from error


def _open(client: pulsar.Client, topic: str, start: Any) -> Any:
    with _telling(topic):
        return client.create_reader(
            topic,
            start,
            receiver_queue_size=RECEIVE_QUEUE,
            reader_name="state",
            start_message_id_inclusive=True,
        )


def _record_at(client: pulsar.Client, topic: str, key: bytes, start: Any) -> Record | None:
    """The record there; None where the log is empty or ends before."""
    reader = _open(client, topic, start)
    try:
        with _telling(topic):
            if not reader.has_message_available():
                return None
            return _unsealed(reader.read_next(END_TIMEOUT_MS), key, topic)
    finally:
        _close(reader)


def _unsealed(message: Any, key: bytes, topic: str) -> Record:
    try:
        return unseal(message.data(), key)
    except StateLogError as error:
        identity = message.message_id()
        where = f"{topic} at {identity.ledger_id()}:{identity.entry_id()}:{identity.batch_index()}"
        raise StateLogError(error.what, where=where, mend=error.mend) from error


def _close(connected: Any) -> None:
    try:
        connected.close()
    except pulsar.PulsarException:
        return  # the client was closed, and this with it
