"""When a cluster can be worked with: its functions worker has a leader and its first namespace exists."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.spec.model import Cluster

_NEEDED = ("/admin/v2/namespaces/public/default", "/admin/v2/worker/cluster", "/admin/v2/worker/cluster/leader")
"""In the order in which they come to be; the health endpoint turns ok before any of them."""
_POLL_S = 0.2
_ANSWER_S = 10.0


def is_ready(name: str, cluster: Cluster) -> bool:
    """Asks once; False too if the cluster does not answer."""
    with AdminHttp(name, cluster, timeout_s=_ANSWER_S) as http:
        return _answers(http)


def wait_ready(
    clusters: Mapping[str, Cluster],
    timeout_s: float,
    *,
    still_waiting: Callable[[str], None],
    is_up: Callable[[str], None],
) -> str | None:
    """Blocks until all can be worked with (None) or the time is up (the name of one that cannot).

    `is_up` is called once for each as it gets ready; `still_waiting` again and again for the others: it may raise.
    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        waiting = {
            name: stack.enter_context(closing(AdminHttp(name, cluster, timeout_s=_ANSWER_S)))
            for name, cluster in clusters.items()
        }
        while True:
            for name in [name for name, http in waiting.items() if _answers(http)]:
                del waiting[name]
                is_up(name)
            for name in waiting:
                still_waiting(name)
            if not waiting or time.monotonic() > deadline:
                return next(iter(waiting), None)
            time.sleep(_POLL_S)


def _answers(http: AdminHttp) -> bool:
    try:
        return all(http.get(path) for path in _NEEDED)
    except ClusterError:
        return False
