"""Snapshots → commits in the state log, in a thread beside the loop.

A commit counts once it has been read back behind one's own claim; only then are the inputs acknowledged. While there is
nothing to commit the thread goes on with a checkpoint that has been begun, piece by piece, and reads on, so that an
instance that was paused and replaced finds out and ends.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.guarantees.owner import Mark, Owner
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.runtime.transport.event import message_id
from pulsar_pipeline.statelog.records import Commit, Identity, Position

_IDLE_S = 0.2
_DELIVERING_S = 0.005
_READ_BACK_TIMEOUT_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A partition at one moment between two events."""

    owner: Owner
    number: int
    positions: dict[str, Position]
    seq: int
    runs: str
    mark: Mark | None
    changed: dict[str, bytes | None]
    everything: dict[str, bytes] | None
    """The whole state, where a checkpoint is due."""
    messages: list[Any]
    """The last event of each input, to acknowledge."""
    identities: tuple[Identity, ...] = ()
    """Of the events since the last snapshot."""
    release: Callable[[], None] | None = None
    """Sends what waited for this commit to count."""


class Committer:
    """Commits one set of snapshots at a time; `submit` waits for the one before."""

    def __init__(
        self,
        logs: Mapping[int, PartitionLog],
        flush: Callable[[], None],
        acknowledge: Callable[[Sequence[Any]], None],
        fenced: Callable[[], None],
        deliver: Callable[[], bool] = lambda: False,
    ) -> None:
        """`fenced` ends the process: another instance has taken over. `deliver` brings released messages on their way,
        and tells whether some are not stored yet."""
        self._logs = logs
        self._flush = flush
        self._acknowledge = acknowledge
        self._fenced = fenced
        self._deliver = deliver
        self.delivering = False
        """Whether released messages have not all been stored yet."""
        self._work: queue.Queue[Sequence[Snapshot]] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._unfinished: list[PartitionLog] = []
        """Logs of which a checkpoint has been begun."""
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def checkpoint_is_due(self, partition: int) -> bool:
        """Whether the next snapshot of a partition shall hold everything."""
        return self._logs[partition].checkpoint_is_due()

    @property
    def busy(self) -> bool:
        """Whether the last snapshots are not committed yet."""
        return self._work.unfinished_tasks > 0

    def submit(self, snapshots: Sequence[Snapshot]) -> None:
        self._work.put(snapshots)

    def drain(self) -> None:
        self._work.join()
        self.raise_error()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while self._error is None:
            try:
                snapshots = self._work.get(timeout=self._pause_s())
            except queue.Empty:
                self._guarded(self._go_on)
                continue
            try:
                self._guarded(lambda: self._commit(snapshots))  # noqa: B023 - called at once
            finally:
                self._work.task_done()
        while True:  # nothing counts any more, but nobody may wait for ever
            self._work.get()
            self._work.task_done()

    def _pause_s(self) -> float:
        if self._unfinished:
            return 0
        return _DELIVERING_S if self.delivering else _IDLE_S

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - handed to the loop's thread, which raises it
            self._error = error

    def _go_on(self) -> None:
        self._unfinished = [log for log in self._unfinished if log.go_on()]
        self.delivering = self._deliver()
        self._look()

    def _look(self) -> None:
        if any(log.lost() for log in self._logs.values()):
            self._fenced()

    def _commit(self, snapshots: Sequence[Snapshot]) -> None:
        self._flush()
        for snapshot in snapshots:
            log, commit = self._logs[snapshot.owner.partition], _commit_of(snapshot)
            log.append_commit(commit, snapshot.changed)
            if snapshot.everything is not None:
                log.append_checkpoint(commit, snapshot.everything)
                self._unfinished.append(log)
        for snapshot in snapshots:
            self._read_back(self._logs[snapshot.owner.partition], snapshot.number)
        self._acknowledge([message for snapshot in snapshots for message in snapshot.messages])
        for snapshot in snapshots:
            if snapshot.release is not None:
                snapshot.release()
        self.delivering = self._deliver()

    def _read_back(self, log: PartitionLog, number: int) -> None:
        deadline = time.monotonic() + _READ_BACK_TIMEOUT_S
        while not log.has_commit(number):
            if log.lost():
                self._fenced()
            if time.monotonic() > deadline:
                raise InstanceError(f"commit {number} cannot be read back", where=log.topic)


def _commit_of(snapshot: Snapshot) -> Commit:
    owner = snapshot.owner
    if snapshot.mark is not None and snapshot.mark.position is not None:
        owner.outputs_from = snapshot.mark.position
    return Commit(
        epoch=owner.epoch,
        incarnation=owner.incarnation,
        nonce=owner.nonce,
        number=snapshot.number,
        parts=0,
        positions=snapshot.positions,
        seq=snapshot.seq,
        runs=snapshot.runs,
        outputs_from=_serialized(owner),
        entries=(),
        checkpoint=None,
        at_ms=int(time.time() * 1000),
        identities=snapshot.identities,
    )


def _serialized(owner: Owner) -> bytes | None:
    return None if owner.outputs_from is None else bytes(message_id(owner.partition, owner.outputs_from).serialize())
