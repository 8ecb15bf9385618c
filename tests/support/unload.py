"""Partitions taken from their broker: it lets go of them and of all that is connected to them, and loads them anew."""

from __future__ import annotations

from collections.abc import Iterable

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError


def unload(http: AdminHttp, partitions: Iterable[str]) -> int:
    """Of partitions by their full names; gives how many the broker let go of. It refuses for one that nobody has asked
    for since it let go of it last."""
    done = 0
    for name in partitions:
        try:
            http.put(f"/admin/v2/{name.replace('://', '/')}/unload")
        except ClusterError:
            continue
        done += 1
    return done
