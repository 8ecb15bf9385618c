"""The lane of an owned partition under exactly-once: outputs get their stamps, other messages wait in the outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pulsar

from pulsar_pipeline.runtime.guarantees.outbox import Outbox
from pulsar_pipeline.runtime.guarantees.owner import Mark, Owner
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.transport.courier import Courier
from pulsar_pipeline.runtime.transport.entries import entries_of
from pulsar_pipeline.runtime.transport.event import position_at, position_of
from pulsar_pipeline.runtime.transport.outgoing import Numbered, Outgoing, check
from pulsar_pipeline.runtime.transport.outlet import Outlet
from pulsar_pipeline.statelog.stamp import stamp_prefix


class OwnerLane:
    """One owner at work. Used by the loop's thread."""

    def __init__(
        self,
        owner: Owner,
        outlet: Outlet | None,
        name: str,
        client: pulsar.Client,
        schema_of: Callable[[str], Any] = lambda _topic: None,
    ) -> None:
        """`outlet` leads to the output's partition; None for a deployment without output. `name` begins the names of
        the producers for other topics, `schema_of(topic)` is what these attach."""
        self.owner = owner
        self.outbox = Outbox(owner.state)
        self.hung_timer: int | None = None
        self._outlet = outlet
        self._prefix = stamp_prefix(owner.epoch, owner.incarnation)
        self._courier = Courier(client, f"{name}#{self.outbox.name}", schema_of)

    @property
    def state(self) -> PartitionState:
        return self.owner.state

    def emit(self, payload: bytes, key: str | None, event_time_ms: int | None) -> None:
        owner = self.owner
        owner.seq = seq = owner.seq + 1
        stamp = f"{self._prefix}{seq}"
        if runs := owner.runs.take():
            stamp = f"{stamp}:{runs}"
        if seq <= owner.tail_seq or self._outlet is None:
            return  # it is in the topic already, from before a crash
        callback = None
        if owner.mark is None:
            owner.mark = mark = Mark()
            callback = partial(_note, mark)
        self._outlet.send(payload, key, event_time_ms, stamp, callback)

    def check(self, message: Outgoing) -> None:
        check(message)
        self._courier.check(message)

    def publish(self, message: Outgoing) -> None:
        self.outbox.add(message)

    def fired(self) -> None:
        self.owner.processed += 1

    def reached(self, turn: Turn, count: int) -> None:
        if count == turn.done:
            return
        owner, name = self.owner, turn.origin.name
        owner.positions[name] = position_of(turn.messages[count - 1])
        owner.last_message[name] = turn.messages[count - 1]
        owner.processed += count - turn.done
        self._identify(turn, count)
        turn.done = count
        if turn.lineages and (lineage := turn.lineages[count - 1]) is not None:
            owner.state.set_lineage(name, lineage)

    def _identify(self, turn: Turn, count: int) -> None:
        """Once for each entry: it has one producer and one publish time."""
        for entry in entries_of(turn.messages, turn.done, count):
            first = turn.messages[entry.start]
            self.owner.identities.take(
                turn.origin.name, first.producer_name(), first.publish_timestamp(), entry.end - entry.start
            )

    def release(self, messages: Sequence[Numbered]) -> None:
        """The commit that these wait for counts. For the committer's thread, as `deliver`."""
        self._courier.send(messages)

    def deliver(self) -> bool:
        """Bring what is released on its way; True while something is not stored yet."""
        pending = self._courier.go_on()
        self.outbox.stored(self._courier.stored)
        return pending


def _note(mark: Mark, result: Any, identity: Any) -> None:
    if result == pulsar.Result.Ok and identity.ledger_id() >= 0:
        mark.position = position_at(identity)
