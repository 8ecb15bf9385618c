"""A namespace's spec → its policies in Pulsar's terms: whole minutes and megabytes (rounded up), 0 for "never"."""

from __future__ import annotations

from collections.abc import Mapping

from pulsar_pipeline.cluster import state
from pulsar_pipeline.cluster.state import UNLIMITED, NamespacePolicies
from pulsar_pipeline.spec.model import BacklogQuota, Namespace, PublishRate, Retention

_MINUTE = 60
_MEGABYTE = 1 << 20
_NEVER = 0


def policies_of(
    namespace: Namespace,
    clusters: frozenset[str],
    permissions: Mapping[str, frozenset[str]],
    *,
    deduplicated: bool = False,
) -> NamespacePolicies:
    """What is declared; None for what is not. Deduplication, where not declared, is as the deployments need it."""
    return NamespacePolicies(
        replication=clusters,
        retention=_retention(namespace.retention),
        backlog_quota=_backlog_quota(namespace.backlog_quota),
        ttl=_never(namespace.ttl),
        compaction_threshold=_never(namespace.compaction_threshold),
        deduplication=deduplicated if namespace.deduplication is None else namespace.deduplication,
        schema_compatibility=namespace.schemas.compatibility.upper(),
        schema_enforced=namespace.schemas.enforce,
        auto_topic_creation=False,
        publish_rate=_publish_rate(namespace.publish_rate),
        permissions=permissions,
    )


def state_policies(clusters: frozenset[str], permissions: Mapping[str, frozenset[str]]) -> NamespacePolicies:
    """Of the namespace of state logs: nothing in it expires, on no cluster and on no way between two. What the logs'
    own subscription has acknowledged (what is before their last checkpoint) need not be kept."""
    return NamespacePolicies(
        replication=clusters,
        retention=state.Retention(0, 0),
        ttl=_NEVER,
        deduplication=True,
        schema_enforced=False,
        auto_topic_creation=False,
        permissions=permissions,
    )


def fits(quota: state.BacklogQuota, retention: state.Retention | None) -> bool:
    """Pulsar's rule: where both sizes are limited, the backlog quota stays below the retention."""
    if retention is None or retention.megabytes <= 0:
        return True
    return quota.size < retention.megabytes * _MEGABYTE


def _retention(declared: Retention) -> state.Retention:
    return state.Retention(_round_up(declared.time, _MINUTE), _round_up(declared.size, _MEGABYTE))


def _backlog_quota(declared: BacklogQuota | None) -> state.BacklogQuota | None:
    if declared is None:
        return None
    # Pulsar reads a limit of 0 as none at all
    return state.BacklogQuota(declared.size or UNLIMITED, declared.time or UNLIMITED, declared.policy)


def _publish_rate(declared: PublishRate | None) -> state.PublishRate | None:
    if declared is None:
        return None
    return state.PublishRate(declared.messages or UNLIMITED, declared.size or UNLIMITED)


def _round_up(value: int, unit: int) -> int:
    return value if value == UNLIMITED else -(-value // unit)


def _never(value: int | None) -> int | None:
    """Without a limit is 0 to Pulsar where a limit of nothing would make no sense."""
    return _NEVER if value == UNLIMITED else value
