from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime import exactly_once
from pulsar_pipeline.runtime.committer import Snapshot
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.exactly_once import ExactlyOnce
from pulsar_pipeline.runtime.order import Sequencer
from pulsar_pipeline.runtime.owner import Owner, PartitionState
from pulsar_pipeline.statelog.records import Position
from tests.unit.runtime.fakes import FakeMessage, FakeMessageId, FakeSink

LABELS = InputPartition("labels", "persistent://a/b/labels", 0, "persistent://a/b/labels-partition-0")
READINGS = InputPartition("readings", "persistent://a/b/readings", 0, "persistent://a/b/readings-partition-0")
NUMBERS = {"labels": 0, "readings": 1}


@dataclass
class FakeCommitter:
    submitted: list[Snapshot] = field(default_factory=list)

    def raise_error(self) -> None: ...

    def drain(self) -> None: ...

    def checkpoint_is_due(self, partition: int) -> bool:
        return False

    def submit(self, snapshots: Sequence[Snapshot]) -> None:
        self.submitted += snapshots


def owner(seq: int = 0, tail_seq: int = 0, recorded: Sequence[int] = ()) -> Owner:
    return Owner(
        partition=0,
        epoch=1,
        incarnation=3,
        nonce="n",
        number=7,
        state=PartitionState({}),
        positions={},
        seq=seq,
        tail_seq=tail_seq,
        sequencer=Sequencer(NUMBERS, {}, recorded),
        outputs_from=None,
    )


def guarantee(of: Owner, sink: FakeSink, committer: FakeCommitter, **options: Any) -> ExactlyOnce:
    return ExactlyOnce(
        {0: of},
        {each.full_name: each for each in (LABELS, READINGS)},
        NUMBERS,
        sink.send,
        lambda partition: f"out-partition-{partition}",
        committer,  # type: ignore[arg-type]
        options.get("skipped", ()),
    )


def message(origin: InputPartition, entry: int) -> FakeMessage:
    return FakeMessage(topic=origin.full_name, identity=FakeMessageId(1, entry, -1))


def answer_readings(of: ExactlyOnce, messages: Sequence[FakeMessage]) -> list[FakeMessage]:
    """Process: a reading makes an output, a label none."""
    due = of.admit(messages)
    for each in due:
        if of.begin(each) and each.topic == READINGS.full_name:
            of.emit(READINGS, b"out", {"partition_key": "k"})
    return due


def test_outputs_carry_incarnation_seq_and_the_order_of_inputs() -> None:
    sink = FakeSink()
    made = guarantee(owner(), sink, FakeCommitter())
    answer_readings(made, [message(LABELS, 1), message(LABELS, 2), message(READINGS, 1), message(READINGS, 2)])
    assert [sent.options["properties"]["pp"] for sent in sink.sent] == ["1.3:1:a2b1", "1.3:2:b1"]
    assert sink.sent[0].topic == "out-partition-0"
    assert sink.sent[0].options["partition_key"] == "k"


def test_outputs_that_exist_already_are_made_again_but_not_sent_again() -> None:
    sink = FakeSink()
    made = guarantee(owner(seq=5, tail_seq=7, recorded=[1, 1]), sink, FakeCommitter())
    answer_readings(made, [message(READINGS, entry) for entry in range(1, 5)])
    assert [sent.options["properties"]["pp"] for sent in sink.sent] == ["1.3:8:b1", "1.3:9:b1"]


def test_events_seen_before_are_not_processed_again() -> None:
    made = guarantee(owner(), FakeSink(), FakeCommitter())
    first = [message(READINGS, 1), message(READINGS, 2)]
    assert answer_readings(made, first) == first
    assert answer_readings(made, [*first, message(READINGS, 3)])[0].identity.entry == 3


def test_a_commit_holds_everything_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "COMMIT_EVERY_EVENTS", 3)
    committer, of = FakeCommitter(), owner()
    made = guarantee(of, FakeSink(), committer)
    made.batch_done(answer_readings(made, [message(READINGS, 1)]))
    made.state(0).put("model", b"v1")
    assert committer.submitted == []
    last = [message(READINGS, 2), message(LABELS, 9)]
    made.batch_done(answer_readings(made, last))
    (snapshot,) = committer.submitted
    assert snapshot.number == 8
    assert snapshot.positions == {"readings": Position(1, 2, -1), "labels": Position(1, 9, -1)}
    assert (snapshot.seq, snapshot.runs) == (2, "a1")
    assert snapshot.changed == {"v:model": b"v1"}
    assert snapshot.messages == last, "the last event of each input is what gets acknowledged"


def test_an_idle_instance_commits_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "COMMIT_EVERY_S", 0.0)
    committer = FakeCommitter()
    made = guarantee(owner(), FakeSink(), committer)
    made.batch_done(answer_readings(made, [message(READINGS, 1)]))
    made.batch_done([])
    assert len(committer.submitted) == 1, "nothing new, nothing to commit"


def test_an_event_that_hung_the_function_is_passed_over_but_counts_in_the_order() -> None:
    sink = FakeSink()
    made = guarantee(owner(), sink, FakeCommitter(), skipped={(READINGS.full_name, Position(1, 1, -1))})
    answer_readings(made, [message(READINGS, 1), message(READINGS, 2)])
    assert [sent.options["properties"]["pp"] for sent in sink.sent] == ["1.3:1:b2"]


def test_an_output_that_is_too_large_has_no_number() -> None:
    of, sink = owner(seq=5), FakeSink()
    made = guarantee(of, sink, FakeCommitter())
    (first,) = made.admit([message(READINGS, 1)])
    made.begin(first)
    with pytest.raises(DataError, match="over the limit"):
        made.emit(READINGS, b"x" * exactly_once.MAX_OUTPUT, {"partition_key": "k"})
    assert of.seq == 5
    assert of.runs.text() == "b1"


def test_the_order_of_many_events_without_an_output_is_settled_by_a_commit() -> None:
    of, sink, committer = owner(), FakeSink(), FakeCommitter()
    made = guarantee(of, sink, committer)
    for entry in range(exactly_once.MAX_RUNS):
        for origin in (LABELS, READINGS):
            due = made.admit([message(origin, entry)])
            made.begin(due[0])
            made.batch_done(due)
    assert len(of.runs.text()) <= exactly_once.MAX_RUNS
    assert "" in {snapshot.runs for snapshot in committer.submitted}


def test_the_order_is_not_settled_while_outputs_that_exist_are_made_again() -> None:
    of, committer = owner(seq=5, tail_seq=6), FakeCommitter()
    made = guarantee(of, FakeSink(), committer)
    for entry in range(exactly_once.MAX_RUNS):
        for origin in (LABELS, READINGS):
            due = made.admit([message(origin, entry)])
            made.begin(due[0])
            made.batch_done(due)
    assert "" not in {snapshot.runs for snapshot in committer.submitted}
