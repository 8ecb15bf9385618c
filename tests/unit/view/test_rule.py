from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.statelog.lineage import Lineage, Verdict
from pulsar_pipeline.statelog.stamp import Marker, Stamp
from pulsar_pipeline.view.position import Position
from pulsar_pipeline.view.rule import UNTOUCHED, PartitionState, Rank, judge, supersedes

STAMPED = PartitionState(Position(5, 3, 2), 100, Lineage(1, 3, 57))


def test_a_message_at_or_below_the_last_one_is_dropped():
    for stamp in (None, Stamp(1, 3, 58), Marker(1, 4, "n")):
        assert judge(STAMPED, Position(5, 3, 2), 200, stamp) is None
        assert judge(STAMPED, Position(5, 3, 1), 200, stamp) is None
        assert judge(STAMPED, Position(4, 9, -1), 200, stamp) is None


def test_a_later_message_is_taken_and_the_clock_never_runs_back():
    verdict, state = judge(UNTOUCHED, Position(5, 0, -1), 100)
    assert (verdict, state) == (Verdict.TAKE, PartitionState(Position(5, 0, -1), 100))
    verdict, state = judge(state, Position(5, 1, -1), 40)
    assert (verdict, state) == (Verdict.TAKE, PartitionState(Position(5, 1, -1), 100))


@pytest.mark.parametrize(
    ("stamp", "verdict", "clock_ms", "lineage"),
    [
        (None, Verdict.TAKE, 200, (1, 3, 57)),
        (Stamp(1, 3, 58), Verdict.TAKE, 200, (1, 3, 58)),
        (Stamp(1, 3, 60), Verdict.GAP, 200, (1, 3, 60)),
        (Stamp(1, 3, 57), Verdict.REPEATED, 100, (1, 3, 57)),
        (Stamp(1, 2, 58), Verdict.OLD, 100, (1, 3, 57)),
        (Marker(1, 4, "n"), Verdict.MARKER, 100, (1, 4, 57)),
    ],
)
def test_a_stamp_decides_what_counts_and_the_position_moves_in_any_case(stamp, verdict, clock_ms, lineage):
    at = Position(6, 0, -1)
    assert judge(STAMPED, at, 200, stamp) == (verdict, PartitionState(at, clock_ms, Lineage(*lineage)))


def test_a_view_may_begin_in_the_middle_of_the_outputs():
    verdict, state = judge(UNTOUCHED, Position(5, 0, -1), 100, Stamp(1, 3, 57))
    assert (verdict, state.lineage) == (Verdict.TAKE, Lineage(1, 3, 57))


def test_within_a_partition_the_later_message_wins_even_with_an_earlier_publish_time():
    _, first = judge(UNTOUCHED, Position(1, 0, -1), 100)
    _, second = judge(first, Position(1, 1, -1), 50)
    assert supersedes(Rank(second.clock_ms, 0), Rank(first.clock_ms, 0))


def test_between_partitions_the_later_publish_time_wins():
    assert supersedes(Rank(200, 0), Rank(100, 1))
    assert not supersedes(Rank(100, 1), Rank(200, 0))
    assert supersedes(Rank(100, 1), Rank(100, 0))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=2, max_size=10))
def test_one_message_wins_whatever_the_order_of_comparison(ranks):
    ranks = [Rank(clock, partition) for partition, clock in ranks]
    winner = ranks[0]
    for rank in ranks[1:]:
        winner = rank if supersedes(rank, winner) else winner
    assert winner == max(ranks)
