from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pulsar_pipeline.runtime.guarantees import exactly_once
from pulsar_pipeline.runtime.guarantees.admission import Admission
from pulsar_pipeline.runtime.guarantees.committer import Snapshot
from pulsar_pipeline.runtime.guarantees.exactly_once import ExactlyOnce
from pulsar_pipeline.runtime.guarantees.order import Sequencer
from pulsar_pipeline.runtime.guarantees.owner import Owner
from pulsar_pipeline.runtime.guarantees.owner_lane import OwnerLane
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.processing.turn import ALL_DUE
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.statelog.records import Identity, Position
from tests.unit.runtime.fakes import FakeMessage, FakeMessageId, FakeOutlet

LABELS = InputPartition("labels", "persistent://a/b/labels", 0, "persistent://a/b/labels-partition-0")
READINGS = InputPartition("readings", "persistent://a/b/readings", 0, "persistent://a/b/readings-partition-0")
NUMBERS = {"labels": 0, "readings": 1}


@dataclass
class FakeCommitter:
    submitted: list[Snapshot] = field(default_factory=list)
    busy: bool = False
    delivering: bool = False

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


Skipped = Sequence[tuple[str, Position]]


class Made:
    """The guarantee of one partition; `process` answers readings with an output, and labels not at all."""

    def __init__(
        self, of: Owner | None = None, skipped: Sequence[tuple[str, Position]] = (), one: bool = False
    ) -> None:
        self.owner, self.outlet, self.committer = of or owner(), FakeOutlet(), FakeCommitter()
        self.lane = OwnerLane(self.owner, self.outlet, "f/0", "the client")  # type: ignore[arg-type]
        by_name = {each.full_name: each for each in ((READINGS,) if one else (LABELS, READINGS))}
        admission = Admission({0: self.lane}, by_name, {} if one else NUMBERS, set(skipped))
        self.guarantee = ExactlyOnce({0: self.lane}, admission, self.committer)  # type: ignore[arg-type]

    def process(self, *messages: FakeMessage) -> list[FakeMessage]:
        processed = []
        for turn in self.guarantee.admit(messages):
            for each in turn.messages:
                if turn.note is not None:
                    turn.note()
                if turn.origin == READINGS and not turn.skip:
                    turn.lane.emit(b"out", "k", None)
                processed.append(each)
            turn.reached(len(turn.messages))
        return processed

    @property
    def stamps(self) -> list[str | None]:
        return [sent.stamp for sent in self.outlet.sent]


def message(origin: InputPartition, entry: int) -> FakeMessage:
    return FakeMessage(topic=origin.full_name, identity=FakeMessageId(1, entry, -1))


def test_outputs_carry_incarnation_seq_and_the_order_of_inputs() -> None:
    made = Made()
    made.process(message(LABELS, 1), message(LABELS, 2), message(READINGS, 1), message(READINGS, 2))
    assert made.stamps == ["1.3:1:a2b1", "1.3:2:b1"]
    assert made.outlet.sent[0].key == "k"


def test_of_one_input_there_is_no_order_to_tell() -> None:
    made = Made(one=True)
    made.process(message(READINGS, 1), message(READINGS, 2))
    assert made.stamps == ["1.3:1", "1.3:2"]


def test_outputs_that_exist_already_are_made_again_but_not_sent_again() -> None:
    made = Made(owner(seq=5, tail_seq=7, recorded=[1, 1]))
    made.process(*(message(READINGS, entry) for entry in range(1, 5)))
    assert made.stamps == ["1.3:8:b1", "1.3:9:b1"]


def test_a_replay_goes_in_the_order_of_old() -> None:
    made = Made(owner(recorded=[1, 0, 1]))
    assert made.process(message(LABELS, 1)) == []
    readings = [message(READINGS, 1), message(READINGS, 2), message(READINGS, 3)]
    due = made.process(*readings, message(LABELS, 2))
    assert [(each.topic, each.identity.entry) for each in due] == [
        (READINGS.full_name, 1),
        (LABELS.full_name, 1),
        (READINGS.full_name, 2),
        (READINGS.full_name, 3),
        (LABELS.full_name, 2),
    ]
    assert made.stamps == ["1.3:1:b1", "1.3:2:a1b1", "1.3:3:b1"]
    assert made.owner.positions == {"readings": Position(1, 3, -1), "labels": Position(1, 2, -1)}


@pytest.mark.parametrize("one", [True, False])
def test_events_seen_before_are_not_processed_again(one: bool) -> None:
    made = Made(one=one)
    first = [message(READINGS, 1), message(READINGS, 2)]
    assert made.process(*first) == first
    (due,) = made.process(*first, message(READINGS, 3), message(READINGS, 2))
    assert due.identity.entry == 3


def test_a_commit_holds_everything_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "COMMIT_EVERY_EVENTS", 3)
    made = Made()
    made.process(message(READINGS, 1))
    made.guarantee.batch_done()
    made.lane.state.put("model", b"v1")
    assert made.committer.submitted == []
    last = [message(READINGS, 2), message(LABELS, 9)]
    made.process(*last)
    made.guarantee.batch_done()
    (snapshot,) = made.committer.submitted
    assert snapshot.number == 8
    assert snapshot.positions == {"readings": Position(1, 2, -1), "labels": Position(1, 9, -1)}
    assert (snapshot.seq, snapshot.runs) == (2, "a1")
    assert snapshot.changed == {"v:model": b"v1"}
    assert snapshot.messages == last, "the last event of each input is what gets acknowledged"
    assert snapshot.release is None


def test_a_commit_tells_whose_events_it_holds() -> None:
    made = Made(one=True)
    batch = [
        FakeMessage(topic=READINGS.full_name, identity=FakeMessageId(1, entry, at), producer=who, published=time)
        for entry, at, who, time in ((5, 0, "a", 10), (5, 1, "a", 10), (6, 0, "b", 11), (7, 0, "a", 12))
    ]
    (turn,) = made.guarantee.admit(batch)
    turn.reached(1)
    made.guarantee.commit()
    turn.reached(4)
    made.guarantee.commit()
    assert [snapshot.identities for snapshot in made.committer.submitted] == [
        (Identity("readings", "a", 10, 1),),
        (Identity("readings", "b", 11, 1), Identity("readings", "a", 12, 1)),
    ]


def test_a_commit_within_a_turn_holds_what_is_done() -> None:
    made = Made()
    (turn,) = made.guarantee.admit([message(READINGS, entry) for entry in range(1, 4)])
    turn.lane.emit(b"out", "k", None)
    turn.reached(1)
    made.guarantee.commit()
    turn.reached(3)
    made.guarantee.commit()
    first, second = made.committer.submitted
    assert (first.positions["readings"], first.seq) == (Position(1, 1, -1), 1)
    assert second.positions["readings"] == Position(1, 3, -1)
    made.guarantee.commit()
    assert len(made.committer.submitted) == 2, "nothing new, nothing to commit"


def test_events_go_on_while_a_commit_is_stored_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "MOST_UNCOMMITTED", 3)
    made = Made()
    made.committer.busy = True
    for entry in range(1, 4):
        made.process(message(READINGS, entry))
        made.guarantee.commit()
        assert len(made.committer.submitted) == (1 if entry == 3 else 0)


def test_an_idle_instance_commits_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "COMMIT_EVERY_S", 0.0)
    made = Made()
    made.guarantee.due_at = 0.0
    made.process(message(READINGS, 1))
    made.guarantee.batch_done()
    made.guarantee.batch_done()
    assert len(made.committer.submitted) == 1, "nothing new, nothing to commit"


def test_what_is_published_waits_for_its_commit_and_is_forgotten_by_a_later_one() -> None:
    made, delivered = Made(), []

    made.lane._courier.send = delivered.extend  # type: ignore[method-assign]
    alert = Outgoing("persistent://a/b/alerts", b"hot")
    made.process(message(READINGS, 1))
    made.lane.publish(alert)
    made.guarantee.commit()
    (snapshot,) = made.committer.submitted
    assert {key for key in snapshot.changed if key.startswith("b:")} == {"b:1", "b:name", "b:next"}
    assert delivered == []
    assert snapshot.release is not None
    snapshot.release()
    assert delivered == [(1, alert)]
    made.lane.outbox.stored(1)
    made.guarantee.commit()
    assert made.committer.submitted[1].changed == {"b:1": None}


def test_an_event_that_hung_the_function_is_passed_over_but_counts_in_the_order() -> None:
    made = Made(skipped=[(READINGS.full_name, Position(1, 2, -1))])
    made.process(*(message(READINGS, entry) for entry in (1, 2, 3)))
    assert made.stamps == ["1.3:1:b1", "1.3:2:b2"]
    assert made.owner.positions["readings"] == Position(1, 3, -1)


def test_the_order_of_many_events_without_an_output_is_settled_by_a_commit() -> None:
    made = Made()
    made.lane._outlet = None
    for entry in range(exactly_once.MAX_RUNS):
        for origin in (LABELS, READINGS):
            (turn,) = made.guarantee.admit([message(origin, entry)])
            assert turn.note is not None
            turn.note()
            turn.reached(1)
            made.guarantee.batch_done()
    assert len(made.owner.runs.text()) <= exactly_once.MAX_RUNS
    assert "" in {snapshot.runs for snapshot in made.committer.submitted}


def test_the_order_is_not_settled_while_outputs_that_exist_are_made_again() -> None:
    made = Made(owner(seq=5, tail_seq=6))
    for entry in range(exactly_once.MAX_RUNS):
        for origin in (LABELS, READINGS):
            (turn,) = made.guarantee.admit([message(origin, entry)])
            assert turn.note is not None
            turn.note()
            turn.reached(1)
            made.guarantee.batch_done()
    assert "" not in {snapshot.runs for snapshot in made.committer.submitted}


def test_timers_wait_until_the_order_of_old_is_made_again() -> None:
    made = Made(owner(recorded=[1, -4]))
    made.owner.state.timers.set("a", 10)
    admission = Admission({0: made.lane}, {READINGS.full_name: READINGS}, NUMBERS, set(), lambda: 20)
    assert admission.until_timer_ms() is None
    assert admission.turns([]) == []
    replayed, recorded, due = admission.turns([message(READINGS, 1)])
    assert (replayed.fires, recorded.fires, due.fires) == (None, 4, ALL_DUE)
    assert admission.until_timer_ms() == 0


def test_a_function_without_timers_is_not_asked_for_any() -> None:
    made = Made()
    made.owner.state.timers.set("a", 10)
    assert made.guarantee.until_timer_ms() is None
    assert made.guarantee.admit([]) == []


def test_a_timer_that_fired_is_committed_without_an_event() -> None:
    made = Made()
    made.lane.fired()
    made.guarantee.commit()
    (snapshot,) = made.committer.submitted
    assert (snapshot.positions, snapshot.messages) == ({}, [])
