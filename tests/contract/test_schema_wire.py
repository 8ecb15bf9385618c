"""Producers register their schema with a real broker, and consumers find the one each message was written with."""

from __future__ import annotations

from collections.abc import Iterator

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.wire import NO_VERSION, version_of, wire_schema, writer_lookup
from pulsar_pipeline.spec.model import Platform
from tests.support.avro import record, schema
from tests.support.remove import remove_tenant

pytestmark = pytest.mark.cluster

OLD = schema(record(("id", "string"), ("speed", "int"), doc="größe"))
NEW = schema(record(("id", "string"), ("speed", "int"), ("wear", "double", 0.5)))


@pytest.fixture(scope="module")
def namespace(platform: Platform, unique: str) -> Iterator[str]:
    tenant = f"wire-{unique}"
    with AdminHttp("west", platform.clusters["west"]) as http:
        http.put(f"/admin/v2/tenants/{tenant}", json={"adminRoles": [], "allowedClusters": ["west"]})
        http.put(f"/admin/v2/namespaces/{tenant}/events", json={"replication_clusters": ["west"]})
    yield f"{tenant}/events"
    remove_tenant(platform, tenant)


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[pulsar.Client]:
    opened = open_client(platform.clusters["west"])
    yield opened
    opened.close()


def create(platform: Platform, path: str) -> str:
    with AdminHttp("west", platform.clusters["west"]) as http:
        http.put(f"/admin/v2/persistent/{path}/partitions", json=2)
    return f"persistent://{path}"


def registered(platform: Platform, path: str) -> str:
    with AdminHttp("west", platform.clusters["west"]) as http:
        return str(http.get(f"/admin/v2/schemas/{path}/schema")["data"])


def test_each_message_is_read_with_the_schema_it_was_written_with(platform, client, namespace):
    topic = create(platform, f"{namespace}/versions")
    consumer = client.subscribe(topic, "reader", schema=pulsar.schema.BytesSchema())
    for version in (OLD, NEW):
        producer = client.create_producer(topic, schema=wire_schema(version))
        producer.send(Encoder(version)({"id": "m", "speed": 7}), partition_key="m")
        producer.close()
    messages = [consumer.receive(60_000) for _ in range(2)]
    decode_as_written, decode_as_new = (
        Decoder(reader, writer_lookup(client, messages[0].topic_name())) for reader in (None, NEW)
    )
    assert [version_of(message) for message in messages] == [0, 1]
    written = [decode_as_written(message.data(), version_of(message)) for message in messages]
    assert written == [{"id": "m", "speed": 7}, {"id": "m", "speed": 7, "wear": 0.5}]
    read = [decode_as_new(message.data(), version_of(message)) for message in messages]
    assert read == [{"id": "m", "speed": 7, "wear": 0.5}] * 2
    assert registered(platform, f"{namespace}/versions") == NEW.text


def test_the_registered_text_is_ours(platform, client, namespace):
    topic = create(platform, f"{namespace}/text")
    client.create_producer(topic, schema=wire_schema(OLD)).close()
    assert registered(platform, f"{namespace}/text") == OLD.text


def test_a_message_without_a_schema_is_the_events_fault(platform, client, namespace):
    topic = create(platform, f"{namespace}/none")
    consumer = client.subscribe(topic, "reader", schema=pulsar.schema.BytesSchema())
    client.create_producer(topic).send(b"x")
    message = consumer.receive(60_000)
    assert version_of(message) == NO_VERSION
    with pytest.raises(DataError, match="sent without a schema"):
        writer_lookup(client, topic)(version_of(message))


def test_a_version_that_is_not_there_is_the_events_fault(platform, client, namespace):
    topic = create(platform, f"{namespace}/missing")
    client.create_producer(topic, schema=wire_schema(OLD)).close()
    with pytest.raises(DataError, match="no schema version 17"):
        writer_lookup(client, topic)(17)


def test_a_schema_that_is_not_avro_is_the_events_fault(platform, client, namespace):
    topic = create(platform, f"{namespace}/text-schema")
    client.create_producer(topic, schema=pulsar.schema.StringSchema()).close()
    with pytest.raises(DataError, match="not AVRO"):
        writer_lookup(client, topic)(0)
