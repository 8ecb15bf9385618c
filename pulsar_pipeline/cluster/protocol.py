"""What the product asks of a Pulsar cluster: `ClusterReader` to look, `ClusterWriter` to change.

Every call blocks until the cluster has answered and is safe from several threads. Every call may raise
ClusterUnreachable (no answer) or ClusterRefused (the token's role may not do this); further errors are named below.
Nothing here deletes, with the one exception that `set_policy` tells of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pulsar_pipeline.cluster.state import (
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    Policy,
    PolicyValue,
    RegisteredSchema,
    TenantInfo,
)
from pulsar_pipeline.names import TopicName


class ClusterReader(Protocol):
    """Looks, changes nothing. A planner gets no more than this."""

    @property
    def name(self) -> str:
        """The cluster's name in the platform file."""

    def cluster_names(self) -> frozenset[str]:
        """Every cluster in its registry, itself included."""

    def cluster_record(self, name: str) -> ClusterRecord | None:
        """One entry of its registry; None if it has none."""

    def tenant(self, name: str) -> TenantInfo | None:
        """A tenant; None if there is none."""

    def namespaces(self, tenant: str) -> frozenset[NamespaceName]:
        """The namespaces of a tenant; empty if there is no such tenant."""

    def policies(self, namespace: NamespaceName) -> NamespacePolicies | None:
        """A namespace's policies and permissions; None if there is no such namespace."""

    def topics(self, namespace: NamespaceName) -> Mapping[TopicName, bool]:
        """Persistent topics of a namespace → is it partitioned; empty if there is no such namespace.

        Partitions are not listed by themselves, and neither are Pulsar's own topics (`__…`).
        """

    def partitions(self, topic: TopicName) -> int:
        """Partitions of a topic; 0 for one that is not partitioned or not there."""

    def schemas(self, topic: TopicName) -> tuple[RegisteredSchema, ...]:
        """Live versions of a topic's schema, oldest first; empty if it has none."""

    def subscriptions(self, topic: TopicName) -> frozenset[str]:
        """The durable subscriptions of a partitioned topic; empty if it is not there."""


class ClusterWriter(ClusterReader, Protocol):
    """Changes one thing per call. Each call is idempotent: repeated, it changes nothing and raises nothing."""

    def put_cluster(self, name: str, record: ClusterRecord) -> None:
        """Enter or update a peer in the registry; settings of an entry that a record does not hold stay."""

    def put_tenant(self, name: str, info: TenantInfo) -> None:
        """Create or update a tenant. ClusterError if a cluster is not registered."""

    def create_namespace(self, namespace: NamespaceName, replication: frozenset[str]) -> None:
        """Create a namespace that the given clusters hold; one that exists stays as it is.

        ClusterNotFound without the tenant, ClusterError if the tenant may not use one of the clusters.
        """

    def set_policy(self, namespace: NamespaceName, policy: Policy, value: PolicyValue) -> None:
        """Set one policy; `value` is of the policy's type in `NamespacePolicies`. ClusterNotFound without namespace.

        Setting `REPLICATION` without this cluster among the clusters makes Pulsar DELETE the namespace's topics here.
        """

    def set_permission(self, namespace: NamespaceName, role: str, actions: frozenset[str]) -> None:
        """Make `actions` all that a role may do in a namespace; none revokes. ClusterNotFound without namespace."""

    def create_topic(self, topic: TopicName, partitions: int) -> None:
        """Create a partitioned topic in this cluster alone.

        ClusterNotFound without the namespace, ClusterConflict if the topic is there with other partitions.
        """

    def grow_topic(self, topic: TopicName, partitions: int) -> None:
        """Raise the partitions of a topic in this cluster alone. ClusterError without it or to shrink it."""

    def hold_messages(self, topic: TopicName, subscription: str) -> None:
        """Keep every message of a partitioned topic, from the first that is there, until `subscription` (made here)
        has acknowledged it. What waits counts for no backlog quota: producers are never stopped for it.

        ClusterNotFound without the topic.
        """

    def upload_schema(self, topic: TopicName, text: str) -> None:
        """Register an Avro schema (JSON text) as the topic's next version; one it has already stays as it is.

        ClusterError if the namespace's compatibility strategy refuses it.
        """
