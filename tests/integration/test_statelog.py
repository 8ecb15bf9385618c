"""The state log on real brokers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.spec.model import Platform
from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.records import MAX_RECORD, Writer
from pulsar_pipeline.statelog.sealed import seal
from pulsar_pipeline.statelog.topics import StateLogReader, StateLogWriter, find_start
from tests.support.remove import remove_tenant
from tests.support.statelog import KEY, chunk, claim, commit

pytestmark = pytest.mark.cluster

READ_MS = 60_000
A = Writer(1, 1, "a")


@pytest.fixture(scope="module")
def namespace(platform: Platform, unique: str) -> Iterator[str]:
    tenant = f"statelog-{unique}"
    with AdminHttp("west", platform.clusters["west"]) as admin:
        admin.put(f"/admin/v2/tenants/{tenant}", json={"adminRoles": [], "allowedClusters": ["west"]})
        admin.put(f"/admin/v2/namespaces/{tenant}/state", json={"replication_clusters": ["west"]})
        admin.post(f"/admin/v2/namespaces/{tenant}/state/deduplication", json=True)
        yield f"{tenant}/state"
    remove_tenant(platform, tenant)


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[pulsar.Client]:
    client = open_client(platform.clusters["west"], operation_timeout_seconds=30)
    yield client
    client.close()


@pytest.fixture
def topic(platform: Platform, namespace: str) -> str:
    """A log of its own; the partition 1 of a partitioned topic."""
    path = f"{namespace}/log-{os.urandom(4).hex()}"
    with AdminHttp("west", platform.clusters["west"]) as admin:
        admin.put(f"/admin/v2/persistent/{path}/partitions", json=2)
    return f"persistent://{path}-partition-1"


@pytest.fixture
def writer(client: pulsar.Client, topic: str) -> Iterator[StateLogWriter]:
    writer = StateLogWriter(client, topic, f"test-{os.urandom(4).hex()}")
    yield writer
    writer.close()


def append(writer, *records):
    for record in records:
        writer.append(seal(record, KEY))
    writer.flush()


def read_all(client, topic, start, count):
    """`count` records from `start` on, and no more."""
    reader = StateLogReader(client, topic, KEY, start)
    read = [reader.read(READ_MS) for _ in range(count)]
    assert reader.read(200) is None
    reader.close()
    return read


def test_an_empty_log_is_read_from_its_start(client, topic):
    assert find_start(client, topic, KEY) is None
    assert read_all(client, topic, None, 0) == []


def test_records_are_read_back_in_order_with_ids_that_start_a_reader(client, topic, writer):
    records = [claim(A), *(commit(A, number, {"x": b"%d" % number}) for number in range(1, 301))]
    append(writer, *records)
    read = read_all(client, topic, None, len(records))
    assert [record for record, _ in read] == records
    middle = read[200][1]
    assert [record for record, _ in read_all(client, topic, middle, 101)] == records[200:]
    assert pulsar.MessageId.deserialize(middle).partition() == 1


def test_a_reader_that_waits_gets_what_is_appended_later(client, topic, writer):
    reader = StateLogReader(client, topic, KEY, None)
    assert reader.read(50) is None
    append(writer, claim(A))
    assert reader.read(READ_MS)[0] == claim(A)
    reader.close()


def test_reading_starts_at_the_last_complete_checkpoint(client, topic, writer):
    append(writer, claim(A), commit(A, 1, {"x": b"1", "y": b"1"}))
    assert find_start(client, topic, KEY) is None
    base = commit(A, 1)
    append(
        writer, chunk(A, "k", 0, 2, {"x": b"1"}, base=base), commit(A, 2, {"x": b"2"}), chunk(A, "k", 1, 2, {"y": b"1"})
    )
    whole = Fold()
    for record, identity in read_all(client, topic, None, 5):
        whole.feed(record, identity)
    append(writer, dataclasses.replace(commit(A, 3, {"y": None}), checkpoint=whole.checkpoint))
    start = find_start(client, topic, KEY)
    assert start == whole.checkpoint is not None
    fold = Fold()
    fed = [fold.feed(record, identity) for record, identity in read_all(client, topic, start, 4)]
    assert fed == [Fed.CHUNK, Fed.SKIPPED, Fed.CHECKPOINT, Fed.COMMIT]
    assert (fold.state, fold.checkpoint) == ({"x": b"2"}, start)


@pytest.mark.parametrize("foreign", [(10**9, 0), (0, 0)], ids=["behind the end", "before the start"])
def test_an_id_of_another_cluster_is_left_alone(client, topic, writer, foreign):
    identity = pulsar.MessageId(1, *foreign, -1).serialize()
    append(writer, claim(A), dataclasses.replace(commit(A, 1), checkpoint=identity))
    assert find_start(client, topic, KEY) is None


def test_a_log_without_its_beginning_is_searched_for_the_checkpoint_that_counts(client, topic, writer):
    late, owner = Writer(1, 1, "late"), Writer(1, 2, "owner")
    append(
        writer,
        chunk(late, "late", 0, 1, {"x": b"late"}, base=commit(late, 6)),
        commit(owner, 7),
        chunk(owner, "k", 0, 1, {"x": b"7"}, base=commit(owner, 7)),
        commit(late, 7),  # the last word is a former owner's, who knew of no checkpoint
    )
    start = find_start(client, topic, KEY)
    assert [record.by for record, _ in read_all(client, topic, start, 2)] == [owner, late]


def test_a_record_of_the_largest_size_is_stored(client, topic, writer):
    room = MAX_RECORD - 1000
    large = commit(A, 1, {"model": os.urandom(room)})
    append(writer, claim(A), large)
    assert read_all(client, topic, None, 2)[1][0] == large


def test_a_message_too_large_for_the_broker_is_told_by_the_flush(writer, topic):
    writer.append(seal(claim(A), KEY))
    with pytest.raises(StateLogError) as told:
        writer.append(bytes(6_000_000))
        writer.flush()
    assert topic in str(told.value)


def test_a_forged_record_is_told_with_its_place(client, topic, writer):
    writer.append(seal(claim(A), b"another key"))
    writer.flush()
    with pytest.raises(StateLogError) as told:
        read_all(client, topic, None, 1)
    assert told.value.where.startswith(f"{topic} at ")
    with pytest.raises(StateLogError):
        find_start(client, topic, KEY)


def test_an_unload_of_the_topic_loses_and_doubles_nothing(client, platform, topic, writer):
    append(writer, claim(A), chunk(A, "k", 0, 1, {}))
    reader = StateLogReader(client, topic, KEY, None)
    checkpoint = [reader.read(READ_MS) for _ in range(2)][1][1]
    append(writer, claim(A, checkpoint))
    assert reader.read(READ_MS)[0] == claim(A, checkpoint)
    with AdminHttp("west", platform.clusters["west"]) as admin:
        admin.put(f"/admin/v2/{topic.replace('://', '/')}/unload")
    assert find_start(client, topic, KEY) == checkpoint  # the log's newest ledger is empty now
    commits = [commit(A, number) for number in range(1, 51)]
    append(writer, *commits)
    assert [reader.read(READ_MS)[0] for _ in commits] == commits
    assert reader.read(200) is None
    reader.close()


def test_a_log_that_does_not_exist_is_told(client, namespace, platform):
    with AdminHttp("west", platform.clusters["west"]) as admin:
        admin.post(f"/admin/v2/namespaces/{namespace}/autoTopicCreation", json={"allowAutoTopicCreation": False})
    missing = f"persistent://{namespace}/none-partition-0"
    for connect in (
        lambda: StateLogWriter(client, missing, "test"),
        lambda: StateLogReader(client, missing, KEY, None),
        lambda: find_start(client, missing, KEY),
    ):
        with pytest.raises(StateLogError) as told:
            connect()
        assert told.value.where == missing
