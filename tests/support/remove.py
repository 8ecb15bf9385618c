"""Taking a test's tenant away again, for sessions that share running clusters."""

from __future__ import annotations

from contextlib import suppress

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.spec.model import Platform

_PATIENCE_S = 5.0
"""A broker answers to the deletion of a topic at once, or, now and then where it is replicated, never."""


def remove_tenant(platform: Platform, tenant: str) -> None:
    """Delete a tenant with its namespaces and topics from every cluster, as far as the clusters let one."""
    for name, cluster in platform.clusters.items():
        with AdminHttp(name, cluster, timeout_s=_PATIENCE_S) as http, suppress(ClusterError):
            for namespace in http.get(f"/admin/v2/namespaces/{tenant}"):
                _remove_namespace(http, name, namespace)
            http.delete(f"/admin/v2/tenants/{tenant}")


def _remove_namespace(http: AdminHttp, cluster: str, namespace: str) -> None:
    with suppress(ClusterError):
        # a namespace of several clusters, or of others, cannot be deleted
        http.post(f"/admin/v2/namespaces/{namespace}/replication", json=[cluster])
        for topic in http.get(f"/admin/v2/persistent/{namespace}/partitioned"):
            with suppress(ClusterError):
                http.delete(f"/admin/v2/persistent/{_path(topic)}/partitions", params={"force": "true"})
        for topic in http.get(f"/admin/v2/persistent/{namespace}"):
            with suppress(ClusterError):
                http.delete(f"/admin/v2/persistent/{_path(topic)}", params={"force": "true"})
        http.delete(f"/admin/v2/namespaces/{namespace}")


def _path(topic: str) -> str:
    return topic.removeprefix("persistent://")
