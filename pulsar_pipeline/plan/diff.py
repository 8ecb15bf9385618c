"""Desired state and snapshot → ordered steps. Pure.

Order: what a later step leans on comes first, and each kind of step is done in every cluster before the next kind
begins, so that a topic that starts to replicate is there on both sides. Steps that delete come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pulsar_pipeline.cluster.state import ClusterRecord, NamespacePolicies, Policy
from pulsar_pipeline.errors import PlanError
from pulsar_pipeline.names import STATE_NAMESPACE
from pulsar_pipeline.plan.desired import DesiredState
from pulsar_pipeline.plan.observe import Snapshot
from pulsar_pipeline.plan.policies import fits
from pulsar_pipeline.plan.steps import (
    CreateNamespace,
    CreateTopic,
    GrowTopic,
    HoldMessages,
    LeaveCluster,
    RegisterCluster,
    SetPermission,
    SetPolicy,
    SetTenant,
    Step,
)
from pulsar_pipeline.plan.topic_schemas import schema_problems, schema_steps


def diff(desired: Mapping[str, DesiredState], observed: Mapping[str, Snapshot]) -> tuple[Step, ...]:
    """The steps that turn what is observed into what is desired, in order; both maps are by cluster.

    Raises PlanError, with every reason there is, if they cannot be taken.
    """
    clusters = [(desired[name], observed[name]) for name in sorted(desired)]
    problems = [problem for pair in clusters for find in _PROBLEMS for problem in find(*pair)]
    if problems:
        raise PlanError("\n".join(problems), mend="correct the spec: this cannot be applied")
    return tuple(step for phase in _PHASES for pair in clusters for step in phase(*pair))


# ── problems ──────────────────────────────────────────────────────────────────────────────────


def _topic_problems(desired: DesiredState, observed: Snapshot) -> Iterator[str]:
    for topic, wanted in desired.topics.items():
        there = observed.topics.get(topic)
        place = f"cluster {desired.cluster}: topic {topic.path}"
        if there is None or there.partitions == wanted.partitions:
            continue
        if there.partitions == 0:
            yield f"{place} exists without partitions, and cannot be given any: copy it to a topic of another name"
        elif there.partitions > wanted.partitions:
            yield f"{place} has {there.partitions} partitions and cannot shrink to {wanted.partitions}"


_PROBLEMS: tuple[Callable[[DesiredState, Snapshot], Iterator[str]], ...] = (_topic_problems, schema_problems)


# ── phases ────────────────────────────────────────────────────────────────────────────────────


def _registrations(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for peer, record in desired.records.items():
        if peer in observed.hidden_records:
            continue
        before = observed.records.get(peer)
        after = _merged(record, before) if before else record
        if after != before:
            yield RegisterCluster(desired.cluster, peer, before, after)


def _merged(declared: ClusterRecord, there: ClusterRecord) -> ClusterRecord:
    """What is declared, over what is there."""
    return ClusterRecord(
        declared.admin_url or there.admin_url,
        declared.admin_url_tls or there.admin_url_tls,
        declared.broker_url or there.broker_url,
        declared.broker_url_tls or there.broker_url_tls,
    )


def _tenants(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for name, info in desired.tenants.items():
        before = observed.tenants.get(name)
        if before != info:
            yield SetTenant(desired.cluster, name, before, info)


def _namespaces(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for name, policies in desired.namespaces.items():
        if name not in observed.namespaces and policies.replication is not None:
            yield CreateNamespace(desired.cluster, name, policies.replication)


def _policies(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for name, wanted in desired.namespaces.items():
        there = observed.namespaces.get(name, _NEW)
        for policy in _policy_order(wanted, there):
            if policy is Policy.RETENTION and name.namespace == STATE_NAMESPACE:
                continue  # see _state_retention
            before, after = there.value(policy), wanted.value(policy)
            if after is not None and before != after:
                yield SetPolicy(desired.cluster, name, policy, before, after)


_NEW = NamespacePolicies(schema_enforced=False)
"""What a namespace has right after its creation."""


def _policy_order(wanted: NamespacePolicies, there: NamespacePolicies) -> list[Policy]:
    """Every policy but replication; a broker wants the backlog quota below the retention at every moment."""
    order: list[Policy] = [policy for policy in Policy if policy is not Policy.REPLICATION]
    if wanted.backlog_quota is not None and fits(wanted.backlog_quota, there.retention):
        order.remove(Policy.BACKLOG_QUOTA)
        order.insert(0, Policy.BACKLOG_QUOTA)
    return order


def _permissions(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for name, wanted in desired.namespaces.items():
        there = observed.namespaces.get(name, _NEW).permissions
        for role, actions in wanted.permissions.items():
            before = there.get(role, frozenset())
            if before != actions:
                yield SetPermission(desired.cluster, name, role, before, actions)
        if name.namespace == STATE_NAMESPACE:  # the product's own: nobody else may have granted anything there
            for role in sorted(there.keys() - wanted.permissions.keys()):
                yield SetPermission(desired.cluster, name, role, there[role], frozenset())


def _topics(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for topic, wanted in desired.topics.items():
        there = observed.topics.get(topic)
        if there is None:
            yield CreateTopic(desired.cluster, topic, wanted.partitions)
        elif there.partitions < wanted.partitions:
            yield GrowTopic(desired.cluster, topic, there.partitions, wanted.partitions)


def _held(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for topic, subscription in desired.held.items():
        there = observed.topics.get(topic)
        grows = there is not None and there.partitions < desired.topics[topic].partitions
        if grows or subscription not in observed.subscriptions.get(topic, frozenset()):
            yield HoldMessages(desired.cluster, topic, subscription)


def _state_retention(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    """Once every log has the subscription that keeps it, and not before, may what that has acknowledged go."""
    for name, wanted in desired.namespaces.items():
        if name.namespace == STATE_NAMESPACE and wanted.retention is not None:
            before = observed.namespaces.get(name, _NEW).retention
            if before != wanted.retention:
                yield SetPolicy(desired.cluster, name, Policy.RETENTION, before, wanted.retention)


def _joining(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    """A namespace that is there, but not held by the cluster: it takes topics only once it is."""
    for step in _replication_steps(desired, observed):
        if isinstance(step.before, frozenset) and desired.cluster not in step.before:
            yield step


def _replication(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    """A namespace that the cluster holds: peers join once they have its topics."""
    for step in _replication_steps(desired, observed):
        if isinstance(step.before, frozenset) and desired.cluster in step.before:
            yield step


def _replication_steps(desired: DesiredState, observed: Snapshot) -> Iterator[SetPolicy]:
    for name, wanted in desired.namespaces.items():
        there = observed.namespaces.get(name)
        if there is not None and wanted.replication is not None and there.replication != wanted.replication:
            yield SetPolicy(desired.cluster, name, Policy.REPLICATION, there.replication, wanted.replication)


def _leaving(desired: DesiredState, observed: Snapshot) -> Iterator[Step]:
    for name, clusters in desired.left.items():
        there = observed.namespaces.get(name)
        held_by = there.replication if there is not None else None
        if held_by is not None and desired.cluster in held_by:
            lost = [
                topic for topic in observed.topics if (topic.tenant, topic.namespace) == (name.tenant, name.namespace)
            ]
            yield LeaveCluster(desired.cluster, name, held_by, clusters, len(lost))


_PHASES: tuple[Callable[[DesiredState, Snapshot], Iterator[Step]], ...] = (
    _registrations,
    _tenants,
    _namespaces,
    _joining,
    _policies,
    _permissions,
    schema_steps,  # before the topics: a replicator that meets a topic without its schema stays stuck for ever
    _topics,
    _held,
    _state_retention,
    _replication,
    _leaving,
)
