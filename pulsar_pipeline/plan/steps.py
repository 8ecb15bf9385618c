"""The steps a plan is made of: each names its cluster, its object, and what was there before and is there after."""

from __future__ import annotations

from dataclasses import dataclass

from pulsar_pipeline.cluster.state import ClusterRecord, NamespaceName, Policy, PolicyValue, TenantInfo
from pulsar_pipeline.names import TopicName


@dataclass(frozen=True, slots=True)
class RegisterCluster:
    """Tell `cluster` how to reach `peer`; `before` is None if it does not know the peer yet."""

    cluster: str
    peer: str
    before: ClusterRecord | None
    after: ClusterRecord


@dataclass(frozen=True, slots=True)
class SetTenant:
    """Create or update a tenant."""

    cluster: str
    tenant: str
    before: TenantInfo | None
    after: TenantInfo


@dataclass(frozen=True, slots=True)
class CreateNamespace:
    cluster: str
    namespace: NamespaceName
    replication: frozenset[str]


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Set one policy of a namespace; `before` is None where the broker's default holds."""

    cluster: str
    namespace: NamespaceName
    policy: Policy
    before: PolicyValue | None
    after: PolicyValue


@dataclass(frozen=True, slots=True)
class LeaveCluster:
    """Take a namespace out of `cluster`. Pulsar DELETES its topics there. Needs an explicit word."""

    cluster: str
    namespace: NamespaceName
    before: frozenset[str]
    after: frozenset[str]
    topics: int
    """How many topics are deleted."""


@dataclass(frozen=True, slots=True)
class SetPermission:
    """Make `after` all that a role may do in a namespace; none revokes."""

    cluster: str
    namespace: NamespaceName
    role: str
    before: frozenset[str]
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class CreateTopic:
    cluster: str
    topic: TopicName
    partitions: int


@dataclass(frozen=True, slots=True)
class GrowTopic:
    """Raise a topic's partitions: keys move to other partitions from then on."""

    cluster: str
    topic: TopicName
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class HoldMessages:
    """Keep a topic's messages until `subscription` has acknowledged them, whatever the namespace's backlog quota."""

    cluster: str
    topic: TopicName
    subscription: str


@dataclass(frozen=True, slots=True)
class UploadSchema:
    """Register the topic's next schema version; `before` is the latest version there is (None: the first)."""

    cluster: str
    topic: TopicName
    schema: str
    """Its name for people: `reading.v2`."""
    before: int | None
    text: str


Step = (
    RegisterCluster
    | SetTenant
    | CreateNamespace
    | SetPolicy
    | LeaveCluster
    | SetPermission
    | CreateTopic
    | GrowTopic
    | HoldMessages
    | UploadSchema
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order they are to be taken, and remarks on what is deliberately left alone."""

    tenants: tuple[str, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def deletes(self) -> tuple[LeaveCluster, ...]:
        """The steps that delete something."""
        return tuple(step for step in self.steps if isinstance(step, LeaveCluster))
