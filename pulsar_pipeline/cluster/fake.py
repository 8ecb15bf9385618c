"""A cluster in memory that answers as a real one does (both pass `tests/contract/test_cluster.py`).

For tests of whatever takes a reader or writer, and for trying a plan without a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import RLock

from pulsar_pipeline.cluster.state import (
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    Policy,
    PolicyValue,
    RegisteredSchema,
    TenantInfo,
)
from pulsar_pipeline.errors import ClusterConflict, ClusterError, ClusterNotFound, ClusterUnreachable
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.schemas.compatibility import incompatibilities, same_schema
from pulsar_pipeline.schemas.schema import schema_from_text

_DEFAULT_STRATEGY = "FULL"


class FakeCluster:
    """See `ClusterReader` and `ClusterWriter`.

    `down` makes every call raise ClusterUnreachable; `writes_left` does so for every write beyond that many.
    `writes` counts the calls that may change something.
    """

    def __init__(self, name: str) -> None:
        self.down = False
        self.writes_left: int | None = None
        self.writes = 0
        self._name = name
        self._lock = RLock()
        self._records: dict[str, ClusterRecord] = {name: ClusterRecord(f"http://{name}", None, f"pulsar://{name}")}
        self._tenants: dict[str, TenantInfo] = {}
        self._namespaces: dict[NamespaceName, NamespacePolicies] = {}
        self._topics: dict[TopicName, int] = {}  # partitions; 0 for one without
        self._schemas: dict[TopicName, list[RegisteredSchema]] = {}
        self._subscriptions: dict[TopicName, frozenset[str]] = {}

    @property
    def name(self) -> str:
        return self._name

    # ── reader ────────────────────────────────────────────────────────────────────────────────

    def cluster_names(self) -> frozenset[str]:
        self._answer()
        return frozenset(self._records)

    def cluster_record(self, name: str) -> ClusterRecord | None:
        self._answer()
        return self._records.get(name)

    def tenant(self, name: str) -> TenantInfo | None:
        self._answer()
        return self._tenants.get(name)

    def namespaces(self, tenant: str) -> frozenset[NamespaceName]:
        self._answer()
        return frozenset(name for name in self._namespaces if name.tenant == tenant)

    def policies(self, namespace: NamespaceName) -> NamespacePolicies | None:
        self._answer()
        return self._namespaces.get(namespace)

    def topics(self, namespace: NamespaceName) -> Mapping[TopicName, bool]:
        self._answer()
        return {name: partitions > 0 for name, partitions in self._topics.items() if _namespace(name) == namespace}

    def partitions(self, topic: TopicName) -> int:
        self._answer()
        return self._topics.get(topic, 0)

    def schemas(self, topic: TopicName) -> tuple[RegisteredSchema, ...]:
        self._answer()
        return tuple(self._schemas.get(topic, ()))

    def subscriptions(self, topic: TopicName) -> frozenset[str]:
        self._answer()
        return self._subscriptions.get(topic, frozenset())

    # ── writer ────────────────────────────────────────────────────────────────────────────────

    def put_cluster(self, name: str, record: ClusterRecord) -> None:
        with self._write():
            self._records[name] = record

    def put_tenant(self, name: str, info: TenantInfo) -> None:
        with self._write():
            self._refuse(info.allowed_clusters - set(self._records), "clusters that are not registered")
            self._tenants[name] = info

    def create_namespace(self, namespace: NamespaceName, replication: frozenset[str]) -> None:
        with self._write():
            if namespace.tenant not in self._tenants:
                raise ClusterNotFound(f"no tenant {namespace.tenant}", where=self._where)
            self._check_replication(namespace, replication)
            new = NamespacePolicies(replication=replication, schema_enforced=False)
            self._namespaces.setdefault(namespace, new)

    def set_policy(self, namespace: NamespaceName, policy: Policy, value: PolicyValue) -> None:
        with self._write():
            there = self._namespace(namespace)
            if policy is Policy.REPLICATION and isinstance(value, frozenset):
                self._check_replication(namespace, value)
                if self._name not in value:
                    self._drop_topics(namespace)
            changes = {policy.value: value}
            self._namespaces[namespace] = replace(there, **changes)  # type: ignore[arg-type]

    def set_permission(self, namespace: NamespaceName, role: str, actions: frozenset[str]) -> None:
        with self._write():
            there = self._namespace(namespace)
            permissions = {**there.permissions, role: actions}
            kept = {name: granted for name, granted in permissions.items() if granted}
            self._namespaces[namespace] = replace(there, permissions=kept)

    def create_topic(self, topic: TopicName, partitions: int) -> None:
        with self._write():
            self._check_held(_namespace(topic))
            if topic in self._topics and self._topics[topic] != partitions:
                raise ClusterConflict(f"{topic} is there already", where=self._where)
            self._topics.setdefault(topic, partitions)

    def grow_topic(self, topic: TopicName, partitions: int) -> None:
        with self._write():
            there = self._topic(topic)
            if partitions < there:
                raise ClusterError(f"{topic} has {there} partitions and cannot shrink", where=self._where)
            self._topics[topic] = partitions

    def hold_messages(self, topic: TopicName, subscription: str) -> None:
        with self._write():
            self._topic(topic)
            self._subscriptions[topic] = self.subscriptions(topic) | {subscription}

    def upload_schema(self, topic: TopicName, text: str) -> None:
        with self._write():
            self._namespace(_namespace(topic))
            there = self._schemas.setdefault(topic, [])  # as in Pulsar, a schema may come before its topic
            new = schema_from_text(text, str(topic))
            known = [schema_from_text(schema.text, str(topic)) for schema in there]
            if any(same_schema(new, schema) for schema in known):
                return
            strategy = self._namespace(_namespace(topic)).schema_compatibility or _DEFAULT_STRATEGY
            problems = incompatibilities(strategy.lower(), new, known)
            if problems:
                raise ClusterConflict(f"incompatible schema: {'; '.join(problems)}", where=self._where)
            there.append(RegisteredSchema(len(there), "AVRO", text))

    # ── for tests ─────────────────────────────────────────────────────────────────────────────

    def add_unpartitioned_topic(self, topic: TopicName) -> None:
        """As auto-creation leaves one behind."""
        self._topics[topic] = 0

    def release(self, topic: TopicName) -> None:
        """As before anything held its messages."""
        self._subscriptions.pop(topic, None)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    @property
    def _where(self) -> str:
        return f"cluster {self._name}"

    def _answer(self) -> None:
        if self.down:
            raise ClusterUnreachable("no answer", where=self._where, mend="is the cluster up?")

    def _write(self) -> RLock:
        self._answer()
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise ClusterUnreachable("no answer", where=self._where, mend="is the cluster up?")
            self.writes_left -= 1
        self.writes += 1
        return self._lock

    def _namespace(self, name: NamespaceName) -> NamespacePolicies:
        if name not in self._namespaces:
            raise ClusterNotFound(f"no namespace {name}", where=self._where)
        return self._namespaces[name]

    def _topic(self, name: TopicName) -> int:
        if name not in self._topics:
            raise ClusterNotFound(f"no topic {name}", where=self._where)
        return self._topics[name]

    def _check_replication(self, namespace: NamespaceName, clusters: frozenset[str]) -> None:
        allowed = self._tenants[namespace.tenant].allowed_clusters
        self._refuse(clusters - allowed, f"clusters that tenant {namespace.tenant} may not use")

    def _check_held(self, namespace: NamespaceName) -> None:
        if self._name not in (self._namespace(namespace).replication or ()):
            raise ClusterError(f"{namespace} is not held here", where=self._where)

    def _refuse(self, clusters: set[str] | frozenset[str], what: str) -> None:
        if clusters:
            raise ClusterError(f"{what}: {', '.join(sorted(clusters))}", where=self._where)

    def _drop_topics(self, namespace: NamespaceName) -> None:
        for topic in [name for name in self._topics if _namespace(name) == namespace]:
            del self._topics[topic]
            self._schemas.pop(topic, None)
            self._subscriptions.pop(topic, None)


def _namespace(topic: TopicName) -> NamespaceName:
    return NamespaceName(topic.tenant, topic.namespace)
