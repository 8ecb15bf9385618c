"""Namespace policies on the wire: a table with one row per policy, both ways between typed values and admin REST."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.cluster.state import (
    UNLIMITED,
    BacklogQuota,
    NamespacePolicies,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
)

Document = Mapping[str, Any]
"""The `Policies` JSON of a namespace."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request below `/admin/v2/namespaces/TENANT/NAMESPACE/`."""

    method: str
    path: str
    body: Any
    params: Mapping[str, str] | None = None


def decode_policies(document: Document, cluster: str) -> NamespacePolicies:
    """From the `Policies` JSON that `cluster` answers."""
    roles = (document.get("auth_policies") or {}).get("namespace_auth") or {}
    return NamespacePolicies(
        **{policy.value: read(document, cluster) for policy, read in _READ.items()},
        permissions={role: frozenset(actions) for role, actions in roles.items()},
    )


def encode_policy(policy: Policy, value: PolicyValue) -> Iterator[Call]:
    """The requests that set one policy, in order."""
    return _WRITE[policy](value)


# ── from JSON ─────────────────────────────────────────────────────────────────────────────────


def _key(name: str) -> Callable[[Document, str], Any]:
    return lambda document, _cluster: document.get(name)


def _replication(document: Document, _cluster: str) -> frozenset[str]:
    return frozenset(document.get("replication_clusters") or ())


def _retention(document: Document, _cluster: str) -> Retention | None:
    found = document.get("retention_policies")
    return Retention(found["retentionTimeInMinutes"], found["retentionSizeInMB"]) if found else None


def _backlog_quota(document: Document, _cluster: str) -> BacklogQuota | None:
    """One value of Pulsar's two quotas; a missing or different half reads as a value nobody can declare."""
    quotas = document.get("backlog_quota_map") or {}
    by_size, by_time = quotas.get("destination_storage"), quotas.get("message_age")
    if not by_size and not by_time:
        return None
    policies = {quota["policy"] for quota in (by_size, by_time) if quota}
    return BacklogQuota(
        size=_limit(by_size["limitSize"]) if by_size else _UNSET,
        time=_limit(by_time["limitTime"]) if by_time else _UNSET,
        policy="|".join(sorted(policies)),
    )


_UNSET = -2
"""Half of a backlog quota that is not set, so that the broker's default holds."""


def _limit(value: int) -> int:
    return value if value > 0 else UNLIMITED


def _schema_compatibility(document: Document, _cluster: str) -> str | None:
    found: str | None = document.get("schema_compatibility_strategy")
    return None if found == "UNDEFINED" else found


def _auto_topic_creation(document: Document, _cluster: str) -> bool | None:
    found = document.get("autoTopicCreationOverride")
    return found["allowAutoTopicCreation"] if found else None


def _publish_rate(document: Document, cluster: str) -> PublishRate | None:
    found = (document.get("publishMaxMessageRate") or {}).get(cluster)
    if not found:
        return None
    return PublishRate(_limit(found["publishThrottlingRateInMsg"]), _limit(found["publishThrottlingRateInByte"]))


_READ: Mapping[Policy, Callable[[Document, str], Any]] = {
    Policy.REPLICATION: _replication,
    Policy.RETENTION: _retention,
    Policy.BACKLOG_QUOTA: _backlog_quota,
    Policy.TTL: _key("message_ttl_in_seconds"),
    Policy.COMPACTION_THRESHOLD: _key("compaction_threshold"),
    Policy.DEDUPLICATION: _key("deduplicationEnabled"),
    Policy.SCHEMA_COMPATIBILITY: _schema_compatibility,
    Policy.SCHEMA_ENFORCED: _key("schema_validation_enforced"),
    Policy.AUTO_TOPIC_CREATION: _auto_topic_creation,
    Policy.PUBLISH_RATE: _publish_rate,
}


# ── to requests ───────────────────────────────────────────────────────────────────────────────


def _plain(method: str, path: str) -> Callable[[Any], Iterator[Call]]:
    return lambda value: iter((Call(method, path, value),))


def _retention_call(value: Retention) -> Iterator[Call]:
    body = {"retentionTimeInMinutes": value.minutes, "retentionSizeInMB": value.megabytes}
    yield Call("POST", "retention", body)


def _backlog_calls(value: BacklogQuota) -> Iterator[Call]:
    for kind, limit in (
        ("destination_storage", {"limitSize": value.size}),
        ("message_age", {"limitSize": UNLIMITED, "limitTime": value.time}),
    ):
        yield Call("POST", "backlogQuota", limit | {"policy": value.policy}, {"backlogQuotaType": kind})


def _auto_topic_creation_call(value: bool) -> Iterator[Call]:
    body = {"allowAutoTopicCreation": value, "topicType": "partitioned", "defaultNumPartitions": 1} if value else {}
    yield Call("POST", "autoTopicCreation", body or {"allowAutoTopicCreation": False})


def _publish_rate_call(value: PublishRate) -> Iterator[Call]:
    body = {"publishThrottlingRateInMsg": value.messages, "publishThrottlingRateInByte": value.size}
    yield Call("POST", "publishRate", body)


_WRITE: Mapping[Policy, Callable[[Any], Iterator[Call]]] = {
    Policy.REPLICATION: lambda clusters: iter((Call("POST", "replication", sorted(clusters)),)),
    Policy.RETENTION: _retention_call,
    Policy.BACKLOG_QUOTA: _backlog_calls,
    Policy.TTL: _plain("POST", "messageTTL"),
    Policy.COMPACTION_THRESHOLD: _plain("PUT", "compactionThreshold"),
    Policy.DEDUPLICATION: _plain("POST", "deduplication"),
    Policy.SCHEMA_COMPATIBILITY: _plain("PUT", "schemaCompatibilityStrategy"),
    Policy.SCHEMA_ENFORCED: _plain("POST", "schemaValidationEnforced"),
    Policy.AUTO_TOPIC_CREATION: _auto_topic_creation_call,
    Policy.PUBLISH_RATE: _publish_rate_call,
}
