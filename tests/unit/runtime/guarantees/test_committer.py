from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from pulsar_pipeline.runtime.guarantees.committer import Committer, Snapshot
from pulsar_pipeline.runtime.guarantees.order import Sequencer
from pulsar_pipeline.runtime.guarantees.owner import Mark, Owner
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.statelog.records import Commit, Position
from tests.support.wait import wait_until


@dataclass
class FakeLog:
    """A partition's log that tells what is asked of it, and shows commits once `shown` is set."""

    told: list[str]
    shown: threading.Event = field(default_factory=threading.Event)
    claimed_by_another: bool = False
    topic: str = "state-partition-0"
    commits: list[Commit] = field(default_factory=list)
    pieces: int = 0
    """Of a checkpoint, still to be written."""

    def append_commit(self, commit: Commit, changed: dict[str, bytes | None]) -> None:
        self.told.append(f"append {commit.number} {changed}")
        self.commits.append(commit)

    def append_checkpoint(self, base: Commit, state: dict[str, bytes]) -> None:
        self.told.append(f"checkpoint {base.number} {state}")

    def go_on(self) -> bool:
        self.pieces -= 1
        if self.pieces < 0:
            return False
        self.told.append("piece")
        return True

    def has_commit(self, number: int) -> bool:
        self.shown.wait(0.01)
        return self.shown.is_set()

    def lost(self) -> bool:
        return self.claimed_by_another

    def checkpoint_is_due(self) -> bool:
        return False


def snapshot(**changes: Any) -> Snapshot:
    owner = Owner(
        partition=0,
        epoch=1,
        incarnation=2,
        nonce="n",
        number=5,
        state=PartitionState({}),
        positions={},
        seq=9,
        tail_seq=9,
        sequencer=Sequencer({"events": 0}, {}, ()),
        outputs_from=None,
    )
    values: dict[str, Any] = {
        "owner": owner,
        "number": 5,
        "positions": {"events": Position(1, 2, 3)},
        "seq": 9,
        "runs": "",
        "mark": None,
        "changed": {"v:k": b"1"},
        "everything": None,
        "messages": ["last"],
    }
    return Snapshot(**(values | changes))


def committer(told: list[str], log: FakeLog, flush: Any = None) -> Committer:
    return Committer(
        {0: log},  # type: ignore[dict-item]
        flush or (lambda: told.append("flush")),
        lambda messages: told.append(f"ack {messages}"),
        lambda: told.append("fenced"),
    )


def test_nothing_is_acknowledged_before_the_commit_was_read_back() -> None:
    told: list[str] = []
    log = FakeLog(told)
    made = committer(told, log)
    made.submit([snapshot()])
    wait_until(lambda: "append 5 {'v:k': b'1'}" in told, 5, "the commit")
    assert told == ["flush", "append 5 {'v:k': b'1'}"]
    log.shown.set()
    made.drain()
    assert told == ["flush", "append 5 {'v:k': b'1'}", "ack ['last']"]
    (commit,) = log.commits
    assert (commit.epoch, commit.incarnation, commit.nonce, commit.seq) == (1, 2, "n", 9)
    assert commit.positions == {"events": (1, 2, 3)}


def test_a_checkpoint_follows_its_commit() -> None:
    told: list[str] = []
    log = FakeLog(told)
    log.shown.set()
    made = committer(told, log)
    made.submit([snapshot(everything={"v:k": b"1"})])
    made.drain()
    assert told[1:3] == ["append 5 {'v:k': b'1'}", "checkpoint 5 {'v:k': b'1'}"]


def test_commits_come_between_the_pieces_of_a_checkpoint() -> None:
    told: list[str] = []
    log = FakeLog(told, pieces=10**9)
    log.shown.set()
    made = committer(told, log)
    made.submit([snapshot(everything={"v:k": b"1"})])
    wait_until(lambda: "piece" in told, 5, "a piece")
    made.submit([snapshot(number=6)])
    made.drain()
    assert told[: told.index("piece")] == [
        "flush",
        "append 5 {'v:k': b'1'}",
        "checkpoint 5 {'v:k': b'1'}",
        "ack ['last']",
    ]
    assert told[told.index("append 6 {'v:k': b'1'}") + 1] == "ack ['last']"
    log.pieces = 1
    wait_until(lambda: log.pieces < 0, 5, "the end of the checkpoint")


def test_the_commit_says_where_its_outputs_begin_once_the_broker_has_said() -> None:
    log = FakeLog([])
    log.shown.set()
    made = committer([], log)
    known, unknown = snapshot(mark=Mark(Position(4, 5, 6))), snapshot(mark=Mark())
    made.submit([known])
    made.submit([unknown])
    made.drain()
    assert known.owner.outputs_from == Position(4, 5, 6)
    assert [commit.outputs_from is not None for commit in log.commits] == [True, False]


def test_another_claim_ends_the_process_and_acknowledges_nothing() -> None:
    told: list[str] = []
    log = FakeLog(told, claimed_by_another=True)
    ended = threading.Event()

    def fenced() -> None:
        ended.set()
        threading.Event().wait()  # the real one ends the process

    made = Committer({0: log}, lambda: None, lambda messages: told.append("ack"), fenced)  # type: ignore[dict-item]
    made.submit([snapshot()])
    assert ended.wait(5)
    assert "ack" not in told


def test_outputs_that_cannot_be_stored_stop_everything() -> None:
    told: list[str] = []

    def flush() -> None:
        raise ConnectionError("the topic is gone")

    made = committer(told, FakeLog(told), flush)
    made.submit([snapshot()])
    with pytest.raises(ConnectionError, match="the topic is gone"):
        made.drain()
    assert told == []
