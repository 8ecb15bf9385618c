"""An owner of a state log's partition that does as the runtime's committer does, step by step."""

from __future__ import annotations

import pulsar

from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.records import Commit, Position
from tests.support.wait import wait_until

KEY = b"k" * 32
"""A tenant's."""

WAIT_S = 60.0


def owner(client: pulsar.Client, topic: str, who: str) -> tuple[PartitionLog, dict[str, bytes]]:
    """A log that is claimed, and the state that was in it."""
    log = PartitionLog(client, topic, log_key(KEY, topic), 1, who)
    log.claim()
    return log, log.take_state()


def commit(log: PartitionLog, number: int) -> Commit:
    """After whose number all else in it is told."""
    positions = {"readings": Position(1, number, -1)}
    return Commit(log.epoch, log.incarnation, log.nonce, number, 0, positions, number, "", None, (), None, 0)


def committed(log: PartitionLog, number: int, changed: dict[str, bytes | None] | dict[str, bytes]) -> None:
    """Append a commit, and read it back."""
    log.append_commit(commit(log, number), changed)
    wait_until(lambda: not log.lost() and log.has_commit(number), WAIT_S, f"commit {number} is read back")


def checkpointed(log: PartitionLog, number: int, state: dict[str, bytes]) -> None:
    """Append the checkpoint of a commit, and read it back."""
    before = log.fold.checkpoint
    log.append_checkpoint(commit(log, number), state)
    while log.go_on():
        log.lost()
    wait_until(lambda: not log.lost() and log.fold.checkpoint != before, WAIT_S, "the checkpoint is read back")
