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
from typing import Any, NamedTuple

import pulsar

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.records import Chunk, Claim, Position, Record
from pulsar_pipeline.statelog.scan import Scan
from pulsar_pipeline.statelog.sealed import authenticate, unseal

RECEIVE_QUEUE = 16
"""Records fetched ahead; each may have 4 MB, and has hardly ever over 1 MB."""

MAX_PENDING = 200
"""Records on their way at once; an append waits for room."""

MAX_IN_FLIGHT = 16_000_000
"""Bytes of records on their way at once; an append waits until they are stored."""

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
        sealed = self.read_sealed(timeout_ms)
        return None if sealed is None else (self.unseal(sealed), sealed.identity)

    def read_sealed(self, timeout_ms: int) -> Sealed | None:
        """As `read`, without a look into the record."""
        with _telling(self._topic):
            try:
                message = self._reader.read_next(timeout_ms)
            except pulsar.Timeout:
                return None
        identity = message.message_id()
        return Sealed(message.data(), identity.serialize(), _place(identity))

    def authenticate(self, sealed: Sealed) -> None:
        """Raises StateLogError where it is not to be believed; a look into it is not needed for that."""
        with _at(self._topic, sealed.position):
            authenticate(sealed.data, self._key)

    def unseal(self, sealed: Sealed) -> Record:
        """The record. Raises StateLogError where it cannot be read or is not to be believed."""
        with _at(self._topic, sealed.position):
            return unseal(sealed.data, self._key)

    def close(self) -> None:
        """Harmless when the client has been closed before."""
        _close(self._reader)


class Sealed(NamedTuple):
    """A message of a log."""

    data: bytes
    identity: bytes
    """Its serialized message id."""
    position: Position


class Span(NamedTuple):
    """What there is to read of a log."""

    start: bytes | None
    """Where to begin; None: at the first record."""
    last: Position
    """Of its last record."""


def find_start(client: pulsar.Client, topic: str, key: bytes) -> bytes | None:
    """Where reading the log may begin: the first chunk of a checkpoint that counts. None: at its first record.

    The last record points there. A pointer that does not lead to a checkpoint is of another cluster, or leads to what
    was trimmed away, and a trimmed log whose last record has none was written to by a former owner; then it is searched
    from its first record on. Raises StateLogError.
    """
    span = find_span(client, topic, key)
    return None if span is None else span.start


def find_span(client: pulsar.Client, topic: str, key: bytes) -> Span | None:
    """What there is to read now; None of an empty log. Raises StateLogError."""
    last = _record_at(client, topic, key, pulsar.MessageId.latest)
    if last is None:
        return None
    record, position = last
    begin = pulsar.MessageId.earliest if record.checkpoint is None else pulsar.MessageId.deserialize(record.checkpoint)
    found = _record_at(client, topic, key, begin)
    if found is not None and _may_begin(found[0], pointed_at=record.checkpoint is not None):
        return Span(record.checkpoint, position)
    return Span(_searched(client, topic, key, position), position)


def _may_begin(record: Record, *, pointed_at: bool) -> bool:
    """Where a pointer leads to there is a checkpoint's first chunk; without one, the log's very first record: else it
    has been trimmed, and its last record is a former owner's."""
    if pointed_at:
        return isinstance(record, Chunk) and record.index == 0
    return isinstance(record, Claim) and record.incarnation == 1 and record.checkpoint is None


def read_span(reader: StateLogReader, span: Span) -> Iterator[tuple[Record, bytes]]:
    """The records up to the last one, and their ids. Raises StateLogError."""
    while True:
        sealed = reader.read_sealed(END_TIMEOUT_MS)
        if sealed is None:
            raise StateLogError("the end of the state log does not come", where=str(span.last))
        yield reader.unseal(sealed), sealed.identity
        if sealed.position >= span.last:
            return


def _searched(client: pulsar.Client, topic: str, key: bytes, last: Position) -> bytes | None:
    reader, scan = StateLogReader(client, topic, key, None), Scan()
    try:
        for record, identity in read_span(reader, Span(None, last)):
            scan.feed(record, identity)
    finally:
        reader.close()
    return scan.checkpoint


def trim(client: pulsar.Client, topic: str, subscription: str, behind: bytes) -> None:
    """Let go of all records up to the one with this id: the broker may delete them, a whole ledger at a time.

    The subscription is what keeps the others. Raises StateLogError.
    """
    with _telling(topic), _subscribed(client, topic, subscription) as consumer:
        consumer.acknowledge_cumulative(pulsar.MessageId.deserialize(behind))


def hold(client: pulsar.Client, topic: str, subscription: str) -> None:
    """See to it that the subscription that keeps the log's records is there. Raises StateLogError."""
    with _telling(topic):
        try:
            with _subscribed(client, topic, subscription):
                return
        except pulsar.ConsumerBusy:
            return  # another owner trims the log just now


@contextmanager
def _subscribed(client: pulsar.Client, topic: str, subscription: str) -> Iterator[Any]:
    consumer = client.subscribe(
        topic,
        subscription,
        consumer_type=pulsar.ConsumerType.Exclusive,
        initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=0,  # nothing is received
    )
    try:
        yield consumer
    finally:
        _close(consumer)


class StateLogWriter:
    """Appends to a log, without waiting and in order. For one thread."""

    def __init__(self, client: pulsar.Client, topic: str, name: str) -> None:
        """`name` of the producer: different for each writer there ever is, or the broker takes it for a former one.
        Raises StateLogError."""
        self._topic = topic
        self._appended = 0
        self._in_flight = 0
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
        """Send a sealed record; waits only while MAX_PENDING others, or MAX_IN_FLIGHT bytes, are on their way. `flush`
        says what came of it."""
        if self._in_flight and self._in_flight + len(sealed) > MAX_IN_FLIGHT:
            self.flush()
        with _telling(self._topic):
            self._producer.send_async(sealed, None)
        self._appended += 1
        self._in_flight += len(sealed)

    def flush(self) -> None:
        """Wait until all that was appended is stored. Raises StateLogError where something is not."""
        with _telling(self._topic):
            self._producer.flush()
        self._in_flight = 0
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


@contextmanager
def _at(topic: str, position: Position) -> Iterator[None]:
    try:
        yield
    except StateLogError as error:
        raise StateLogError(error.what, where=f"{topic} at {position}", mend=error.mend) from error


def _open(client: pulsar.Client, topic: str, start: Any, ahead: int = RECEIVE_QUEUE) -> Any:
    with _telling(topic):
        return client.create_reader(
            topic,
            start,
            receiver_queue_size=ahead,
            reader_name="state",
            start_message_id_inclusive=True,
        )


def _record_at(client: pulsar.Client, topic: str, key: bytes, start: Any) -> tuple[Record, Position] | None:
    """The record there; None where the log is empty or ends before."""
    reader = _open(client, topic, start, ahead=1)
    try:
        with _telling(topic):
            if not reader.has_message_available():
                return None
            message = reader.read_next(END_TIMEOUT_MS)
        position = _place(message.message_id())
        with _at(topic, position):
            return unseal(message.data(), key), position
    finally:
        _close(reader)


def _place(identity: Any) -> Position:
    return Position(identity.ledger_id(), identity.entry_id(), identity.batch_index())


def _close(connected: Any) -> None:
    try:
        connected.close()
    except pulsar.PulsarException:
        return  # the client was closed, and this with it
