"""What an applied tenant gives its clients: replication, schemas held to, roles kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pulsar
import pytest

from pulsar_pipeline.apply.execute import execute
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import TopicName, dead_letter_topic, functions_role
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Tokens
from tests.support.remove import remove_tenant
from tests.support.tenants import tenant, write_schema

pytestmark = pytest.mark.cluster

RECEIVE_MS = 90_000
"""A replicator may take some 20 s to connect at first, on a quiet machine."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schema(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def name(platform: Platform, schema: Path, unique: str) -> Iterator[str]:
    """An applied tenant."""
    name = f"streams-{unique}"
    with ExitStack() as stack:
        clusters = {
            cluster: AdminCluster(stack.enter_context(AdminHttp(cluster, platform.clusters[cluster])))
            for cluster in ("west", "east")
        }
        plan = make_plan(platform, [tenant(schema, name)], clusters)
        assert execute(plan, clusters, lambda step, error: None).error is None
    yield name
    remove_tenant(platform, name)


@pytest.fixture
def connect(platform: Platform, tokens: Tokens, tmp_path: Path) -> Iterator[object]:
    """`connect(cluster, role)`: a client, closed at the end."""
    with ExitStack() as stack:

        def connect(cluster: str, role: str) -> pulsar.Client:
            token = tokens.file_of(role, tmp_path)
            client = open_client(platform.clusters[cluster], token_file=token, operation_timeout_seconds=30)
            stack.callback(client.close)
            return client

        yield connect


def test_a_message_reaches_the_other_cluster(name: str, schema: Path, connect) -> None:
    topic = str(TopicName(name, "sensors", "readings"))
    avro = load_schema(schema)
    consumer = connect("east", functions_role(name)).subscribe(topic, "test")
    producer = connect("west", "app").create_producer(topic, schema=wire_schema(avro))
    payload = Encoder(avro)({"machine": "m1", "value": 1.5})
    producer.send(payload, partition_key="m1")
    message = consumer.receive(RECEIVE_MS)
    assert message.data() == payload
    assert message.partition_key() == "m1"


def test_dead_letters_take_any_bytes_where_schemas_are_enforced(name: str, connect) -> None:
    topic = str(dead_letter_topic(name, "models", "risk"))
    client = connect("west", functions_role(name))
    consumer = client.subscribe(topic, "test", initial_position=pulsar.InitialPosition.Earliest)
    client.create_producer(topic).send(b"\x00not avro", properties={"reason": "undecodable"})
    message = consumer.receive(RECEIVE_MS)
    assert message.data() == b"\x00not avro"


def test_a_producer_without_a_schema_is_refused(name: str, connect) -> None:
    with pytest.raises(pulsar.IncompatibleSchema):
        connect("west", "app").create_producer(str(TopicName(name, "sensors", "readings")))


def test_roles_do_what_they_were_granted_and_no_more(name: str, schema: Path, connect) -> None:
    readings, risk = (str(TopicName(name, *path)) for path in (("sensors", "readings"), ("models", "risk")))
    avro = wire_schema(load_schema(schema))
    for role, topic in (("auditor", readings), ("dashboard", risk), (f"{name}-admin", risk)):
        assert connect("east", role).subscribe(topic, f"{role}-reads").topic() == topic
    with pytest.raises(pulsar.AuthorizationError):
        connect("east", "auditor").create_producer(readings, schema=avro)
    with pytest.raises(pulsar.AuthorizationError):
        connect("east", "dashboard").subscribe(readings, "peeks")
    with pytest.raises(pulsar.AuthorizationError):
        connect("east", "other-functions").subscribe(risk, "peeks")


def test_topics_are_not_made_by_asking_for_them(name: str, connect) -> None:
    with pytest.raises(pulsar.TopicNotFound):
        connect("west", functions_role(name)).create_producer(str(TopicName(name, "sensors", "typo")))
