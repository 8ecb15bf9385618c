"""Specs → the state every cluster should have. Pure: schemas come in loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulsar_pipeline.cluster.state import (
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    TenantInfo,
)
from pulsar_pipeline.errors import PlanError
from pulsar_pipeline.names import (
    DEAD_LETTERS_SUBSCRIPTION,
    STATE_NAMESPACE,
    STATE_SUBSCRIPTION,
    TopicName,
    dead_letter_topic,
    logs_topic,
    state_topic,
)
from pulsar_pipeline.plan.permissions import permissions_of
from pulsar_pipeline.plan.policies import policies_of, state_policies
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.spec.model import Cluster, Platform, Tenant


@dataclass(frozen=True, slots=True)
class DesiredTopic:
    """A partitioned topic; without a schema any bytes may be sent to it."""

    partitions: int
    schema: Schema | None


@dataclass(slots=True)
class DesiredState:
    """All that is declared for one cluster."""

    cluster: str
    records: dict[str, ClusterRecord] = field(default_factory=dict)
    """The cluster's peers; a field that is None is not declared."""
    tenants: dict[str, TenantInfo] = field(default_factory=dict)
    namespaces: dict[NamespaceName, NamespacePolicies] = field(default_factory=dict)
    left: dict[NamespaceName, frozenset[str]] = field(default_factory=dict)
    """Namespaces of the tenants that this cluster should not hold → the clusters that should."""
    topics: dict[TopicName, DesiredTopic] = field(default_factory=dict)
    held: dict[TopicName, str] = field(default_factory=dict)
    """Topics whose messages are kept until a subscription has acknowledged them → its name."""


def desired_states(
    platform: Platform, tenants: Iterable[Tenant], schemas: Mapping[Path, Schema]
) -> dict[str, DesiredState]:
    """Cluster → its desired state, for the clusters of these tenants.

    The tenants have passed `check_tenant`; `schemas` holds every topic's schema by the path in the spec.
    Raises PlanError for a cluster that the platform does not have.
    """
    states: dict[str, DesiredState] = {}
    for tenant in tenants:
        _check_clusters(tenant, platform)
        topics = topics_of(tenant, schemas)
        for name in tenant.clusters:
            state = states.setdefault(name, DesiredState(name))
            state.records |= {peer: record_of(platform.clusters[peer]) for peer in tenant.clusters if peer != name}
            _add_tenant(state, tenant, topics)
    return states


def _check_clusters(tenant: Tenant, platform: Platform) -> None:
    missing = [name for name in tenant.clusters if name not in platform.clusters]
    if missing:
        raise PlanError(
            f"clusters the platform file does not have: {', '.join(missing)}",
            where=f"tenant {tenant.tenant}",
            mend=f"it has {', '.join(sorted(platform.clusters))}",
        )


def _add_tenant(state: DesiredState, tenant: Tenant, topics: Mapping[TopicName, DesiredTopic]) -> None:
    state.tenants[tenant.tenant] = TenantInfo(frozenset(tenant.admin_roles), frozenset(tenant.clusters))
    granted = permissions_of(tenant)
    for name, declared in tenant.namespaces.items():
        namespace, clusters = NamespaceName(tenant.tenant, name), frozenset(tenant.clusters_of(name))
        if state.cluster not in clusters:
            state.left[namespace] = clusters
            continue
        state.namespaces[namespace] = policies_of(
            declared, clusters, granted[name], deduplicated=name in tenant.deduplicated
        )
        state.topics |= _of_namespace(name, topics)
    if state.cluster == tenant.home:  # dead letters are taken back where the functions run
        state.held |= _dead_letters_held(tenant, state.topics)
    if tenant.exactly_once:
        namespace = NamespaceName(tenant.tenant, STATE_NAMESPACE)
        state.namespaces[namespace] = state_policies(frozenset(tenant.clusters), granted[STATE_NAMESPACE])
        logs = _of_namespace(STATE_NAMESPACE, topics)
        state.topics |= logs
        state.held |= dict.fromkeys(logs, STATE_SUBSCRIPTION)


def _dead_letters_held(tenant: Tenant, topics: Mapping[TopicName, DesiredTopic]) -> dict[TopicName, str]:
    names = (dead_letter_topic(tenant.tenant, each.namespace, name) for name, each in tenant.deployments.items())
    return {name: DEAD_LETTERS_SUBSCRIPTION for name in names if name in topics}


def _of_namespace(name: str, topics: Mapping[TopicName, DesiredTopic]) -> dict[TopicName, DesiredTopic]:
    return {topic: wanted for topic, wanted in topics.items() if topic.namespace == name}


def record_of(cluster: Cluster) -> ClusterRecord:
    """How the other clusters reach this one."""
    admin = cluster.peers_use.admin_url if cluster.peers_use else cluster.admin_url
    broker = cluster.peers_use.broker_url if cluster.peers_use else cluster.broker_url
    return ClusterRecord(
        admin_url=None if admin.startswith("https:") else admin,
        admin_url_tls=admin if admin.startswith("https:") else None,
        broker_url=None if broker.startswith("pulsar+ssl:") else broker,
        broker_url_tls=broker if broker.startswith("pulsar+ssl:") else None,
    )


def topics_of(tenant: Tenant, schemas: Mapping[Path, Schema]) -> dict[TopicName, DesiredTopic]:
    """The declared topics, and those of every deployment's own: dead letters, log, and the state log where it is
    exactly-once; dead letters and state have as many partitions as its inputs, a log has one."""
    topics = {
        tenant.topic_name(ref): DesiredTopic(topic.partitions, schemas[topic.schema_file])
        for ref, topic in tenant.topics.items()
    }
    for name, deployment in tenant.deployments.items():
        dead_letters = dead_letter_topic(tenant.tenant, deployment.namespace, name)
        partitions = max(tenant.topics[ref].partitions for ref in deployment.inputs.values())
        topics[dead_letters] = DesiredTopic(partitions, None)
        if name in tenant.exactly_once:
            topics[state_topic(tenant.tenant, name)] = DesiredTopic(partitions, None)
        if deployment.logs:
            topics[logs_topic(tenant.tenant, deployment.namespace, name)] = DesiredTopic(1, None)
    return topics
