from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.view.position import Position
from pulsar_pipeline.view.rule import UNTOUCHED, PartitionState, Stamp, judge, supersedes


def test_a_message_at_or_below_the_last_one_is_dropped():
    state = PartitionState(Position(5, 3, 2), 100)
    assert judge(state, Position(5, 3, 2), 200) is None
    assert judge(state, Position(5, 3, 1), 200) is None
    assert judge(state, Position(4, 9, -1), 200) is None


def test_a_later_message_is_taken_and_the_clock_never_runs_back():
    state = judge(UNTOUCHED, Position(5, 0, -1), 100)
    assert state == PartitionState(Position(5, 0, -1), 100)
    assert judge(state, Position(5, 1, -1), 40) == PartitionState(Position(5, 1, -1), 100)


def test_within_a_partition_the_later_message_wins_even_with_an_earlier_publish_time():
    first = judge(UNTOUCHED, Position(1, 0, -1), 100)
    second = judge(first, Position(1, 1, -1), 50)
    assert supersedes(Stamp(second.clock_ms, 0), Stamp(first.clock_ms, 0))


def test_between_partitions_the_later_publish_time_wins():
    assert supersedes(Stamp(200, 0), Stamp(100, 1))
    assert not supersedes(Stamp(100, 1), Stamp(200, 0))
    assert supersedes(Stamp(100, 1), Stamp(100, 0))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=2, max_size=10))
def test_one_message_wins_whatever_the_order_of_comparison(stamps):
    stamps = [Stamp(clock, partition) for partition, clock in stamps]
    winner = stamps[0]
    for stamp in stamps[1:]:
        winner = stamp if supersedes(stamp, winner) else winner
    assert winner == max(stamps)
