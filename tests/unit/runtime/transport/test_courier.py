from __future__ import annotations

from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.runtime.transport import courier as module
from pulsar_pipeline.runtime.transport.courier import Courier
from pulsar_pipeline.runtime.transport.outgoing import Outgoing

ALERTS = "persistent://a/b/alerts"


class Producer:
    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes, Any]] = []

    def send_async(self, payload: bytes, callback: Any, *, sequence_id: int, **_options: Any) -> None:
        self.sent.append((sequence_id, payload, callback))

    def answer(self, result: Any = pulsar.Result.Ok, count: int = 1) -> None:
        for _, _, callback in self.sent[:count]:
            callback(result, "its id")
        del self.sent[:count]


class Client:
    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.producers: dict[str, Producer] = {}

    def get_topic_partitions(self, topic: str) -> list[str]:
        return [f"{topic}-partition-{index}" for index in range(2)]

    def create_producer(self, topic: str, **options: Any) -> Producer:
        assert (options["producer_name"], options["batching_enabled"]) == ("f/0#x", False)
        if self.refusals:
            raise self.refusals.pop(0)
        return self.producers.setdefault(topic, Producer())

    def sent(self) -> list[list[int]]:
        """Numbers, by partition."""
        return [[number for number, _, _ in each.sent] for each in self.producers.values()]

    def numbers(self) -> list[int]:
        return [number for numbers in self.sent() for number in numbers]


def message(key: str | None = None, **options: Any) -> Outgoing:
    return Outgoing(ALERTS, b"hot", options | ({"partition_key": key} if key else {}))


def test_messages_go_in_order_to_the_partition_their_key_or_number_says() -> None:
    client = Client()
    made = Courier(client, "f/0#x")
    made.send([(1, message("k")), (2, message()), (3, message()), (4, message("k"))])
    assert made.go_on()
    first, second = client.sent()
    assert sorted(first + second) == [1, 2, 3, 4]
    assert ({1, 4} <= set(first)) != ({1, 4} <= set(second)), "those of a key together"
    assert 2 in first
    assert 3 in second


def test_what_is_stored_is_told_without_waiting() -> None:
    client = Client()
    made = Courier(client, "f/0#x")
    made.send([(5, message("k")), (6, message("k")), (7, message("k"))])
    made.go_on()
    assert made.stored == 4
    (used,) = [each for each in client.producers.values() if each.sent]
    used.answer(count=2)
    assert made.go_on()
    assert made.stored == 6
    used.answer()
    assert not made.go_on()
    assert made.stored == 7


def test_while_a_former_owner_holds_the_name_it_waits_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TRY_EVERY_S", 0.0)
    client = Client(pulsar.ProducerBusy("held"), pulsar.ProducerBusy("held"))
    made = Courier(client, "f/0#x")
    made.check(message())
    made.send([(1, message("k"))])
    assert made.go_on()
    assert client.producers == {}
    assert made.go_on()
    assert client.numbers() == [1]


def test_no_more_are_on_their_way_than_the_client_takes_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", 2)
    client = Client()
    made = Courier(client, "f/0#x")
    made.send([(number, message("k")) for number in range(1, 6)])
    made.go_on()
    assert client.numbers() == [1, 2]


def test_a_topic_that_may_not_be_written_is_the_events_fault_and_later_the_instances() -> None:
    with pytest.raises(DataError, match="cannot publish"):
        Courier(Client(pulsar.TopicNotFound("no")), "f/0#x").check(message())
    made = Courier(Client(pulsar.TopicNotFound("no")), "f/0#x")
    made.send([(1, message())])
    with pytest.raises(InstanceError, match="cannot be delivered"):
        made.go_on()


def test_a_message_that_was_not_stored_ends_the_instance() -> None:
    client = Client()
    made = Courier(client, "f/0#x")
    made.send([(1, message("k"))])
    made.go_on()
    (used,) = [each for each in client.producers.values() if each.sent]
    used.answer(pulsar.Result.AlreadyClosed)
    with pytest.raises(InstanceError, match="not stored"):
        made.go_on()
