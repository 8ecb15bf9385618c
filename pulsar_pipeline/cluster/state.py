"""What can be seen of a cluster: frozen values, in the product's units, whoever answered (admin REST or the fake)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNLIMITED = -1
"""In every size, duration and rate."""


@dataclass(frozen=True, slots=True, order=True)
class NamespaceName:
    """`tenant/namespace`."""

    tenant: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.namespace}"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """How a cluster reaches a peer (or itself): URLs, None where not set."""

    admin_url: str | None = None
    admin_url_tls: str | None = None
    broker_url: str | None = None
    broker_url_tls: str | None = None


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """A tenant in one cluster."""

    admin_roles: frozenset[str]
    allowed_clusters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long acknowledged messages stay. Pulsar keeps minutes and megabytes, and takes both or neither as 0."""

    minutes: int
    megabytes: int


@dataclass(frozen=True, slots=True)
class BacklogQuota:
    """Most unacknowledged data per topic (bytes, seconds) and what happens beyond (Pulsar's policy name)."""

    size: int
    time: int
    policy: str


@dataclass(frozen=True, slots=True)
class PublishRate:
    """Most messages and bytes a second per topic."""

    messages: int
    size: int


PolicyValue = Retention | BacklogQuota | PublishRate | frozenset[str] | bool | int | str


class Policy(StrEnum):
    """The namespace policies the product sets; each value is the field of `NamespacePolicies` that holds it."""

    AUTO_TOPIC_CREATION = "auto_topic_creation"
    RETENTION = "retention"
    BACKLOG_QUOTA = "backlog_quota"
    TTL = "ttl"
    COMPACTION_THRESHOLD = "compaction_threshold"
    DEDUPLICATION = "deduplication"
    SCHEMA_COMPATIBILITY = "schema_compatibility"
    SCHEMA_ENFORCED = "schema_enforced"
    PUBLISH_RATE = "publish_rate"
    REPLICATION = "replication"


@dataclass(frozen=True, slots=True)
class NamespacePolicies:
    """A namespace in one cluster. None: not set there (observed), or not declared (desired)."""

    replication: frozenset[str] | None = None
    """Clusters that hold the namespace."""
    retention: Retention | None = None
    backlog_quota: BacklogQuota | None = None
    ttl: int | None = None
    """Seconds; 0 is never."""
    compaction_threshold: int | None = None
    """Bytes; 0 is never."""
    deduplication: bool | None = None
    schema_compatibility: str | None = None
    """In Pulsar's spelling, for example `FULL_TRANSITIVE`."""
    schema_enforced: bool | None = None
    """Producers without a schema are refused on topics that have one."""
    auto_topic_creation: bool | None = None
    publish_rate: PublishRate | None = None
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Role → actions."""

    def value(self, policy: Policy) -> PolicyValue | None:
        """The value of one policy."""
        found: PolicyValue | None = getattr(self, policy.value)
        return found


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One version of a topic's schema, as the registry keeps it."""

    version: int
    type: str
    """Pulsar's type: `AVRO`, `JSON`, `BYTES`, …"""
    text: str


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic in one cluster. `partitions` is 0 for a topic that is not partitioned."""

    partitions: int
    schemas: tuple[RegisteredSchema, ...] = ()
    """Every live version, oldest first."""
