"""Where an exactly-once deployment's state goes: made by apply in both clusters, for the functions alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pulsar
import pytest

from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state import NamespaceName, Retention
from pulsar_pipeline.names import STATE_NAMESPACE, STATE_SUBSCRIPTION, TopicName, functions_role, state_topic
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.clusters import Tokens
from tests.support.deployed import apply_tenant
from tests.support.remove import remove_tenant
from tests.support.tenants import tenant, write_schema

pytestmark = pytest.mark.cluster

RECEIVE_MS = 90_000
"""A replicator may take some 20 s to connect at first, on a quiet machine."""

Connect = Callable[[str, str], pulsar.Client]


@pytest.fixture(scope="module")
def spec(platform: Platform, tmp_path_factory: pytest.TempPathFactory, unique: str) -> Iterator[Tenant]:
    """An applied tenant with one exactly-once deployment, `risk`, and `dashboard` among its API's roles."""
    spec = tenant(write_schema(tmp_path_factory.mktemp("schemas")), f"state-{unique}")
    apply_tenant(platform, spec)
    yield spec
    remove_tenant(platform, spec.tenant)


@pytest.fixture(scope="module")
def clusters(platform: Platform) -> Iterator[dict[str, AdminCluster]]:
    with ExitStack() as stack:
        yield {
            name: AdminCluster(stack.enter_context(AdminHttp(name, platform.clusters[name])))
            for name in ("west", "east")
        }


@pytest.fixture
def connect(platform: Platform, tokens: Tokens, tmp_path: Path) -> Iterator[Connect]:
    """`connect(cluster, role)`: a client, closed at the end."""
    with ExitStack() as stack:

        def connect(cluster: str, role: str) -> pulsar.Client:
            token = tokens.file_of(role, tmp_path)
            client = open_client(platform.clusters[cluster], token_file=token, operation_timeout_seconds=30)
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def log(spec: Tenant) -> str:
    """A partition of the state log."""
    return state_topic(spec.tenant, "risk").partition(2)


def test_it_is_in_both_clusters_and_needs_no_second_plan(
    platform: Platform, spec: Tenant, clusters: dict[str, AdminCluster]
) -> None:
    for cluster in clusters.values():
        policies = cluster.policies(NamespaceName(spec.tenant, STATE_NAMESPACE))
        assert policies is not None
        assert policies.replication == {"west", "east"}
        assert policies.retention == Retention(0, 0)
        assert (policies.ttl, policies.deduplication) == (0, True)
        assert (policies.auto_topic_creation, policies.schema_enforced) == (False, False)
        assert policies.permissions == {functions_role(spec.tenant): {"produce", "consume"}}
        topic = state_topic(spec.tenant, "risk")
        assert (cluster.partitions(topic), cluster.schemas(topic)) == (4, ())
        assert cluster.subscriptions(topic) == {STATE_SUBSCRIPTION}
    assert make_plan(platform, [spec], clusters).steps == ()


def test_the_outputs_namespace_is_deduplicated(spec: Tenant, clusters: dict[str, AdminCluster]) -> None:
    models = clusters["west"].policies(NamespaceName(spec.tenant, "models"))
    assert models is not None
    assert models.deduplication is True


def test_what_a_function_logs_reaches_the_other_cluster(spec: Tenant, log: str, connect: Connect) -> None:
    role = functions_role(spec.tenant)
    connect("west", role).create_producer(log, initial_sequence_id=1).send(b"a commit")
    reader = connect("east", role).create_reader(log, pulsar.MessageId.earliest)
    assert reader.read_next(RECEIVE_MS).data() == b"a commit"


@pytest.mark.parametrize("role", ["dashboard", "app", "auditor", "other-functions"])
def test_nobody_else_reads_or_writes_it(log: str, connect: Connect, role: str) -> None:
    client = connect("east", role)
    with pytest.raises(pulsar.AuthorizationError):
        client.create_reader(log, pulsar.MessageId.earliest)
    with pytest.raises(pulsar.AuthorizationError):
        client.subscribe(log, "peeks")
    with pytest.raises(pulsar.AuthorizationError):
        client.create_producer(log)


def test_topics_are_not_made_there_by_asking_for_them(spec: Tenant, connect: Connect) -> None:
    with pytest.raises(pulsar.TopicNotFound):
        connect("west", functions_role(spec.tenant)).create_producer(
            str(TopicName(spec.tenant, STATE_NAMESPACE, "typo"))
        )
