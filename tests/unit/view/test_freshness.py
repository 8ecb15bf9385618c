from __future__ import annotations

from dataclasses import dataclass

import pytest

from pulsar_pipeline.view.freshness import UNKNOWN, freshness_of

NOW = 1_000_000


@dataclass
class Partition:
    complete_until_ms: int
    caught_up: bool


def lag(*partitions):
    return freshness_of(True, partitions).lag_ms(NOW)


def test_caught_up_within_the_last_second_is_no_lag():
    assert lag(Partition(NOW - 1000, True), Partition(NOW, True)) == 0


def test_caught_up_longer_ago_is_the_time_since():
    assert lag(Partition(NOW - 1001, True), Partition(NOW, True)) == 1001


def test_a_backlog_is_as_old_as_the_last_message_taken():
    assert lag(Partition(NOW - 300, False), Partition(NOW, True)) == 300


def test_the_oldest_partition_counts():
    assert lag(Partition(NOW - 300, False), Partition(NOW - 5000, True)) == 5000
    assert lag(Partition(NOW - 7000, False), Partition(NOW - 5000, True)) == 7000


def test_a_clock_ahead_of_ours_is_no_lag():
    assert lag(Partition(NOW + 50, False)) == 0


def test_unknown_is_not_ready():
    assert freshness_of(True, []) == UNKNOWN
    assert not UNKNOWN.ready
    assert UNKNOWN.lag_ms(NOW) == NOW


@pytest.mark.parametrize("ready", [True, False])
def test_readiness_is_what_the_store_says(ready):
    assert freshness_of(ready, [Partition(NOW, True)]).ready is ready
