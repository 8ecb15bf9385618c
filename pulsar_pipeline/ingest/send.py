"""Sending events to one topic: in order per key, batched, with a bounded number in flight.

What a run promises: only whole, checked events leave; each goes to the partition of its key; every `CONFIRM_EVERY`
events, and every second, the brokers' confirmation is awaited. When sending fails the run stops, and its report says
from which line to go on: all before it is confirmed. Events after that line may have arrived too (their confirmation
was lost), so going on from there sends nothing too few and perhaps some twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pulsar

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.failures import client_failure
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.ingest.events import Event
from pulsar_pipeline.ingest.pace import Pace
from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.ingest.rows import BadRow
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.wire import wire_schema

CONFIRM_EVERY = 10_000
CONFIRM_WITHIN_S = 1.0
LOOK_EVERY = 500
"""Events between two looks at what the brokers have said, and between two reports of progress."""
REJECTS_KEPT = 20
AT_ONCE_BELOW = 1000.0
"""Events a second. Slower ones leave one by one; faster ones may wait for the next of their partition."""


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
    """One producer per partition of a topic. Use as a context manager.

    A callback into Python costs as much as all the rest of a send, and only the last event of a partition needs one:
    its position is what the run answers with. So an event that may wait is held until the next one of its partition,
    and `confirm` sends the last one with a callback. That all others arrived shows in the count of the last one's
    sequence id.
    """

    def __init__(self, client: pulsar.Client, topic: str, partitions: int, schema: Schema, *, cluster: str) -> None:
        """Connects; raises ClusterError. `topic` is the full name without partition."""
        self._topic, self._where = topic, f"cluster {cluster}"
        self._partition_of = Partitioner(partitions)
        self._lanes: list[_Lane] = []
        try:
            for partition in range(partitions):
                self._lanes.append(_Lane(_producer(client, f"{topic}-partition-{partition}", schema)))
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
        """What was not confirmed may or may not have been sent."""
        for lane in self._lanes:
            try:
                lane.producer.close()
            except pulsar.PulsarException:
                continue  # what matters was confirmed or reported before
        self._lanes.clear()

    def send(self, event: Event, *, at_once: bool) -> None:
        """Queue an event; blocks while too many are in flight. Raises ClusterError."""
        lane = self._lanes[self._partition_of(event.key)]
        try:
            if at_once:
                lane.send(event, lane.outcome.__setitem__)
                return
            if lane.held is not None:
                lane.send(lane.held, None)
            lane.held = event
        except pulsar.PulsarException as error:
            raise self._failure(error) from error

    def check(self) -> None:
        """Raises ClusterError when a send is known to have failed."""
        for lane in self._lanes:
            for result in lane.outcome.copy():
                if result != pulsar.Result.Ok:
                    raise ClusterError(f"cannot send to {self._topic}: {result.name}", where=self._where)

    def confirm(self) -> dict[int, str]:
        """Wait until all that was sent is stored; partition → last position. Raises ClusterError."""
        try:
            for lane in self._lanes:
                lane.release()
            for lane in self._lanes:
                lane.producer.flush()
        except pulsar.PulsarException as error:
            raise self._failure(error) from error
        self.check()
        if any(lane.lacking() > 0 for lane in self._lanes):
            raise ClusterError(f"cannot send to {self._topic}: some events were not confirmed", where=self._where)
        return {
            partition: _position(lane.outcome[pulsar.Result.Ok])
            for partition, lane in enumerate(self._lanes)
            if pulsar.Result.Ok in lane.outcome
        }

    def _failure(self, error: pulsar.PulsarException) -> ClusterError:
        return client_failure(error, where=self._where, doing=f"cannot send to {self._topic}")


class _Lane:
    """The way to one partition."""

    def __init__(self, producer: pulsar.Producer) -> None:
        self.producer = producer
        self.held: Event | None = None
        self.outcome: dict[Any, Any] = {}
        """Result → message id of the last send with it: the dictionary's own method is the callback, for a Python
        function costs twice as much."""
        self._sent = 0
        self._base = producer.last_sequence_id()

    def send(self, event: Event, callback: Callable[[Any, Any], None] | None) -> None:
        options: dict[str, Any] = {}
        if event.key is not None:
            options["partition_key"] = event.key
        if event.event_time_ms is not None:
            options["event_timestamp"] = event.event_time_ms
        self.producer.send_async(event.payload, callback, **options)
        self._sent += 1

    def release(self) -> None:
        """Send what is held."""
        if self.held is not None:
            self.send(self.held, self.outcome.__setitem__)
            self.held = None

    def lacking(self) -> int:
        """Events sent that the broker has not confirmed."""
        return int(self._base + self._sent - self.producer.last_sequence_id())


def send_all(
    events: Iterable[Event | BadRow],
    sender: TopicSender,
    report: Report,
    *,
    pace: Pace,
    clock: Clock,
    live: bool = False,
    on_reject: Callable[[BadRow], None] = lambda _: None,
    on_progress: Callable[[int, int], None] = lambda _sent, _left_out: None,
) -> None:
    """Send every event and wait for the last confirmation. `report` is kept up to date, so that it is right after a
    failure too. `live` events come from a stream and leave as they come. Raises ClusterError, with the line to go on
    from."""
    at_once = live or pace.slower_than(AT_ONCE_BELOW)
    unconfirmed, line, due = 0, report.resume_line, clock.monotonic() + CONFIRM_WITHIN_S
    try:
        for item in events:
            if isinstance(item, BadRow):
                _leave_out(item, report, on_reject)
                line = item.line + 1
                continue
            pace.wait()
            sender.send(item, at_once=at_once)
            unconfirmed, line = unconfirmed + 1, item.line + 1
            if unconfirmed % LOOK_EVERY == 0:
                sender.check()
                on_progress(report.sent + unconfirmed, report.left_out)
            if unconfirmed == CONFIRM_EVERY or clock.monotonic() > due:
                _confirm(sender, report, unconfirmed, line)
                on_progress(report.sent, report.left_out)
                unconfirmed, due = 0, clock.monotonic() + CONFIRM_WITHIN_S
        _confirm(sender, report, unconfirmed, line)
    except KeyboardInterrupt:
        _confirm(sender, report, unconfirmed, line)  # what is on its way arrives before the command ends
        raise
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
