"""Sending events to one topic: in order per key, batched, with a bounded number in flight.

What a run promises: only whole, checked events leave; each goes to the partition of its key; every `CONFIRM_EVERY`
events the brokers' confirmation is awaited. When sending fails the run stops, and its report says from which line to
go on: all before it is confirmed. Events after that line may have arrived too (their confirmation was lost), so going
on from there sends nothing too few and perhaps some twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pulsar

from pulsar_pipeline.cluster.failures import client_failure
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.ingest.events import Event
from pulsar_pipeline.ingest.pace import Pace
from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.ingest.rows import BadRow
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.wire import wire_schema

CONFIRM_EVERY = 10_000
LOOK_EVERY = 500
"""Events between two looks at what the brokers have said, and between two reports of progress."""
REJECTS_KEPT = 20


@dataclass
class Report:
    """How far a run is."""

    sent: int = 0
    """Events that the brokers confirmed."""
    left_out: int = 0
    rejects: list[BadRow] = field(default_factory=list)
    """The first `REJECTS_KEPT` rows left out."""
    resume_line: int = 1
    """All before this line is confirmed or left out."""
    positions: dict[int, str] = field(default_factory=dict)
    """Partition → position (`ledger:entry:batch index`) of the last event confirmed there."""


class TopicSender:
    """One producer per partition of a topic. Use as a context manager."""

    def __init__(self, client: pulsar.Client, topic: str, partitions: int, schema: Schema, *, cluster: str) -> None:
        """Connects; raises ClusterError. `topic` is the full name without partition."""
        self._topic, self._where = topic, f"cluster {cluster}"
        self._partition_of = Partitioner(partitions)
        self._producers: list[pulsar.Producer] = []
        self._outcomes: list[dict[Any, Any]] = [{} for _ in range(partitions)]
        """Per partition: result → message id of the last send with it. A plain dictionary's own method as callback
        costs a third of a Python function's."""
        try:
            for partition in range(partitions):
                self._producers.append(_producer(client, f"{topic}-partition-{partition}", schema))
        except pulsar.PulsarException as error:
            self.close()
            raise client_failure(error, where=self._where, doing=f"cannot send to {topic}") from error

    def __enter__(self) -> TopicSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for producer in self._producers:
            try:
                producer.close()
            except pulsar.PulsarException:
                continue  # what matters was confirmed or reported before
        self._producers.clear()

    def send(self, event: Event) -> None:
        """Queue an event; blocks while too many are in flight. Raises ClusterError."""
        partition = self._partition_of(event.key)
        options: dict[str, Any] = {}
        if event.key is not None:
            options["partition_key"] = event.key
        if event.event_time_ms is not None:
            options["event_timestamp"] = event.event_time_ms
        try:
            self._producers[partition].send_async(event.payload, self._outcomes[partition].__setitem__, **options)
        except pulsar.PulsarException as error:
            raise self._failure(error) from error

    def check(self) -> None:
        """Raises ClusterError when a send has failed so far."""
        for outcome in self._outcomes:
            for result in outcome.copy():
                if result != pulsar.Result.Ok:
                    raise ClusterError(f"cannot send to {self._topic}: {result.name}", where=self._where)

    def confirm(self) -> dict[int, str]:
        """Wait until all that was sent is stored; partition → last position. Raises ClusterError."""
        try:
            for producer in self._producers:
                producer.flush()
        except pulsar.PulsarException as error:
            raise self._failure(error) from error
        self.check()
        return {
            partition: _position(outcome[pulsar.Result.Ok])
            for partition, outcome in enumerate(self._outcomes)
            if pulsar.Result.Ok in outcome
        }

    def _failure(self, error: pulsar.PulsarException) -> ClusterError:
        return client_failure(error, where=self._where, doing=f"cannot send to {self._topic}")


def send_all(
    events: Iterable[Event | BadRow],
    sender: TopicSender,
    report: Report,
    *,
    pace: Pace,
    on_reject: Callable[[BadRow], None] = lambda _: None,
    on_progress: Callable[[int, int], None] = lambda _sent, _left_out: None,
) -> None:
    """Send every event and wait for the last confirmation. `report` is kept up to date, so that it is right after a
    failure too. Raises ClusterError, with the line to go on from."""
    unconfirmed, line = 0, report.resume_line
    try:
        for item in events:
            line = item.line + 1
            if isinstance(item, BadRow):
                _leave_out(item, report, on_reject)
                continue
            pace.wait()
            sender.send(item)
            unconfirmed += 1
            if unconfirmed % LOOK_EVERY == 0:
                sender.check()
                on_progress(report.sent + unconfirmed, report.left_out)
            if unconfirmed == CONFIRM_EVERY:
                _confirm(sender, report, unconfirmed, line)
                unconfirmed = 0
        _confirm(sender, report, unconfirmed, line)
    except ClusterError as error:
        error.mend = f"{report.sent} events are confirmed; go on with --from-line {report.resume_line}"
        raise
    on_progress(report.sent, report.left_out)


def _confirm(sender: TopicSender, report: Report, unconfirmed: int, next_line: int) -> None:
    report.positions = sender.confirm()
    report.sent += unconfirmed
    report.resume_line = next_line


def _leave_out(row: BadRow, report: Report, on_reject: Callable[[BadRow], None]) -> None:
    report.left_out += 1
    if len(report.rejects) < REJECTS_KEPT:
        report.rejects.append(row)
    on_reject(row)


def _producer(client: pulsar.Client, topic: str, schema: Schema) -> pulsar.Producer:
    return client.create_producer(
        topic,
        schema=wire_schema(schema),
        batching_enabled=True,
        batching_max_messages=1000,
        batching_max_publish_delay_ms=5,
        max_pending_messages=2000,
        block_if_queue_full=True,
        initial_sequence_id=1,  # 0 counts as unset, and then a reconnect before the first ack loses messages
    )


def _position(message_id: Any) -> str:
    return f"{message_id.ledger_id()}:{message_id.entry_id()}:{message_id.batch_index()}"
