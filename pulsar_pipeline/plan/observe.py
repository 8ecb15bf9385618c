"""Reader → snapshot of what a cluster holds of the declared things. Reads only; a few requests at a time."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto

from pulsar_pipeline.cluster.protocol import ClusterReader
from pulsar_pipeline.cluster.state import (
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    RegisteredSchema,
    TenantInfo,
    TopicState,
)
from pulsar_pipeline.errors import ClusterRefused, PlanError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.plan.desired import DesiredState

_REQUESTS_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one cluster holds, as far as the desired state asks; things that are not there are absent."""

    cluster: str
    records: Mapping[str, ClusterRecord]
    hidden_records: frozenset[str]
    """Peers in the registry whose records only the platform's superuser may see."""
    tenants: Mapping[str, TenantInfo]
    namespaces: Mapping[NamespaceName, NamespacePolicies]
    topics: Mapping[TopicName, TopicState]
    """Declared topics, and every topic of the namespaces that the cluster should leave (those without schemas)."""
    early_schemas: Mapping[TopicName, tuple[RegisteredSchema, ...]] = field(default_factory=dict)
    """Of declared topics that are not there yet: an apply that was cut may have come so far."""
    subscriptions: Mapping[TopicName, frozenset[str]] = field(default_factory=dict)
    """Of the topics that one should hold the messages of."""


def observe(readers: Mapping[str, ClusterReader], desired: Mapping[str, DesiredState]) -> dict[str, Snapshot]:
    """Look at every cluster. Raises ClusterError, with the cluster's name, if any of them cannot be read."""
    with ThreadPoolExecutor(max_workers=len(desired) or 1) as pool:
        snapshots = pool.map(lambda name: observe_cluster(readers[name], desired[name]), desired)
        return {snapshot.cluster: snapshot for snapshot in snapshots}


def observe_cluster(reader: ClusterReader, desired: DesiredState) -> Snapshot:
    """Look at one cluster."""
    tenants = {name: info for name in desired.tenants if (info := reader.tenant(name)) is not None}
    known = _known_clusters(reader)
    names = {name for tenant in tenants for name in reader.namespaces(tenant)}
    with ThreadPoolExecutor(max_workers=_REQUESTS_AT_A_TIME) as pool:
        peers = desired.records.keys() & known
        records = dict(zip(peers, pool.map(lambda peer: _record(reader, peer), peers), strict=True))
        wanted = [name for name in (*desired.namespaces, *desired.left) if name in names]
        policies = zip(wanted, pool.map(reader.policies, wanted), strict=True)
        namespaces = {name: found for name, found in policies if found is not None}
        topics = _topics(reader, desired, namespaces, pool)
        return Snapshot(
            cluster=reader.name,
            records={peer: record for peer, record in records.items() if isinstance(record, ClusterRecord)},
            hidden_records=frozenset(peer for peer, record in records.items() if record is _Hidden.HIDDEN),
            tenants=tenants,
            namespaces=namespaces,
            topics=topics,
            early_schemas=_early_schemas(reader, desired, namespaces, topics, pool),
            subscriptions=_subscriptions(reader, desired, topics, pool),
        )


class _Hidden(Enum):
    """In place of a record that the token's role may not see."""

    HIDDEN = auto()


def _record(reader: ClusterReader, peer: str) -> ClusterRecord | _Hidden | None:
    try:
        return reader.cluster_record(peer)
    except ClusterRefused:  # a tenant's own admin may plan its tenant all the same
        return _Hidden.HIDDEN


def _known_clusters(reader: ClusterReader) -> frozenset[str]:
    """A cluster always has itself in its registry: if not, the platform file calls it by a wrong name."""
    known = reader.cluster_names()
    if reader.name not in known:
        raise PlanError(
            f"the cluster there does not call itself {reader.name}: it knows {', '.join(sorted(known)) or 'none'}",
            where=f"cluster {reader.name}",
            mend="use the cluster's own name in the platform file, or correct its admin_url",
        )
    return known


def _topics(
    reader: ClusterReader,
    desired: DesiredState,
    namespaces: Mapping[NamespaceName, NamespacePolicies],
    pool: ThreadPoolExecutor,
) -> dict[TopicName, TopicState]:
    # a cluster answers for the topics of a namespace only while it is among those that hold it
    held = [name for name, policies in namespaces.items() if reader.name in (policies.replication or ())]
    there = {topic: kind for found in pool.map(reader.topics, held) for topic, kind in found.items()}
    leaving = {topic for topic in there if NamespaceName(topic.tenant, topic.namespace) in desired.left}
    wanted = [topic for topic in there if topic in desired.topics]

    def look(topic: TopicName) -> TopicState:
        if not there[topic]:
            return TopicState(0)
        return TopicState(reader.partitions(topic), reader.schemas(topic))

    states = dict(zip(wanted, pool.map(look, wanted), strict=True))
    return states | {topic: TopicState(0) for topic in leaving}


def _subscriptions(
    reader: ClusterReader, desired: DesiredState, topics: Mapping[TopicName, TopicState], pool: ThreadPoolExecutor
) -> dict[TopicName, frozenset[str]]:
    there = [topic for topic in desired.held if topic in topics]
    return dict(zip(there, pool.map(reader.subscriptions, there), strict=True))


def _early_schemas(
    reader: ClusterReader,
    desired: DesiredState,
    namespaces: Mapping[NamespaceName, NamespacePolicies],
    topics: Mapping[TopicName, TopicState],
    pool: ThreadPoolExecutor,
) -> dict[TopicName, tuple[RegisteredSchema, ...]]:
    missing = [
        topic
        for topic, wanted in desired.topics.items()
        if wanted.schema is not None
        and topic not in topics
        and NamespaceName(topic.tenant, topic.namespace) in namespaces
    ]
    return {topic: found for topic, found in zip(missing, pool.map(reader.schemas, missing), strict=True) if found}
