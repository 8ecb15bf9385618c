from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.cluster.state import (
    BacklogQuota,
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    PublishRate,
    Retention,
    TenantInfo,
)
from pulsar_pipeline.errors import PlanError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.plan.desired import DesiredState, DesiredTopic, desired_states
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.tenants import PLATFORM, namespace, tenant, tenant_spec, write_schema

SENSORS = NamespaceName("acme", "sensors")
MODELS = NamespaceName("acme", "models")
STATE = NamespaceName("acme", "_state")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return write_schema(tmp_path)


def desired(spec: Tenant, platform: Platform = PLATFORM) -> dict[str, DesiredState]:
    paths = {topic.schema_file for topic in spec.topics.values()}
    return desired_states(platform, [spec], {path: load_schema(path) for path in paths})


def test_every_cluster_of_the_tenant_and_no_other(schema: Path) -> None:
    states = desired(tenant(schema))
    assert set(states) == {"west", "east"}
    assert states["west"].tenants == {"acme": TenantInfo(frozenset({"acme-admin"}), frozenset({"west", "east"}))}


def test_peers_are_registered_with_each_other_not_with_themselves(schema: Path) -> None:
    states = desired(tenant(schema))
    assert states["west"].records == {"east": ClusterRecord("http://east:8080", None, "pulsar://east:6650", None)}
    assert set(states["east"].records) == {"west"}


def test_urls_for_peers_and_tls_urls_go_to_their_fields(schema: Path) -> None:
    peers = {"admin_url": "https://e.example:8443", "broker_url": "pulsar+ssl://e.example:6651"}
    east = {"admin_url": "http://localhost:1", "broker_url": "pulsar://localhost:2", "peers_use": peers}
    west = PLATFORM.clusters["west"].model_dump()
    states = desired(tenant(schema), Platform.model_validate({"clusters": {"west": west, "east": east}}))
    assert states["west"].records["east"] == ClusterRecord(
        None, "https://e.example:8443", None, "pulsar+ssl://e.example:6651"
    )


def test_every_policy_in_pulsars_terms(schema: Path) -> None:
    policies = desired(tenant(schema))["west"].namespaces[SENSORS]
    assert policies.replication == {"west", "east"}
    assert policies.retention == Retention(7 * 24 * 60, 10 * 1024)
    assert policies.ttl == 86400
    assert policies.backlog_quota == BacklogQuota(1 << 30, 7200, "producer_exception")
    assert policies.compaction_threshold == 100 << 20
    assert policies.deduplication is True
    assert policies.schema_compatibility == "FULL_TRANSITIVE"
    assert policies.schema_enforced is True
    assert policies.auto_topic_creation is False
    assert policies.publish_rate == PublishRate(1000, 10 << 20)
    assert policies.permissions["app"] == {"produce"}


def test_policies_not_declared_are_none(schema: Path) -> None:
    policies = desired(tenant(schema))["west"].namespaces[MODELS]
    undeclared = (policies.ttl, policies.backlog_quota, policies.compaction_threshold, policies.publish_rate)
    assert undeclared == (None, None, None, None)
    assert policies.retention == Retention(0, 0)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"time": "61s", "size": "1KB"}, Retention(2, 1)),
        ({"time": "unlimited", "size": "unlimited"}, Retention(-1, -1)),
        ({"time": "1m", "size": "unlimited"}, Retention(1, -1)),
    ],
)
def test_retention_is_rounded_up_to_pulsars_units(schema: Path, declared: dict[str, str], expected: Retention) -> None:
    spec = tenant(schema, namespaces={"sensors": {"retention": declared}, "models": {}})
    assert desired(spec)["west"].namespaces[SENSORS].retention == expected


def test_unlimited_ttl_and_compaction_are_never(schema: Path) -> None:
    spaces = {"sensors": namespace(ttl="unlimited", compaction_threshold="unlimited"), "models": {}}
    policies = desired(tenant(schema, namespaces=spaces))["west"].namespaces[SENSORS]
    assert (policies.ttl, policies.compaction_threshold) == (0, 0)


def with_guarantee(schema: Path, guarantee: str, **models: Any) -> Tenant:
    """The tenant, its one deployment with this guarantee, its output's namespace as given."""
    spec = tenant_spec(schema)
    spec["deployments"]["risk"]["guarantee"] = guarantee
    spec["namespaces"]["models"] = models
    return Tenant.model_validate(spec)


@pytest.mark.parametrize(
    ("guarantee", "declared", "expected"),
    [
        ("exactly_once", {}, True),
        ("at_least_once", {}, False),
        ("at_most_once", {}, False),
        ("at_least_once", {"deduplication": True}, True),
        ("exactly_once", {"deduplication": True}, True),
    ],
)
def test_deduplication_is_on_where_it_is_declared_or_an_exactly_once_deployment_writes(
    schema: Path, guarantee: str, declared: dict[str, bool], expected: bool
) -> None:
    states = desired(with_guarantee(schema, guarantee, **declared))
    assert [state.namespaces[MODELS].deduplication for state in states.values()] == [expected, expected]


def test_inputs_are_not_deduplicated_by_themselves(schema: Path) -> None:
    states = desired(tenant(schema, namespaces={"sensors": {}, "models": {}}))
    assert states["west"].namespaces[SENSORS].deduplication is False


def test_state_logs_are_in_every_cluster_for_ever_and_for_the_functions_alone(schema: Path) -> None:
    for state in desired(tenant(schema)).values():
        policies = state.namespaces[STATE]
        assert policies == NamespacePolicies(
            replication=frozenset({"west", "east"}),
            retention=Retention(0, 0),
            ttl=0,
            deduplication=True,
            schema_enforced=False,
            auto_topic_creation=False,
            permissions=policies.permissions,
        )
        assert policies.permissions == {
            "acme-functions": {"produce", "consume"},
            "app": frozenset(),
            "auditor": frozenset(),
            "dashboard": frozenset(),
        }
        assert state.topics[TopicName("acme", "_state", "risk-state")] == DesiredTopic(4, None)


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_without_an_exactly_once_deployment_there_is_nothing_for_state(schema: Path, guarantee: str) -> None:
    state = desired(with_guarantee(schema, guarantee))["west"]
    assert STATE not in state.namespaces
    assert not any(topic.namespace == STATE.namespace for topic in state.topics)


def test_state_is_also_where_the_outputs_are_not(schema: Path) -> None:
    spaces = {"sensors": {"replicate_to": ["west"]}, "models": {"replicate_to": ["west"]}}
    assert STATE in desired(tenant(schema, namespaces=spaces))["east"].namespaces


def test_topics_and_dead_letters(schema: Path) -> None:
    topics = desired(tenant(schema))["east"].topics
    assert topics[TopicName("acme", "sensors", "readings")].partitions == 4
    dead_letters = topics[TopicName("acme", "models", "risk-dead-letters")]
    assert (dead_letters.partitions, dead_letters.schema) == (4, None)


def test_a_deployment_brings_its_log_topic_unless_it_is_off(schema: Path) -> None:
    logs, spec = TopicName("acme", "models", "risk-logs"), tenant(schema)
    assert desired(spec)["east"].topics[logs] == DesiredTopic(1, None)
    off = spec.deployments["risk"].model_copy(update={"logs": False})
    assert logs not in desired(spec.model_copy(update={"deployments": {"risk": off}}))["east"].topics


def test_a_namespace_of_one_cluster_is_left_by_the_other(schema: Path) -> None:
    spaces = {"sensors": {"replicate_to": ["west"]}, "models": {}}
    states = desired(tenant(schema, namespaces=spaces))
    assert SENSORS in states["west"].namespaces
    assert SENSORS not in states["east"].namespaces
    assert states["east"].left == {SENSORS: frozenset({"west"})}
    assert not any(topic.namespace == "sensors" for topic in states["east"].topics)


def test_a_cluster_that_the_platform_lacks_is_named(schema: Path) -> None:
    with pytest.raises(PlanError, match="mars") as caught:
        desired(tenant(schema, clusters=["west", "mars"]))
    assert "west" in (caught.value.mend or "")
