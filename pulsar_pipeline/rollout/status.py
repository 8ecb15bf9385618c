"""What the functions worker says of running instances, as values; and whether that is good. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

_NOT_YET = (
    "Function has not been scheduled",
    "Not alive",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "io exception",
    "starting",
    "waiting for its partitions",
)
"""Parts of what the worker or our runtime says of an instance that does not run yet and may soon."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One exception that an instance reports."""

    message: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance. Counts are since its process started."""

    instance: int
    running: bool
    error: str
    """Why it does not run; empty for one that does."""
    restarts: int
    received: int
    processed: int
    user_failures: int
    system_failures: int
    last_failures: tuple[Failure, ...]
    """User and system exceptions, oldest first."""
    mean_latency_ms: float
    last_event_ms: int
    worker: str

    @property
    def starting(self) -> bool:
        """It does not run, and nothing says that it cannot."""
        return not self.running and (not self.error or any(sign in self.error for sign in _NOT_YET))


@dataclass(frozen=True, slots=True)
class FunctionStatus:
    """All instances of a function."""

    instances: tuple[InstanceStatus, ...]


class Health(Enum):
    """The state of a deployment as a whole."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


def health(status: FunctionStatus, parallelism: int) -> Health:
    """RUNNING when every instance runs; FAILED when one says why it cannot. Instances beyond `parallelism` are on
    their way out."""
    if any(not each.running and not each.starting for each in status.instances if each.instance < parallelism):
        return Health.FAILED
    running = sum(each.running for each in status.instances)
    return Health.RUNNING if running == parallelism == len(status.instances) else Health.STARTING


@dataclass(frozen=True, slots=True)
class InstanceStats:
    """Throughput of one instance, or of all together."""

    instance: int | None
    received: int
    processed: int
    user_failures: int
    system_failures: int
    mean_latency_ms: float | None
    received_last_minute: int
    processed_last_minute: int
    user_failures_last_minute: int
    mean_latency_last_minute_ms: float | None
    last_event_ms: int | None
    metrics: Mapping[str, float]
    """The function's own, recorded with `context.record_metric`."""


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """Sums over the instances, and each."""

    total: InstanceStats
    instances: tuple[InstanceStats, ...]


def parse_status(document: Mapping[str, Any]) -> FunctionStatus:
    """From the worker's JSON (`FunctionStatus` of Pulsar's admin API)."""
    entries = sorted(document.get("instances") or (), key=lambda entry: entry["instanceId"])
    return FunctionStatus(tuple(_instance(entry["instanceId"], entry["status"]) for entry in entries))


def _instance(number: int, status: Mapping[str, Any]) -> InstanceStatus:
    failures = [*_failures(status.get("latestUserExceptions")), *_failures(status.get("latestSystemExceptions"))]
    return InstanceStatus(
        instance=number,
        running=bool(status.get("running")),
        error=status.get("error") or "",
        restarts=status.get("numRestarts") or 0,
        received=status.get("numReceived") or 0,
        processed=status.get("numSuccessfullyProcessed") or 0,
        user_failures=status.get("numUserExceptions") or 0,
        system_failures=status.get("numSystemExceptions") or 0,
        last_failures=tuple(sorted(failures, key=lambda failure: failure.time_ms)),
        mean_latency_ms=status.get("averageLatency") or 0.0,
        last_event_ms=status.get("lastInvocationTime") or 0,
        worker=status.get("workerId") or "",
    )


def _failures(entries: Iterable[Mapping[str, Any]] | None) -> list[Failure]:
    return [Failure(entry.get("exceptionString") or "", entry.get("timestampMs") or 0) for entry in entries or ()]


def parse_stats(document: Mapping[str, Any]) -> FunctionStats:
    """From the worker's JSON (`FunctionStats` of Pulsar's admin API)."""
    entries = sorted(document.get("instances") or (), key=lambda entry: entry["instanceId"])
    return FunctionStats(
        _stats(None, document), tuple(_stats(entry["instanceId"], entry.get("metrics") or {}) for entry in entries)
    )


def _stats(number: int | None, counts: Mapping[str, Any]) -> InstanceStats:
    minute = counts.get("1min") or {}
    return InstanceStats(
        instance=number,
        received=counts.get("receivedTotal") or 0,
        processed=counts.get("processedSuccessfullyTotal") or 0,
        user_failures=counts.get("userExceptionsTotal") or 0,
        system_failures=counts.get("systemExceptionsTotal") or 0,
        mean_latency_ms=counts.get("avgProcessLatency"),
        received_last_minute=minute.get("receivedTotal") or 0,
        processed_last_minute=minute.get("processedSuccessfullyTotal") or 0,
        user_failures_last_minute=minute.get("userExceptionsTotal") or 0,
        mean_latency_last_minute_ms=minute.get("avgProcessLatency"),
        last_event_ms=counts.get("lastInvocation"),
        metrics=counts.get("userMetrics") or {},
    )
