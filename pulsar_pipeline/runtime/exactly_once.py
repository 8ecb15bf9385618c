"""Exactly once: state, input positions and output position move forward together, by commits in the state log.

Outputs are published as they are made, without waiting for the commit; each carries a stamp by which views and recovery
know it again. See `docs/exactly-once.md` for the protocol and why it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.committer import Committer, Snapshot
from pulsar_pipeline.runtime.event import InputPartition, position_at, position_of
from pulsar_pipeline.runtime.owner import Mark, Owner, PartitionState
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.schemas.wire import MAX_PAYLOAD
from pulsar_pipeline.statelog.records import Position
from pulsar_pipeline.statelog.stamp import PROPERTY, stamp_text

COMMIT_EVERY_S = 0.2
COMMIT_EVERY_EVENTS = 10_000

MAX_OUTPUT = MAX_PAYLOAD - 8_000
"""Bytes of an output and its key; the stamp has to fit beside them."""

MAX_RUNS = 2_000
"""Characters. Where so many events came without an output, the order of them is settled by a commit instead."""

_SHARE_OF_TIME = 0.1
"""Most of the loop's time that snapshots may take: a state slow to serialise is committed less often."""


class ExactlyOnce:
    """The owners of an instance's partitions, and when they commit."""

    def __init__(
        self,
        owners: Mapping[int, Owner],
        partitions: Mapping[str, InputPartition],
        numbers: Mapping[str, int],
        send: Callable[..., None],
        output_partition: Callable[[int], str],
        committer: Committer,
        skipped: Collection[tuple[str, Position]],
    ) -> None:
        """`skipped` are events, by input partition and position, that hung the function and are dead letters."""
        self._owners = owners
        self._partitions = partitions
        self._numbers = numbers if len(numbers) > 1 else {}
        self._send = send
        self._output_names = {partition: output_partition(partition) for partition in owners}
        self._committer = committer
        self._stamped = StampedInputs(partitions, lambda each: owners[each.partition].state.lineage(each.name))
        self._skipped = skipped
        self._next_commit = time.monotonic() + COMMIT_EVERY_S
        self._uncommitted = 0
        self._unsent: pulsar.PulsarException | None = None

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        due = []
        for message, lineage in self._stamped.those_that_count(messages):
            origin = self._partitions[message.topic_name()]
            owner = self._owners[origin.partition]
            offered = owner.sequencer.offer(origin.name, position_of(message), (message, lineage))
            for name, position, (each, reached) in offered:
                owner.positions[name] = position
                owner.last_message[name] = each
                owner.processed += 1
                if reached is not None:
                    owner.state.set_lineage(name, reached)
                due.append(each)
        return due

    def begin(self, message: Any) -> bool:
        origin = self._partitions[message.topic_name()]
        if self._numbers:
            self._owners[origin.partition].runs.add(self._numbers[origin.name])
        return not self._skipped or (origin.full_name, position_of(message)) not in self._skipped

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        size = len(payload) + len(options.get("partition_key", ""))
        if size > MAX_OUTPUT:  # before it has a number: each number has its output, or views miss one
            raise DataError(f"an output of {size:,} bytes with its key is over the limit of {MAX_OUTPUT:,}")
        owner = self._owners[origin.partition]
        owner.seq += 1
        runs = owner.runs.text()
        owner.runs.clear()
        if owner.seq <= owner.tail_seq:
            return  # it is in the topic already, from before a crash
        callback = None
        if owner.mark is None:
            owner.mark = mark = Mark()
            callback = _noting(mark)
        stamp = stamp_text(owner.epoch, owner.incarnation, owner.seq, runs)
        try:
            self._send(self._output_names[owner.partition], payload, callback, properties={PROPERTY: stamp}, **options)
        except pulsar.PulsarException as error:
            self._unsent = error  # not the event's fault; nothing may be committed any more
            raise

    def state(self, partition: int) -> PartitionState:
        return self._owners[partition].state

    def batch_done(self, processed: Sequence[Any]) -> None:
        self._raise_errors()
        self._uncommitted += len(processed)
        if unsettled := [owner for owner in self._owners.values() if _is_long(owner)]:
            self._settle_order(unsettled)
        elif self._uncommitted and (self._uncommitted >= COMMIT_EVERY_EVENTS or time.monotonic() >= self._next_commit):
            self._commit()

    def drain(self) -> None:
        self._raise_errors()
        if self._uncommitted:
            self._commit()
        self._committer.drain()

    def settle(self, message: Any) -> None:  # noqa: ARG002 - its dead letter is what remembers it
        """Nothing to keep beyond the last commit: the event is skipped at the next start, as its dead letter tells."""
        self._committer.drain()

    def _raise_errors(self) -> None:
        self._committer.raise_error()
        if self._unsent is not None:
            raise self._unsent

    def _settle_order(self, owners: Sequence[Owner]) -> None:
        """Commit, and only then go on: recovery never goes back behind it, so no output need tell of the order of the
        events up to here. Else a stamp, and a commit, would grow with every event until there is an output."""
        for owner in owners:
            owner.runs.clear()
        self.drain()

    def _commit(self) -> None:
        started = time.monotonic()
        snapshots = [self._snapshot(owner) for owner in self._owners.values() if owner.processed]
        taken = time.monotonic()
        self._committer.submit(snapshots)
        self._uncommitted = 0
        self._next_commit = time.monotonic() + max(COMMIT_EVERY_S, (taken - started) / _SHARE_OF_TIME)

    def _snapshot(self, owner: Owner) -> Snapshot:
        owner.number += 1
        owner.processed = 0
        mark, owner.mark = owner.mark, None
        messages = list(owner.last_message.values())
        changed = owner.state.snapshot()
        owner.last_message.clear()
        return Snapshot(
            owner=owner,
            number=owner.number,
            positions=dict(owner.positions),
            seq=owner.seq,
            runs=owner.runs.text(),
            mark=mark,
            changed=changed,
            everything=owner.state.everything() if self._committer.checkpoint_is_due(owner.partition) else None,
            messages=messages,
        )


def _is_long(owner: Owner) -> bool:
    """Too many runs since the last output. Not while outputs that exist are made again: those tell of them already."""
    return owner.processed > 0 and owner.seq >= owner.tail_seq and len(owner.runs.text()) > MAX_RUNS


def _noting(mark: Mark) -> Callable[[Any, Any], None]:
    def note(result: Any, identity: Any) -> None:
        if result == pulsar.Result.Ok and identity.ledger_id() >= 0:
            mark.position = position_at(identity)

    return note
