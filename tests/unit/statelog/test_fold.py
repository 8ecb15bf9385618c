from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.records import Identity, Writer
from pulsar_pipeline.statelog.scan import Scan
from tests.support.statelog import chunk, claim, commit, part

A, B, C = Writer(1, 1, "a"), Writer(1, 2, "b"), Writer(1, 3, "c")
RIVAL = Writer(1, 2, "rival")


def message_id(index):
    return b"message %d" % index


def fed(fold, *records, start=0):
    return [fold.feed(record, message_id(index)) for index, record in enumerate(records, start)]


def after(*records):
    fold = Fold()
    fed(fold, *records)
    return fold


def test_commits_of_the_claim_change_the_state():
    fold = after(claim(A), commit(A, 1, {"x": b"1", "y": b"1"}), commit(A, 2, {"x": b"2", "y": None}))
    assert (fold.claim, fold.state, fold.number) == (A, {"x": b"2"}, 2)
    assert fold.commit == commit(A, 2)
    assert fold.anchored


def test_the_first_claim_of_a_term_wins():
    fold = Fold()
    log = [claim(A), claim(B), claim(RIVAL), commit(RIVAL, 1, {"x": b"rival"}), commit(B, 1, {"x": b"b"}), claim(C)]
    assert fed(fold, *log) == [Fed.CLAIM_WON, Fed.CLAIM_WON, Fed.CLAIM_LOST, Fed.STALE, Fed.COMMIT, Fed.CLAIM_WON]
    assert (fold.claim, fold.state) == (C, {"x": b"b"})


def test_a_newer_epoch_takes_over_whatever_its_incarnation_and_an_older_one_never():
    moved = Writer(2, 1, "moved")
    fold = after(claim(A), claim(B), claim(moved))
    assert fold.claim == moved
    assert fed(fold, claim(Writer(1, 9, "late")), claim(Writer(2, 1, "late"))) == [Fed.CLAIM_LOST] * 2


def test_what_a_former_owner_still_sends_counts_for_nobody():
    fold = after(claim(A), commit(A, 1, {"x": b"1"}), part(A, 2, 0, {"y": b"A"}), claim(B))
    late = [part(A, 2, 0, {"y": b"A"}), commit(A, 2, {"x": b"A"}, parts=1), chunk(A, "k", 0, 1, {"x": b"A"})]
    assert fed(fold, *late) == [Fed.STALE] * 3
    assert fed(fold, commit(B, 2, {"x": b"B"})) == [Fed.COMMIT]
    assert (fold.state, fold.checkpoint) == ({"x": b"B"}, None)


def test_a_commit_in_parts_counts_as_one():
    fold = after(claim(A), part(A, 1, 0, {"x": b"1", "y": b"1"}), part(A, 1, 1, {"y": b"2"}))
    assert (fold.state, fold.number) == ({}, 0)
    assert fed(fold, commit(A, 1, {"z": b"3"}, parts=2)) == [Fed.COMMIT]
    assert fold.state == {"x": b"1", "y": b"2", "z": b"3"}


def test_what_a_client_sends_twice_counts_once():
    log = [claim(A), part(A, 1, 0, {"x": b"1"}), commit(A, 1, parts=1)]
    fold = Fold()
    assert fed(fold, log[0], log[0], log[1], log[1], log[2], log[1], log[2]) == [
        *(Fed.CLAIM_WON, Fed.CLAIM_LOST, Fed.PART, Fed.STALE, Fed.COMMIT, Fed.STALE, Fed.STALE)
    ]
    assert (fold.number, fold.state) == (1, {"x": b"1"})


@pytest.mark.parametrize(
    "record",
    [commit(A, 3), part(A, 3, 0, {}), part(A, 2, 1, {}), commit(A, 2, parts=1)],
    ids=["commit", "commit of a part", "part", "part of a commit"],
)
def test_a_lost_message_is_an_error(record):
    fold = after(claim(A), commit(A, 1))
    with pytest.raises(StateLogError) as missing:
        fold.feed(record, b"")
    assert "missing" in missing.value.what


def checkpointed(fold, *records, start=0):
    """What the fold says of each record, and the checkpoint after it."""
    return [(fold.feed(record, message_id(at)), fold.checkpoint) for at, record in enumerate(records, start)]


def test_a_checkpoint_is_in_use_once_complete():
    fold = after(claim(A), commit(A, 1, {"x": b"1", "y": b"1"}))
    base = fold.commit
    log = [
        chunk(A, "k", 0, 2, {"x": b"1"}, base=base),
        commit(A, 2, {"x": b"2"}),
        chunk(A, "k", 1, 2, {"y": b"1"}),
        commit(A, 3, {"y": None}),
    ]
    assert checkpointed(fold, *log, start=2) == [
        *((Fed.CHUNK, None), (Fed.COMMIT, None), (Fed.CHECKPOINT, message_id(2)), (Fed.COMMIT, message_id(2)))
    ]
    middle = Fold()
    assert fed(middle, *log) == [Fed.CHUNK, Fed.SKIPPED, Fed.CHECKPOINT, Fed.COMMIT]
    assert (
        (middle.state, middle.commit, middle.claim)
        == (fold.state, fold.commit, fold.claim)
        == (
            {"x": b"2"},
            commit(A, 3),
            A,
        )
    )


def test_a_checkpoint_cut_by_a_new_owner_leaves_the_one_before_in_use():
    fold = after(claim(A), chunk(A, "k1", 0, 1, {}), commit(A, 1, {"x": b"1"}))
    log = [chunk(A, "k2", 0, 2, {"x": b"1"}, base=commit(A, 1)), claim(B), chunk(A, "k2", 1, 2, {})]
    assert checkpointed(fold, *log, start=3) == [
        *((Fed.CHUNK, message_id(1)), (Fed.CLAIM_WON, message_id(1)), (Fed.STALE, message_id(1)))
    ]


def test_a_checkpoint_begun_anew_replaces_the_cut_one():
    fold = after(claim(A), commit(A, 1, {"x": b"1"}))
    base = fold.commit
    log = [chunk(A, "k1", 0, 2, {}, base=base), chunk(A, "k2", 0, 2, {"x": b"1"}, base=base)]
    log += [chunk(A, "k1", 1, 2, {}), chunk(A, "k2", 1, 2, {})]
    assert [verdict for verdict, _ in checkpointed(fold, *log)] == [Fed.CHUNK, Fed.CHUNK, Fed.STALE, Fed.CHECKPOINT]
    assert fold.checkpoint == message_id(1)


def test_a_checkpoint_that_does_not_begin_right_behind_its_commit_is_not_used():
    fold = after(claim(A), commit(A, 1), commit(A, 2))
    assert fed(fold, chunk(A, "k", 0, 1, {}, base=commit(A, 1))) == [Fed.STALE]
    fed(fold, part(A, 3, 0, {}))
    assert fed(fold, chunk(A, "k", 0, 1, {}, base=commit(A, 2))) == [Fed.STALE]
    assert fold.checkpoint is None


def test_begun_elsewhere_nothing_counts_until_a_checkpoint_is_complete():
    fold = Fold()
    log = [commit(B, 4, {"x": b"4"}), claim(C), chunk(B, "k", 1, 2, {}), commit(B, 5), commit(C, 5, {"x": b"5"})]
    assert fed(fold, *log) == [Fed.SKIPPED, Fed.CLAIM_WON, Fed.STALE, Fed.STALE, Fed.SKIPPED]
    assert (fold.anchored, fold.state, fold.commit) == (False, {}, None)
    log = [chunk(C, "k", 0, 2, {"x": b"5"}, base=commit(C, 5)), chunk(C, "k", 1, 2, {"y": b"5"}), commit(C, 6)]
    assert fed(fold, *log, start=5) == [Fed.CHUNK, Fed.CHECKPOINT, Fed.COMMIT]
    assert (fold.anchored, fold.state, fold.number) == (True, {"x": b"5", "y": b"5"}, 6)


def test_who_won_before_the_middle_shows_in_what_it_writes():
    fold = Fold()
    assert fed(fold, claim(RIVAL), chunk(B, "k", 0, 2, {"x": b"1"}), chunk(B, "k", 1, 2, {})) == [
        *(Fed.CLAIM_WON, Fed.CHUNK, Fed.CHECKPOINT)
    ]
    assert (fold.claim, fold.state) == (B, {"x": b"1"})


def test_state_that_was_given_away_is_left_alone():
    fold = after(claim(A), commit(A, 1, {"x": b"1"}))
    state = fold.take_state()
    fed(fold, commit(A, 2, {"x": b"2", "y": b"2"}))
    assert (state, fold.state, fold.number) == ({"x": b"1"}, {}, 2)


# A log written by owners in turn, by the writer's duties; former owners' records and repeated sends lie anywhere.
class Log:
    def __init__(self, *, first_format=False):
        self.first_format = first_format
        self.records, self.state, self.number = [], {}, 0
        self.owner, self.former, self.open = None, [], None
        self.starts, self.checkpoint = [0], None

    def append(self, *records):
        self.records += records

    def claim(self):
        if self.owner:
            self.former.append(self.owner)
        self.owner = Writer(1, len(self.former) + 1, f"n{len(self.former)}")
        self.append(claim(self.owner, self.checkpoint and message_id(self.checkpoint)))
        self.open = None

    def lose(self):
        self.append(claim(self.owner._replace(nonce="loser"), self.checkpoint and message_id(self.checkpoint)))

    def commit(self, changes, parts):
        self.number += 1
        self.committer = self.owner
        for index, more in enumerate(parts):
            self.append(part(self.owner, self.number, index, more))
        self.append(commit(self.owner, self.number, changes, parts=len(parts)))
        for each in (*parts, changes):
            for key, value in each.items():
                self.state.pop(key, None) if value is None else self.state.__setitem__(key, value)

    def chunk(self, count):
        if self.open is None:
            self.open = (len(self.records), f"k{len(self.records)}", 0, count, dict(self.state), self.number)
        start, identity, index, count, state, number = self.open
        base = commit(self.committer, number) if number and not index else None
        share = dict(list(state.items())[index::count])
        told = count if self.first_format or index + 1 == count else 0
        self.append(chunk(self.owner, identity, index, told, share, base=base))
        self.open = (start, identity, index + 1, count, state, number)
        if index + 1 == count:
            self.starts.append(start)
            self.checkpoint, self.open = start, None

    def late(self, which, number, changes):
        if self.former:
            former = self.former[which % len(self.former)]
            self.append(commit(former, self.number + number, changes), chunk(former, "late", 0, 1, {"x": b"late"}))


values = st.none() | st.sampled_from([b"1", b"2", b"3"])
changes = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("claim")),
        st.tuples(st.just("lose")),
        st.tuples(st.just("commit"), changes, st.lists(changes, max_size=2)),
        st.tuples(st.just("chunk"), st.integers(1, 3)),
        st.tuples(st.just("late"), st.integers(0, 3), st.integers(-1, 3), changes),
    ),
    max_size=25,
)


def written(steps, *, first_format=False):
    log = Log(first_format=first_format)
    log.claim()
    for name, *arguments in steps:
        getattr(log, name)(*arguments)
    return log


@settings(max_examples=300)
@given(steps, st.booleans())
def test_from_the_beginning_or_any_complete_checkpoint_the_state_is_the_same(steps, first_format):
    log = written(steps, first_format=first_format)
    for start in log.starts:
        fold = Fold()
        fed(fold, *log.records[start:], start=start)
        assert (fold.anchored, fold.state, fold.number, fold.claim) == (True, log.state, log.number, log.owner)
        assert fold.checkpoint == (None if log.checkpoint is None else message_id(log.checkpoint))


def scanned(records, start=0):
    scan = Scan()
    for index, record in enumerate(records, start):
        scan.feed(record, message_id(index))
    return scan.checkpoint


@settings(max_examples=300)
@given(steps, st.booleans())
def test_the_last_checkpoint_is_found_wherever_a_trimmed_log_begins_before_it(steps, first_format):
    log = written(steps, first_format=first_format)
    for start in range(0 if log.checkpoint is None else log.checkpoint + 1):
        assert scanned(log.records[start:], start) == message_id(log.checkpoint)


def test_a_checkpoint_that_an_unseen_claim_made_void_is_passed_over():
    late = [chunk(A, "late", 0, 1, {"x": b"late"}, base=commit(A, 1)), commit(A, 2)]
    right = [commit(B, 7), chunk(B, "k", 0, 0, {}, base=commit(B, 7)), commit(A, 3), chunk(B, "k", 1, 2, {})]
    assert scanned(late) == message_id(0)
    assert scanned([*late, *right[:-1]]) is None
    assert scanned([*late, *right]) == message_id(3)


def test_who_holds_the_claim_is_told_by_it_or_by_a_checkpoint():
    assert after(claim(A)).holder == "test"
    fold = Fold()
    fed(fold, dataclasses.replace(chunk(A, "k", 0, 1, {}, base=commit(A, 1)), writer="somebody"))
    assert fold.holder == "somebody"


def test_producers_are_known_from_commits_and_from_the_base_of_a_checkpoint():
    told = (Identity("events", "p", 5, 1),), (Identity("events", "q", 6, 2),)
    log = [dataclasses.replace(commit(A, number), identities=told[number - 1]) for number in (1, 2)]
    fold = after(claim(A), *log)
    assert list(fold.identities) == [*told[0], *told[1]]
    assert fold.commit.identities == ()
    base = dataclasses.replace(fold.commit, identities=tuple(fold.identities))
    assert list(after(chunk(A, "k", 0, 1, {}, base=base)).identities) == [*told[0], *told[1]]
