"""When a cluster can be worked with: its functions worker has a leader and its first namespace exists."""

from __future__ import annotations

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError

_NEEDED = ("/admin/v2/namespaces/public/default", "/admin/v2/worker/cluster", "/admin/v2/worker/cluster/leader")
"""In the order in which they come to be; the health endpoint turns ok before any of them."""


def is_ready(http: AdminHttp) -> bool:
    """Asks the cluster; False too while it does not answer."""
    try:
        return all(http.get(path) for path in _NEEDED)
    except ClusterError:
        return False
