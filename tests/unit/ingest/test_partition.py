from __future__ import annotations

import pytest

from pulsar_pipeline.ingest.partition import Partitioner, java_string_hash

# What org.apache.pulsar.client.impl.JavaStringHash of Pulsar 4.0.7 answers.
JAVA = {
    "": 0,
    "a": 97,
    "42": 1662,
    "machine-007": 1928132529,
    "Grüße": 69215351,
    "😀": 1772899,
    "polygenelubricants": 0,
}


@pytest.mark.parametrize(("key", "expected"), JAVA.items())
def test_the_hash_is_javas(key: str, expected: int) -> None:
    assert java_string_hash(key) == expected


def test_a_key_always_goes_to_the_partition_of_its_hash() -> None:
    partition_of = Partitioner(4)
    assert [partition_of("machine-007") for _ in range(3)] == [1928132529 % 4] * 3


def test_events_without_a_key_go_round() -> None:
    partition_of = Partitioner(3)
    assert sorted(partition_of(None) for _ in range(6)) == [0, 0, 1, 1, 2, 2]
