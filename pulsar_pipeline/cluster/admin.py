"""A real Pulsar cluster: `ClusterWriter` over its admin REST API (v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.policies import decode_policies, encode_policy
from pulsar_pipeline.cluster.state import (
    UNLIMITED,
    ClusterRecord,
    NamespaceName,
    NamespacePolicies,
    Policy,
    PolicyValue,
    RegisteredSchema,
    TenantInfo,
)
from pulsar_pipeline.errors import ClusterConflict, ClusterNotFound
from pulsar_pipeline.names import PARTITION_SUFFIX, TopicName, parse_topic

_RECORD_KEYS = {
    "admin_url": "serviceUrl",
    "admin_url_tls": "serviceUrlTls",
    "broker_url": "brokerServiceUrl",
    "broker_url_tls": "brokerServiceUrlTls",
}
_EARLIEST = {"ledgerId": -1, "entryId": -1, "partitionIndex": -1}
_QUOTA_KINDS = ("destination_storage", "message_age")
_NO_QUOTA = {"limitSize": UNLIMITED, "limitTime": UNLIMITED, "policy": "producer_request_hold"}
_LOCAL_ONLY = {"createLocalTopicOnly": "true"}
_UPDATE_LOCAL_ONLY = {"updateLocalTopicOnly": "true"}


class AdminCluster:
    """See `ClusterReader` and `ClusterWriter`."""

    def __init__(self, http: AdminHttp) -> None:
        self._http = http

    @property
    def name(self) -> str:
        return self._http.name

    # ── reader ────────────────────────────────────────────────────────────────────────────────

    def cluster_names(self) -> frozenset[str]:
        return frozenset(self._http.get("/admin/v2/clusters"))

    def cluster_record(self, name: str) -> ClusterRecord | None:
        found = self._find(f"/admin/v2/clusters/{name}")
        return None if found is None else ClusterRecord(**{ours: found.get(key) for ours, key in _RECORD_KEYS.items()})

    def tenant(self, name: str) -> TenantInfo | None:
        found = self._find(f"/admin/v2/tenants/{name}")
        if found is None:
            return None
        return TenantInfo(frozenset(found.get("adminRoles") or ()), frozenset(found.get("allowedClusters") or ()))

    def namespaces(self, tenant: str) -> frozenset[NamespaceName]:
        found = self._find(f"/admin/v2/namespaces/{tenant}") or ()
        return frozenset(NamespaceName(*name.split("/")) for name in found)

    def policies(self, namespace: NamespaceName) -> NamespacePolicies | None:
        found = self._find(f"/admin/v2/namespaces/{namespace}")
        return None if found is None else decode_policies(found, self.name)

    def topics(self, namespace: NamespaceName) -> Mapping[TopicName, bool]:
        single = self._find(f"/admin/v2/persistent/{namespace}") or ()
        partitioned = self._find(f"/admin/v2/persistent/{namespace}/partitioned") or ()
        names = {parse_topic(name)[0]: False for name in single if PARTITION_SUFFIX not in name}
        names |= {parse_topic(name)[0]: True for name in partitioned}
        return {name: kind for name, kind in names.items() if not name.topic.startswith("__")}

    def partitions(self, topic: TopicName) -> int:
        found = self._find(f"/admin/v2/persistent/{topic.path}/partitions") or {}
        return int(found.get("partitions", 0))

    def schemas(self, topic: TopicName) -> tuple[RegisteredSchema, ...]:
        found = (self._find(f"/admin/v2/schemas/{topic.path}/schemas") or {}).get("getSchemaResponses") or ()
        versions = (RegisteredSchema(int(one["version"]), one["type"], one.get("data") or "") for one in found)
        return tuple(sorted(versions, key=lambda schema: schema.version))

    def subscriptions(self, topic: TopicName) -> frozenset[str]:
        return frozenset(self._find(f"/admin/v2/persistent/{topic.path}/subscriptions") or ())

    def _find(self, path: str) -> Any:
        """The answer to a GET; None for something that is not there."""
        try:
            return self._http.get(path)
        except ClusterNotFound:
            return None

    # ── writer ────────────────────────────────────────────────────────────────────────────────

    def put_cluster(self, name: str, record: ClusterRecord) -> None:
        path = f"/admin/v2/clusters/{name}"
        there = self._find(path)
        urls = {key: getattr(record, ours) for ours, key in _RECORD_KEYS.items()}
        if there is None:
            self._http.put(path, json=urls)
        else:
            self._http.post(path, json=there | urls)

    def put_tenant(self, name: str, info: TenantInfo) -> None:
        path = f"/admin/v2/tenants/{name}"
        body = {"adminRoles": sorted(info.admin_roles), "allowedClusters": sorted(info.allowed_clusters)}
        try:
            self._http.put(path, json=body)
        except ClusterConflict:
            self._http.post(path, json=body)

    def create_namespace(self, namespace: NamespaceName, replication: frozenset[str]) -> None:
        try:
            self._http.put(f"/admin/v2/namespaces/{namespace}", json={"replication_clusters": sorted(replication)})
        except ClusterConflict:
            return

    def set_policy(self, namespace: NamespaceName, policy: Policy, value: PolicyValue) -> None:
        for call in encode_policy(policy, value):
            path = f"/admin/v2/namespaces/{namespace}/{call.path}"
            self._http.request(call.method, path, json=call.body, params=call.params)

    def set_permission(self, namespace: NamespaceName, role: str, actions: frozenset[str]) -> None:
        path = f"/admin/v2/namespaces/{namespace}/permissions/{quote(role, safe='')}"
        if actions:
            self._http.post(path, json=sorted(actions))
        else:
            self._http.delete(path)

    def create_topic(self, topic: TopicName, partitions: int) -> None:
        path = f"/admin/v2/persistent/{topic.path}/partitions"
        try:
            self._http.put(path, json=partitions, params=_LOCAL_ONLY)
        except ClusterConflict:
            if self.partitions(topic) != partitions:
                raise

    def grow_topic(self, topic: TopicName, partitions: int) -> None:
        if self.partitions(topic) == partitions:
            return
        path = f"/admin/v2/persistent/{topic.path}/partitions"
        self._http.post(path, json=partitions, params=_UPDATE_LOCAL_ONLY)

    def hold_messages(self, topic: TopicName, subscription: str) -> None:
        path = f"/admin/v2/persistent/{topic.path}"
        for kind in _QUOTA_KINDS:
            self._http.post(f"{path}/backlogQuota", params={"backlogQuotaType": kind}, json=_NO_QUOTA)
        try:
            self._http.put(f"{path}/subscription/{quote(subscription, safe='')}", json=_EARLIEST)
        except ClusterConflict:
            return

    def upload_schema(self, topic: TopicName, text: str) -> None:
        body = {"type": "AVRO", "schema": text, "properties": {}}
        self._http.post(f"/admin/v2/schemas/{topic.path}/schema", json=body)
