"""Exactly once: state, input positions and output position move forward together, by commits in the state log.

Outputs are published as they are made, without waiting for the commit; each carries a stamp by which views and recovery
know it again. See `docs/exactly-once.md` for the protocol and why it holds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from pulsar_pipeline.runtime.guarantees.admission import Admission
from pulsar_pipeline.runtime.guarantees.committer import Committer, Snapshot
from pulsar_pipeline.runtime.guarantees.owner_lane import OwnerLane
from pulsar_pipeline.runtime.processing.turn import Turn

COMMIT_EVERY_S = 0.2
COMMIT_EVERY_EVENTS = 10_000

MOST_UNCOMMITTED = 100_000
"""Events. A crash has so many processed again, at most, however slow the broker stores commits."""

_LOOK_AGAIN_S = 0.01

_DELIVERY_S = 5.0
"""How long an owner that stops waits for its messages to reach their topics; after that the next one sends them."""

MAX_RUNS = 2_000
"""Characters. Where so many events came without an output, the order of them is settled by a commit instead."""

_SHARE_OF_TIME = 0.1
"""Most of the loop's time that snapshots may take: a state slow to serialise is committed less often."""


class ExactlyOnce:
    """The owners of an instance's partitions, and when they commit."""

    gives_back: ClassVar[bool] = True

    def __init__(
        self,
        lanes: Mapping[int, OwnerLane],
        admission: Admission,
        committer: Committer,
    ) -> None:
        self._lanes = lanes
        self._admission = admission
        self._committer = committer
        self.due_at = time.monotonic() + COMMIT_EVERY_S

    def admit(self, messages: Sequence[Any]) -> list[Turn]:
        return self._admission.turns(messages)

    def until_timer_ms(self) -> int | None:
        return self._admission.until_timer_ms()

    def commit(self) -> None:
        self._committer.raise_error()
        if self._committer.busy and self._uncommitted() < MOST_UNCOMMITTED:
            self.due_at = time.monotonic() + _LOOK_AGAIN_S  # events go on while the broker stores the last commit
        else:
            self._commit()

    def batch_done(self) -> None:
        self._committer.raise_error()
        if unsettled := [lane for lane in self._lanes.values() if _is_long(lane)]:
            self._settle_order(unsettled)
        elif time.monotonic() >= self.due_at or self._uncommitted() >= COMMIT_EVERY_EVENTS:
            self.commit()

    def drain(self) -> None:
        self._commit_all()
        deadline = time.monotonic() + _DELIVERY_S
        while self._committer.delivering and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
        self._commit_all()

    def settle(self, message: Any) -> None:  # noqa: ARG002 - its dead letter is what remembers it
        """Nothing to keep beyond the last commit: the event is skipped at the next start, as its dead letter tells."""
        self._committer.drain()

    def _commit(self) -> None:
        started = time.monotonic()
        snapshots = [self._snapshot(lane) for lane in self._lanes.values() if lane.owner.processed or lane.outbox.waits]
        taken = time.monotonic()
        if snapshots:
            self._committer.submit(snapshots)
        self.due_at = time.monotonic() + max(COMMIT_EVERY_S, (taken - started) / _SHARE_OF_TIME)

    def _commit_all(self) -> None:
        while any(lane.owner.processed or lane.outbox.waits for lane in self._lanes.values()):
            self._commit()
            self._committer.drain()
        self._committer.drain()

    def _uncommitted(self) -> int:
        return sum(lane.owner.processed for lane in self._lanes.values())

    def _settle_order(self, lanes: Sequence[OwnerLane]) -> None:
        """Commit, and only then go on: recovery never goes back behind it, so no output need tell of the order of the
        events up to here. Else a stamp, and a commit, would grow with every event until there is an output."""
        for lane in lanes:
            lane.owner.runs.clear()
        self._commit()
        self._committer.drain()

    def _snapshot(self, lane: OwnerLane) -> Snapshot:
        owner = lane.owner
        owner.number += 1
        owner.processed = 0
        mark, owner.mark = owner.mark, None
        messages = list(owner.last_message.values())
        owner.last_message.clear()
        outgoing = lane.outbox.take()
        changed = owner.state.snapshot()
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
            identities=owner.identities.changes(),
            release=partial(lane.release, outgoing) if outgoing else None,
        )


def _is_long(lane: OwnerLane) -> bool:
    """Too many runs since the last output. Not while outputs that exist are made again: those tell of them already."""
    owner = lane.owner
    return owner.processed > 0 and owner.seq >= owner.tail_seq and len(owner.runs.text()) > MAX_RUNS
