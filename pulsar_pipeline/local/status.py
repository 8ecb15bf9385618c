"""How a local cluster is, as `local status` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    UNREADY = "unready"
    """Its JVM runs but does not answer as it should: it is starting, or it hangs."""
    DEAD = "dead"
    """It was started and ended without being stopped."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """One cluster, as it is now."""

    cluster: str
    state: State
    pid: int | None
    admin_url: str | None
    broker_url: str | None
    log: str
