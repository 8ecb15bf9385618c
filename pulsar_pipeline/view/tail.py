"""Reads one partition of an output topic from where its view stands, for ever, and hands on what it finds.

Traps this is built around (each seen on a real broker): a start id must carry the partition's number, or the client
believes for ever that more is to come; after a reconnect messages come again (the view's rule drops them); a position
beyond the end of the log is silently taken for the end, so a topic made anew has to be noticed by asking.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pulsar

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, TokenError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.schemas.wire import version_of
from pulsar_pipeline.statelog.stamp import PROPERTY
from pulsar_pipeline.view.position import NOWHERE, Position
from pulsar_pipeline.view.row import Change, Decode, OutputMessage, change_of
from pulsar_pipeline.view.store import Forget, Heartbeat, Item

BATCH = 1000
"""Messages handed on at once, at most."""

HEARTBEAT_S = 0.5
"""How often a partition that is caught up with is asked whether it still is."""

RECEIVE_QUEUE = 4000
WAIT_MS = 250
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)

Hand = Callable[[list[Item]], None]
"""Takes items in order; blocks while the view is behind."""

_log = logging.getLogger(__name__)


class Stopping(Exception):
    """The view ends while the tail still had something to hand on."""


class PartitionTail:
    """`run` is the body of a thread. It ends when `stop` is set, and survives whatever brokers do."""

    def __init__(
        self,
        client: pulsar.Client,
        admin: AdminHttp,
        topic: TopicName,
        partition: int,
        *,
        start: Position,
        decode: Decode,
        hand: Hand,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._client, self._admin, self._topic, self._partition = client, admin, topic, partition
        self._position = start
        self._decode, self._hand, self._clock, self._stop = decode, hand, clock, stop
        self._name = topic.partition(partition)
        self._failures = 0
        self._next_heartbeat = 0.0
        self._caught_up = False

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_on()
            except Stopping:
                return
            except (pulsar.PulsarException, ClusterError, TokenError) as error:
                self._back_off(error)

    def _read_on(self) -> None:
        """Read from the position on; returns when stopped, raises when the broker must be asked anew."""
        self._forget_a_former_topic()
        self._caught_up, self._next_heartbeat = False, 0.0
        reader = self._client.create_reader(
            self._name, self._start_id(), receiver_queue_size=RECEIVE_QUEUE, reader_name="view"
        )
        try:
            while not self._stop.is_set():
                messages = self._receive(reader)
                if messages:
                    self._hand([self._change(message) for message in messages])
                self._tell_freshness(reader, messages)
                self._failures = 0
        finally:
            reader.close()

    def _receive(self, reader: Any) -> list[Any]:
        """What is there, at most BATCH; waits WAIT_MS for the first."""
        messages: list[Any] = []
        wait_ms = WAIT_MS
        try:
            while len(messages) < BATCH:
                messages.append(reader.read_next(wait_ms))
                wait_ms = 0
        except pulsar.Timeout:
            pass
        return messages

    def _change(self, message: Any) -> Change:
        output = _output_message(message, self._partition)
        change = self._change_or_wait(output)
        self._position = max(self._position, output.position)
        if change.problem:
            _log.warning("%s at %s left out: %s", self._name, ":".join(map(str, output.position)), change.problem)
        return change

    def _change_or_wait(self, output: OutputMessage) -> Change:
        """A broker that cannot be asked for a schema is no fault of the message: ask until it answers."""
        while True:
            try:
                return change_of(output, self._admin.name, self._decode)
            except (ClusterError, pulsar.PulsarException) as error:
                self._back_off(error)
            if self._stop.is_set():
                raise Stopping

    def _tell_freshness(self, reader: Any, messages: list[Any]) -> None:
        """Each HEARTBEAT_S, and as soon as a backlog seems to be read (asking costs a round trip to the broker)."""
        now = self._clock.monotonic()
        backlog_read = not self._caught_up and len(messages) < BATCH
        if now < self._next_heartbeat and not backlog_read:
            return
        self._next_heartbeat = now + HEARTBEAT_S
        asked_at_ms = self._clock.now_ms()
        self._caught_up = not reader.has_message_available()
        if self._caught_up:
            self._hand([Heartbeat(self._partition, asked_at_ms, caught_up=True)])
        elif messages:
            published = min(int(messages[-1].publish_timestamp()), asked_at_ms)
            self._hand([Heartbeat(self._partition, published, caught_up=False)])

    def _start_id(self) -> Any:
        if self._position == NOWHERE:
            return pulsar.MessageId.earliest
        return pulsar.MessageId(self._partition, *self._position)

    def _forget_a_former_topic(self) -> None:
        """A log that ends before our position is another log than the one we read: begin at its start."""
        if self._position == NOWHERE:
            return
        last = self._admin.get(f"/admin/v2/persistent/{self._topic.path}-partition-{self._partition}/lastMessageId")
        end = Position(last["ledgerId"], last["entryId"], last.get("batchIndex", -1))
        if end[:2] < self._position[:2]:
            _log.warning("%s ends at %s, before the view's %s: it was made anew", self._name, end, self._position)
            self._hand([Forget(self._partition)])
            self._position = NOWHERE

    def _back_off(self, error: Exception) -> None:
        delay = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        if self._failures in (0, len(_BACKOFF_S)):
            _log.warning("%s: %s; trying on", self._name, error)
        self._failures += 1
        self._stop.wait(delay)


def _output_message(message: Any, partition: int) -> OutputMessage:
    """As consumed; keys and properties that are not UTF-8 (no producer of ours makes them) count as none."""
    identity = message.message_id()
    try:
        key = message.partition_key()
    except UnicodeDecodeError:
        key = ""
    try:
        stamp = message.properties().get(PROPERTY, "")
    except UnicodeDecodeError:
        stamp = ""
    return OutputMessage(
        partition=partition,
        position=Position(identity.ledger_id(), identity.entry_id(), identity.batch_index()),
        key=key,
        payload=message.data(),
        schema_version=version_of(message),
        event_time_ms=message.event_timestamp(),
        publish_time_ms=message.publish_timestamp(),
        stamp=stamp,
    )
