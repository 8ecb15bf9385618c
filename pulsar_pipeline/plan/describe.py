"""One step in words and in JSON-able values: a table of kinds, and how sizes, times and sets are written."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal, assert_never

from pulsar_pipeline.cluster.state import (
    UNLIMITED,
    BacklogQuota,
    ClusterRecord,
    NamespaceName,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
    TenantInfo,
)
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
    UploadSchema,
)

Action = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Described:
    """A step, told. `before` and `after` are JSON-able; `text` is the rest of a line after action and object."""

    action: Action
    kind: str
    object: str
    before: Any
    after: Any
    text: str
    warning: str | None = None


def describe(step: Step) -> Described:  # noqa: PLR0911 - one return per kind of step
    """Tell a step."""
    match step:
        case RegisterCluster(_, peer, before, after):
            return _changed("cluster", peer, before, after, _record)
        case SetTenant(_, tenant, before, after):
            return _changed("tenant", tenant, before, after, _tenant)
        case CreateNamespace(_, namespace, replication):
            return Described(
                "create", "namespace", str(namespace), None, sorted(replication), f"in {_set(replication)}"
            )
        case SetPolicy(_, namespace, policy, before, after):
            return _policy(namespace, policy, before, after)
        case SetPermission(_, namespace, role, before, after):
            return _changed("permission", f"{namespace} {role}", before or None, after, _set)
        case LeaveCluster(cluster, namespace, before, after, topics):
            warning = f"deletes {topics} topics of {namespace} in {cluster}; needs --allow-delete"
            text = f"leaves {cluster}: {_set(before)} → {_set(after)}"
            return Described("delete", "namespace", str(namespace), sorted(before), sorted(after), text, warning)
        case CreateTopic(_, topic, partitions):
            return Described("create", "topic", topic.path, None, partitions, _partitions(partitions))
        case GrowTopic(_, topic, before, after):
            warning = "keys move to other partitions: order by key and state by key start anew for those that move"
            return Described("update", "topic", topic.path, before, after, f"partitions {before} → {after}", warning)
        case HoldMessages(_, topic, subscription):
            text = f"holds {topic.topic} until acknowledged"
            return Described("create", "subscription", f"{topic.path} {subscription}", None, subscription, text)
        case UploadSchema(_, topic, schema, before, text):
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            latest = "" if before is None else f" (latest there: version {before})"
            return Described(
                "create" if before is None else "update",
                "schema",
                topic.path,
                before,
                {"name": schema, "sha256": digest},
                f"{schema}{latest}",
            )
        case _:
            assert_never(step)


def _policy(namespace: NamespaceName, policy: Policy, before: PolicyValue | None, after: PolicyValue) -> Described:
    told = _changed("policy", str(namespace), before, after, lambda value: _policy_value(policy, value))
    title = policy.value.replace("_", " ")
    return Described(told.action, told.kind, f"{namespace} {title}", told.before, told.after, told.text)


def _changed(kind: str, name: str, before: Any, after: Any, write: Any) -> Described:
    action: Action = "create" if before is None else "update"
    text = write(after) if before is None else f"{write(before)} → {write(after)}"
    return Described(action, kind, name, None if before is None else jsonable(before), jsonable(after), text)


def jsonable(value: Any) -> Any:
    """Sets as sorted lists, dataclasses as objects."""
    if isinstance(value, frozenset):
        return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {key: jsonable(entry) for key, entry in asdict(value).items()}
    return value


# ── values in words ───────────────────────────────────────────────────────────────────────────


def _record(record: ClusterRecord) -> str:
    urls = (record.admin_url, record.admin_url_tls, record.broker_url, record.broker_url_tls)
    return " ".join(url for url in urls if url) or "no URLs"


def _tenant(info: TenantInfo) -> str:
    return f"admins {_set(info.admin_roles)}; in {_set(info.allowed_clusters)}"


def _policy_value(policy: Policy, value: PolicyValue) -> str:  # noqa: PLR0911 - one return per type
    match value:
        case Retention(minutes, megabytes):
            return f"{_duration(_scaled(minutes, 60))}, {_size(_scaled(megabytes, 1 << 20))}" if minutes else "none"
        case BacklogQuota(size, time, beyond):
            return f"{_size(size)}, {_duration(time)}, then {beyond}"
        case PublishRate(messages, size):
            return f"{'unlimited' if messages == UNLIMITED else messages} messages/s, {_size(size)}/s"
        case frozenset():
            return _set(value)
        case bool():
            return "on" if value else "off"
        case int() if value == 0:
            return "never"
        case int():
            return _duration(value) if policy is Policy.TTL else _size(value)
        case str():
            return value.lower()
        case _:
            assert_never(value)


def _partitions(number: int) -> str:
    return "1 partition" if number == 1 else f"{number} partitions"


def _set(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _size(size: int) -> str:
    return _with_unit(size, (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)))


def _duration(seconds: int) -> str:
    return _with_unit(seconds, (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)))


def _scaled(value: int, unit: int) -> int:
    return value if value == UNLIMITED else value * unit


def _with_unit(value: int, units: tuple[tuple[str, int], ...]) -> str:
    """In the largest unit that leaves it whole."""
    if value == UNLIMITED:
        return "unlimited"
    if value < 0:
        return "not set"
    return next(f"{value // size}{unit}" for unit, size in units if value % size == 0)
