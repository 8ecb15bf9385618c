from __future__ import annotations

from collections import deque
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.letters.waiting import PartitionLetters, queue_for
from tests.unit.letters.test_letter import Stored

Place = tuple[int, int]
"""Entry and batch index."""


class Message(Stored):
    def __init__(self, place: Place) -> None:
        super().__init__(b"", place[0])
        self.batch = place[1]

    def batch_index(self) -> int:
        return self.batch


class Consumer:
    """Gives these messages; `last` is the topic's end when asked for."""

    def __init__(self, places: list[Place], last: Place) -> None:
        self._messages = deque(Message(place) for place in places)
        self._last = Message(last)
        self.acknowledged: list[Any] = []

    def get_last_message_id(self) -> Message:
        return self._last

    def receive(self, _timeout_ms: int) -> Message:
        if not self._messages:
            raise pulsar.Timeout(pulsar.Timeout)
        return self._messages.popleft()

    def acknowledge(self, message: Any) -> None:
        self.acknowledged.append(message)


def read(places: list[Place], last: Place, entries: int) -> list[Place]:
    letters = PartitionLetters(Consumer(places, last), 0, entries, "west")
    return [(letter.position.entry, letter.position.batch) for letter in letters]


def test_what_waits_is_read_to_the_end_as_it_was() -> None:
    assert read([(1, 0), (1, 1), (2, -1)], (2, -1), 2) == [(1, 0), (1, 1), (2, -1)]
    assert read([(1, -1), (2, -1), (3, -1)], (2, -1), 2) == [(1, -1), (2, -1)], "the third came since"


def test_the_last_ones_may_be_settled_already() -> None:
    assert read([(1, 0), (1, 2)], (5, -1), 1) == [(1, 0), (1, 2)]


def test_what_comes_again_after_a_reconnect_is_passed_over() -> None:
    assert read([(1, 0), (1, 1), (1, 0), (1, 1), (2, 0)], (2, 0), 2) == [(1, 0), (1, 1), (2, 0)]


def test_a_broker_that_gives_nothing_more_is_told() -> None:
    with pytest.raises(ClusterError, match="1 dead letters wait, and none comes"):
        read([(1, -1)], (2, -1), 2)


def test_without_letters_there_is_no_consumer() -> None:
    assert list(PartitionLetters(None, 0, 0, "west")) == []


def test_a_letter_is_settled_by_its_message() -> None:
    consumer = Consumer([(1, -1), (2, -1)], (2, -1))
    letters = PartitionLetters(consumer, 0, 2, "west")
    for letter in letters:
        if letter.position.entry == 2:
            letters.settle(letters.keep(letter))
    assert [message.entry for message in consumer.acknowledged] == [2]


def test_what_was_settled_and_comes_again_is_settled_again() -> None:
    consumer = Consumer([(1, 0), (1, 1), (1, 0), (1, 1), (1, 2)], (1, 2))
    letters = PartitionLetters(consumer, 0, 1, "west")
    for letter in letters:
        if letter.position.batch != 1:
            letters.settle(letters.keep(letter))
    assert [message.batch for message in consumer.acknowledged] == [0, 0, 2]


@pytest.mark.parametrize(
    ("entries", "size", "queue"), [(10, 0, 500), (1000, 100_000, 500), (10, 50_000_000, 6), (3, 10**9, 1)]
)
def test_large_letters_are_fetched_a_few_at_a_time(entries: int, size: int, queue: int) -> None:
    assert queue_for(entries, size) == queue
