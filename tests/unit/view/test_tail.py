from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pulsar
import pytest

from pulsar_pipeline.errors import ClusterUnreachable, DataError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.view import tail as tail_module
from pulsar_pipeline.view.position import NOWHERE, Position
from pulsar_pipeline.view.row import Change
from pulsar_pipeline.view.store import Forget, Heartbeat
from pulsar_pipeline.view.tail import PartitionTail
from tests.support.clocks import FakeClock


@dataclass
class FakeMessage:
    entry: int
    key: str = "a"
    published_ms: int = 500

    def message_id(self):
        return pulsar.MessageId(3, 1, self.entry, -1)

    def partition_key(self):
        if self.key == "not text":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return self.key

    def data(self):
        return b"payload"

    @property
    def _message(self):
        return self

    def int_schema_version(self):
        return 0

    def event_timestamp(self):
        return 0

    def publish_timestamp(self):
        return self.published_ms


@dataclass
class FakeReader:
    """Gives its messages; then stops the tail, or raises what it was told to."""

    messages: list
    stop: threading.Event
    ends_with: Exception | None = None
    more: bool = False
    closed: bool = False

    def read_next(self, timeout_ms):
        if self.messages:
            return self.messages.pop(0)
        if timeout_ms and self.ends_with is not None:
            raise self.ends_with
        if timeout_ms:
            self.stop.set()
        raise pulsar.Timeout()

    def has_message_available(self):
        return self.more

    def close(self):
        self.closed = True


@dataclass
class Broker:
    """Stands for the client and the admin API."""

    readers: list
    last: dict = field(default_factory=lambda: {"ledgerId": 9, "entryId": 9, "batchIndex": -1})
    opened_at: list = field(default_factory=list)
    name: str = "west"

    def create_reader(self, topic, start, **options):
        self.opened_at.append((topic, str(start)))
        return self.readers.pop(0)

    def get(self, path):
        self.asked = path
        return self.last


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(tail_module, "_BACKOFF_S", (0.0,))


def run(broker, stop, *, start=NOWHERE, decode=lambda payload, version: {"n": 1}, clock=None):
    handed = []
    PartitionTail(
        broker,
        broker,
        TopicName("acme", "out", "risk"),
        3,
        start=start,
        decode=decode,
        hand=handed.extend,
        clock=clock or FakeClock(),
        stop=stop,
    ).run()
    return handed


def test_messages_become_changes_and_the_end_is_told(stop):
    broker = Broker([FakeReader([FakeMessage(0), FakeMessage(1, "b")], stop)])
    clock = FakeClock()
    first, second, told = run(broker, stop, clock=clock)
    assert (first.position, first.row.entity, first.row.token) == (Position(1, 0, -1), "a", "v1.west.3.1.0.-1")
    assert second.position == Position(1, 1, -1)
    assert told == Heartbeat(3, clock.now_ms(), caught_up=True)
    assert broker.opened_at == [("persistent://acme/out/risk-partition-3", str(pulsar.MessageId.earliest))]


def test_reading_goes_on_after_the_stored_position_with_the_partition_in_the_id(stop):
    broker = Broker([FakeReader([], stop)])
    run(broker, stop, start=Position(4, 5, 6))
    assert broker.opened_at[0][1] == str(pulsar.MessageId(3, 4, 5, 6))
    assert broker.asked == "/admin/v2/persistent/acme/out/risk-partition-3/lastMessageId"


def test_a_log_that_ends_before_the_position_is_another_log(stop):
    broker = Broker([FakeReader([FakeMessage(0)], stop)], last={"ledgerId": 4, "entryId": 4, "batchIndex": -1})
    handed = run(broker, stop, start=Position(4, 5, 6))
    assert handed[0] == Forget(3)
    assert isinstance(handed[1], Change)
    assert broker.opened_at[0][1] == str(pulsar.MessageId.earliest)


def test_a_backlog_tells_how_far_it_is(stop):
    clock = FakeClock()
    reader = FakeReader([FakeMessage(0, published_ms=clock.now_ms() - 7000)], stop, more=True)
    handed = run(Broker([reader]), stop, clock=clock)
    assert handed[1] == Heartbeat(3, clock.now_ms() - 7000, caught_up=False)


def test_a_publisher_ahead_of_our_clock_does_not_make_a_view_fresher_than_now(stop):
    clock = FakeClock()
    reader = FakeReader([FakeMessage(0, published_ms=clock.now_ms() + 7000)], stop, more=True)
    handed = run(Broker([reader]), stop, clock=clock)
    assert handed[1] == Heartbeat(3, clock.now_ms(), caught_up=False)


def test_a_broken_reader_is_opened_anew_where_the_last_one_was(stop):
    broken = FakeReader([FakeMessage(0), FakeMessage(1)], stop, ends_with=pulsar.ConnectError())
    broker = Broker([broken, FakeReader([FakeMessage(2)], stop)])
    handed = run(broker, stop)
    assert broken.closed
    assert [start for _, start in broker.opened_at] == [
        str(pulsar.MessageId.earliest),
        str(pulsar.MessageId(3, 1, 1, -1)),
    ]
    assert [change.position.entry for change in handed if isinstance(change, Change)] == [0, 1, 2]


def test_messages_that_cannot_become_rows_do_not_stop_the_others(stop):
    def decode(payload, version):
        raise DataError("truncated")

    handed = run(Broker([FakeReader([FakeMessage(0), FakeMessage(1, "not text")], stop)]), stop, decode=decode)
    assert [(change.row, change.problem) for change in handed[:2]] == [(None, "truncated"), (None, "it has no key")]


def test_a_schema_that_cannot_be_asked_for_is_waited_for(stop):
    answers = [ClusterUnreachable("no answer"), ClusterUnreachable("no answer"), {"n": 2}]

    def decode(payload, version):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    handed = run(Broker([FakeReader([FakeMessage(0)], stop)]), stop, decode=decode)
    assert handed[0].row is not None
    assert not answers


def test_stopping_ends_the_waiting_too(stop):
    def decode(payload, version):
        stop.set()
        raise ClusterUnreachable("no answer")

    reader = FakeReader([FakeMessage(0)], stop)
    assert run(Broker([reader]), stop, decode=decode) == []
    assert reader.closed
