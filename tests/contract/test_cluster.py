"""What every `ClusterWriter` does, held against the fake and a real cluster alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.protocol import ClusterWriter
from pulsar_pipeline.cluster.state import (
    BacklogQuota,
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
    TenantInfo,
)
from pulsar_pipeline.errors import ClusterConflict, ClusterError, ClusterNotFound, ClusterRefused, ClusterUnreachable
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.spec.model import Auth, Cluster, Platform
from tests.support.clusters import Tokens
from tests.support.remove import remove_tenant

PEER = ClusterRecord("http://peer:8080", None, "pulsar://peer:6650", None)
WEST = frozenset({"west"})
_numbers = itertools.count(1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterWriter]:
    if request.param == "fake":
        yield FakeCluster("west")
        return
    platform: Platform = request.getfixturevalue("platform")
    with AdminHttp("west", platform.clusters["west"]) as http:
        yield AdminCluster(http)


@pytest.fixture
def tenant(cluster: ClusterWriter, request: pytest.FixtureRequest, unique: str) -> Iterator[str]:
    """A tenant of its own for each test, in `west` alone."""
    name = f"contract-{unique}-{next(_numbers)}"
    cluster.put_tenant(name, TenantInfo(frozenset({"boss"}), WEST))
    yield name
    if isinstance(cluster, AdminCluster):
        remove_tenant(request.getfixturevalue("platform"), name)


@pytest.fixture
def namespace(cluster: ClusterWriter, tenant: str) -> NamespaceName:
    name = NamespaceName(tenant, "ns")
    cluster.create_namespace(name, WEST)
    return name


@pytest.fixture
def topic(cluster: ClusterWriter, namespace: NamespaceName) -> TopicName:
    name = TopicName(namespace.tenant, namespace.namespace, "readings")
    cluster.create_topic(name, 2)
    return name


def schema(*fields: dict[str, Any], **more: Any) -> str:
    first = {"name": "machine", "type": "string"}
    return json.dumps({"type": "record", "name": "Reading", "fields": [first, *fields], **more})


# ── clusters and tenants ──────────────────────────────────────────────────────────────────────


def test_a_cluster_knows_itself(cluster: ClusterWriter) -> None:
    assert cluster.name == "west"
    assert "west" in cluster.cluster_names()
    own = cluster.cluster_record("west")
    assert own is not None
    assert (own.admin_url or "").startswith("http")


def test_a_peer_is_registered_and_updated(cluster: ClusterWriter, request: pytest.FixtureRequest, unique: str) -> None:
    name = f"peer-{unique}"
    assert cluster.cluster_record(name) is None
    try:
        for record in (PEER, PEER, ClusterRecord("http://new:8080", "https://new:8443", PEER.broker_url, None)):
            cluster.put_cluster(name, record)
            assert cluster.cluster_record(name) == record
        assert name in cluster.cluster_names()
    finally:
        if isinstance(cluster, AdminCluster):
            with AdminHttp("west", request.getfixturevalue("platform").clusters["west"]) as http:
                http.delete(f"/admin/v2/clusters/{name}")


def test_a_tenant_is_created_and_updated(cluster: ClusterWriter, tenant: str) -> None:
    assert cluster.tenant("no-such-tenant") is None
    assert cluster.tenant(tenant) == TenantInfo(frozenset({"boss"}), WEST)
    for roles in (frozenset({"a", "b"}), frozenset({"a", "b"}), frozenset[str]()):
        cluster.put_tenant(tenant, TenantInfo(roles, WEST))
        assert cluster.tenant(tenant) == TenantInfo(roles, WEST)


def test_a_tenant_of_an_unregistered_cluster_is_refused(cluster: ClusterWriter, tenant: str) -> None:
    with pytest.raises(ClusterError):
        cluster.put_tenant(tenant, TenantInfo(frozenset(), frozenset({"atlantis"})))


# ── namespaces ────────────────────────────────────────────────────────────────────────────────


def test_a_namespace_is_created_once(cluster: ClusterWriter, namespace: NamespaceName) -> None:
    assert cluster.namespaces(namespace.tenant) == {namespace}
    assert cluster.policies(namespace) == NamespacePolicies(replication=WEST, schema_enforced=False)
    cluster.set_policy(namespace, Policy.TTL, 60)
    cluster.create_namespace(namespace, WEST)
    again = cluster.policies(namespace)
    assert again is not None
    assert again.ttl == 60


def test_what_is_not_there_is_none_or_empty(cluster: ClusterWriter, tenant: str) -> None:
    missing = NamespaceName(tenant, "missing")
    assert cluster.policies(missing) is None
    assert cluster.topics(missing) == {}
    assert cluster.namespaces(tenant) == frozenset()
    assert cluster.namespaces("no-such-tenant") == frozenset()
    assert cluster.policies(NamespaceName("no-such-tenant", "missing")) is None


def test_a_namespace_needs_its_tenant_and_allowed_clusters(cluster: ClusterWriter, tenant: str) -> None:
    with pytest.raises(ClusterNotFound):
        cluster.create_namespace(NamespaceName("no-such-tenant", "ns"), WEST)
    with pytest.raises(ClusterError):
        cluster.create_namespace(NamespaceName(tenant, "ns"), frozenset({"west", "atlantis"}))


POLICIES: list[tuple[Policy, list[PolicyValue]]] = [
    (Policy.RETENTION, [Retention(60, 1024), Retention(-1, -1), Retention(60, -1), Retention(0, 0)]),
    (
        Policy.BACKLOG_QUOTA,
        [
            BacklogQuota(1 << 30, 3600, "producer_exception"),
            BacklogQuota(-1, -1, "producer_request_hold"),
            BacklogQuota(1 << 20, -1, "consumer_backlog_eviction"),
        ],
    ),
    (Policy.TTL, [3600, 0]),
    (Policy.COMPACTION_THRESHOLD, [100 << 20, 12345, 0]),
    (Policy.DEDUPLICATION, [True, False]),
    (Policy.SCHEMA_COMPATIBILITY, ["FULL_TRANSITIVE", "ALWAYS_INCOMPATIBLE", "BACKWARD"]),
    (Policy.SCHEMA_ENFORCED, [True, False]),
    (Policy.AUTO_TOPIC_CREATION, [False, True]),
    (Policy.PUBLISH_RATE, [PublishRate(100, -1), PublishRate(-1, 5 << 32), PublishRate(-1, -1)]),
    (Policy.REPLICATION, [WEST]),
]


@pytest.mark.parametrize(("policy", "values"), POLICIES, ids=[policy.value for policy, _ in POLICIES])
def test_every_policy_reads_back_as_it_was_set(
    cluster: ClusterWriter, namespace: NamespaceName, policy: Policy, values: list[PolicyValue]
) -> None:
    for value in values:
        for _ in range(2):
            cluster.set_policy(namespace, policy, value)
        policies = cluster.policies(namespace)
        assert policies is not None
        assert policies.value(policy) == value


def test_every_policy_is_in_the_table() -> None:
    assert {policy for policy, _ in POLICIES} == set(Policy)


def test_a_policy_needs_its_namespace(cluster: ClusterWriter, tenant: str) -> None:
    with pytest.raises(ClusterNotFound):
        cluster.set_policy(NamespaceName(tenant, "missing"), Policy.TTL, 60)
    with pytest.raises(ClusterNotFound):
        cluster.set_permission(NamespaceName(tenant, "missing"), "app", frozenset({"consume"}))


def test_permissions_are_replaced_and_revoked(cluster: ClusterWriter, namespace: NamespaceName) -> None:
    every = frozenset({"produce", "consume", "functions", "sources", "sinks", "packages"})
    for actions in (frozenset({"produce"}), every, every, frozenset({"consume"})):
        cluster.set_permission(namespace, "team:app@example", actions)
        cluster.set_permission(namespace, "other", frozenset({"consume"}))
        policies = cluster.policies(namespace)
        assert policies is not None
        assert policies.permissions == {"team:app@example": actions, "other": {"consume"}}
    for _ in range(2):
        cluster.set_permission(namespace, "team:app@example", frozenset())
    policies = cluster.policies(namespace)
    assert policies is not None
    assert policies.permissions == {"other": {"consume"}}


# ── topics ────────────────────────────────────────────────────────────────────────────────────


def test_a_topic_is_created_once(cluster: ClusterWriter, namespace: NamespaceName, topic: TopicName) -> None:
    assert cluster.topics(namespace) == {topic: True}
    assert cluster.partitions(topic) == 2
    assert cluster.schemas(topic) == ()
    cluster.create_topic(topic, 2)
    assert cluster.partitions(topic) == 2
    with pytest.raises(ClusterConflict):
        cluster.create_topic(topic, 3)
    assert cluster.partitions(topic) == 2


def test_a_topic_is_created_where_auto_creation_is_off(cluster: ClusterWriter, namespace: NamespaceName) -> None:
    cluster.set_policy(namespace, Policy.AUTO_TOPIC_CREATION, False)
    topic = TopicName(namespace.tenant, namespace.namespace, "quiet")
    cluster.create_topic(topic, 1)
    assert cluster.topics(namespace) == {topic: True}


def test_a_topic_needs_its_namespace(cluster: ClusterWriter, tenant: str) -> None:
    with pytest.raises(ClusterNotFound):
        cluster.create_topic(TopicName(tenant, "missing", "readings"), 1)
    assert cluster.partitions(TopicName(tenant, "missing", "readings")) == 0


def test_a_topic_grows_and_does_not_shrink(cluster: ClusterWriter, topic: TopicName) -> None:
    for partitions in (4, 4):
        cluster.grow_topic(topic, partitions)
        assert cluster.partitions(topic) == 4
    with pytest.raises(ClusterError):
        cluster.grow_topic(topic, 3)
    with pytest.raises(ClusterError):
        cluster.grow_topic(TopicName(topic.tenant, topic.namespace, "missing"), 3)
    assert cluster.partitions(topic) == 4


def test_a_subscription_holds_every_partition_of_a_topic(cluster: ClusterWriter, topic: TopicName) -> None:
    assert cluster.subscriptions(TopicName(topic.tenant, topic.namespace, "nowhere")) == frozenset()
    assert cluster.subscriptions(topic) == frozenset()
    for _ in range(2):
        cluster.hold_messages(topic, "held")
        assert cluster.subscriptions(topic) == {"held"}
    cluster.grow_topic(topic, 3)
    assert cluster.subscriptions(topic) == {"held"}
    with pytest.raises(ClusterNotFound):
        cluster.hold_messages(TopicName(topic.tenant, topic.namespace, "nowhere"), "held")


def test_leaving_a_cluster_closes_it_for_the_namespaces_topics(
    cluster: ClusterWriter, request: pytest.FixtureRequest, tenant: str, unique: str
) -> None:
    if isinstance(cluster, FakeCluster):
        cluster.put_cluster("east", PEER)
    else:
        east = request.getfixturevalue("platform").clusters["east"]
        cluster.put_cluster("east", ClusterRecord(east.admin_url, None, east.broker_url, None))
    both = frozenset({"west", "east"})
    cluster.put_tenant(tenant, TenantInfo(frozenset(), both))
    namespace = NamespaceName(tenant, "leaving")
    cluster.create_namespace(namespace, both)
    cluster.set_policy(namespace, Policy.REPLICATION, frozenset({"east"}))
    policies = cluster.policies(namespace)
    assert policies is not None
    assert policies.replication == {"east"}
    with pytest.raises(ClusterError):
        cluster.create_topic(TopicName(tenant, "leaving", "readings"), 1)


# ── schemas ───────────────────────────────────────────────────────────────────────────────────


def test_schemas_are_kept_by_version(cluster: ClusterWriter, topic: TopicName) -> None:
    second = schema({"name": "unit", "type": ["null", "string"], "default": None})
    for text in (schema(), schema(), second, schema()):
        cluster.upload_schema(topic, text)
    assert [(one.version, one.type) for one in cluster.schemas(topic)] == [(0, "AVRO"), (1, "AVRO")]
    assert [json.loads(one.text) for one in cluster.schemas(topic)] == [json.loads(schema()), json.loads(second)]


def test_a_schema_with_another_doc_is_no_new_version(cluster: ClusterWriter, topic: TopicName) -> None:
    for text in (schema(), schema(doc="what a machine says")):
        cluster.upload_schema(topic, text)
    assert len(cluster.schemas(topic)) == 1


def test_an_incompatible_schema_is_refused(cluster: ClusterWriter, namespace: NamespaceName, topic: TopicName) -> None:
    cluster.set_policy(namespace, Policy.SCHEMA_COMPATIBILITY, "FULL_TRANSITIVE")
    cluster.upload_schema(topic, schema())
    with pytest.raises(ClusterConflict) as caught:
        cluster.upload_schema(topic, schema({"name": "unit", "type": "string"}))
    assert "compatib" in caught.value.what
    assert "<" not in caught.value.what, "a page of HTML is no message"
    assert len(cluster.schemas(topic)) == 1


# ── failures of the connection (real alone) ───────────────────────────────────────────────────


def test_a_cluster_that_does_not_answer_is_named() -> None:
    nowhere = Cluster(admin_url="http://127.0.0.1:9", broker_url="pulsar://127.0.0.1:9")
    with AdminHttp("atlantis", nowhere) as http, pytest.raises(ClusterUnreachable) as caught:
        AdminCluster(http).cluster_names()
    assert caught.value.where == "cluster atlantis"
    assert "127.0.0.1:9" in (caught.value.mend or "")


@pytest.mark.cluster
def test_a_role_that_may_not_is_refused(platform: Platform, tokens: Tokens, tmp_path: Path, unique: str) -> None:
    token = tokens.file_of("nobody", tmp_path)
    west = platform.clusters["west"].model_copy(update={"auth": Auth(token_file=token)})
    with AdminHttp("west", west) as http, pytest.raises(ClusterRefused) as caught:
        AdminCluster(http).put_tenant(f"contract-{unique}", TenantInfo(frozenset(), WEST))
    assert caught.value.where == "cluster west"
    assert token.read_text() not in str(caught.value)


def test_a_schema_may_come_before_its_topic(cluster: ClusterWriter, topic: TopicName) -> None:
    early = TopicName(topic.tenant, topic.namespace, "early")
    cluster.upload_schema(early, schema())
    assert early not in cluster.topics(NamespaceName(topic.tenant, topic.namespace))
    cluster.create_topic(early, 2)
    assert [one.version for one in cluster.schemas(early)] == [0]
