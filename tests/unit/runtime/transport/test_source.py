from __future__ import annotations

from typing import Any

import pulsar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.transport.source import Source, input_partitions
from tests.unit.runtime.worker_arguments import config


def config_of(**partitions: int) -> InstanceConfig:
    inputs = {name: {"topic": f"persistent://a/b/{name}", "partitions": count} for name, count in partitions.items()}
    return InstanceConfig.model_validate(config(inputs=inputs))


@given(partitions=st.integers(1, 64), parallelism=st.integers(1, 16))
def test_every_partition_of_every_input_has_exactly_one_owner(partitions: int, parallelism: int) -> None:
    shared = config_of(readings=partitions, labels=partitions)
    owned = [
        (partition.name, partition.partition)
        for instance in range(min(parallelism, partitions))
        for partition in input_partitions(shared, parallelism, instance)
    ]
    assert sorted(owned) == sorted((name, index) for name in ("readings", "labels") for index in range(partitions))


def test_inputs_are_co_owned() -> None:
    owned = input_partitions(config_of(readings=4, labels=4), 2, 1)
    assert [(each.name, each.partition) for each in owned] == [
        ("readings", 1),
        ("readings", 3),
        ("labels", 1),
        ("labels", 3),
    ]
    assert owned[0].full_name == "persistent://a/b/readings-partition-1"


def test_an_instance_without_a_partition_is_told() -> None:
    with pytest.raises(InstanceError, match="instance 2 of 3 owns no partition"):
        input_partitions(config_of(readings=2), 3, 2)


class Consumer:
    """Has events of 1 MB without end."""

    @property
    def _consumer(self) -> Consumer:
        return self

    def receive(self, _timeout_ms: int) -> Consumer:
        return self

    def batch_receive(self) -> list[Consumer]:
        return [self] * 9

    def length(self) -> int:
        return 1_000_000

    def close(self) -> None: ...


class Client:
    """Refuses a subscription as often as told."""

    def __init__(self, *refusals: Exception) -> None:
        self._refusals = list(refusals)
        self.subscribed: list[Any] = []
        self.queues: list[int] = []

    def subscribe(self, topics: list[str], subscription: str, **options: Any) -> Any:
        if self._refusals:
            raise self._refusals.pop(0)
        self.subscribed.append((topics, subscription, options["consumer_type"]))
        self.queues.append(options["receiver_queue_size"])
        return Consumer()


def test_it_waits_for_partitions_another_instance_still_holds() -> None:
    client, reasons = Client(pulsar.ConsumerBusy("held"), pulsar.ConsumerBusy("held")), []
    Source.acquire(client, "function-x", input_partitions(config_of(readings=1), 1, 0), StopSignal(), reasons.append)  # type: ignore[arg-type]
    assert client.subscribed == [
        (["persistent://a/b/readings-partition-0"], "function-x", pulsar.ConsumerType.Exclusive)
    ]
    assert len(reasons) == 2
    assert "waiting for its partitions" in reasons[0]


def test_a_refusal_for_good_is_told_with_its_mend() -> None:
    client = Client(pulsar.AuthorizationError("no"))
    with pytest.raises(InstanceError, match=r"cannot subscribe to the inputs.*pulsar-pipeline plan"):
        Source.acquire(client, "s", input_partitions(config_of(readings=1), 1, 0), StopSignal(), print)  # type: ignore[arg-type]


def test_large_events_make_for_a_short_queue() -> None:
    client = Client()
    source = Source.acquire(client, "s", input_partitions(config_of(readings=2), 1, 0), StopSignal(), print)  # type: ignore[arg-type]
    assert not source.too_long
    assert len(source.receive()) == 10
    assert source.too_long
    source.shorten()
    source.receive()
    assert not source.too_long
    assert client.queues == [1_000, 32], "64 MB of them, in both partitions"
