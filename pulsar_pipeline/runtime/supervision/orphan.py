"""Ends an instance whose functions worker is gone, so that its partitions are free for a new one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from pulsar_pipeline.runtime.stop import StopSignal

_CHECK_S = 1.0
_MISSED_HEALTHCHECKS = 3
_SHORTEST_LIMIT_S = 30
"""A worker under load may be late; a gone parent process is seen at once anyway."""


def watch(stop: StopSignal, healthcheck_interval_s: int, last_healthcheck: Callable[[], float]) -> None:
    """Set `stop` when the parent process changes, or when the worker has not asked for three intervals.

    An interval of 0 or less means that nobody asks (Kubernetes probes the process by other means).
    """
    parent = os.getppid()
    limit = max(_MISSED_HEALTHCHECKS * healthcheck_interval_s, _SHORTEST_LIMIT_S) if healthcheck_interval_s > 0 else 0

    def run() -> None:
        while not stop.event.wait(_CHECK_S):
            if os.getppid() != parent:
                stop.set("the functions worker is gone")
            elif limit > 0 and time.monotonic() - last_healthcheck() > limit:
                stop.set(f"the functions worker has not asked for {limit} s")

    threading.Thread(target=run, name="orphan", daemon=True).start()
