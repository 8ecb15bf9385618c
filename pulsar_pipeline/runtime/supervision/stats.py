"""What an instance counts, added up per batch and read by the control service and Prometheus.

Plain numbers under one lock: nothing is touched per event but by the loop itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pulsar_pipeline.clock import Clock

KEPT_EXCEPTIONS = 10
"""How many of the latest exceptions `status` shows; Pulsar's own instance keeps as many."""

_MINUTE_S = 60.0


@dataclass(frozen=True)
class Failure:
    """One exception as `status` shows it."""

    text: str
    at_ms: int


@dataclass
class Counts:
    """Counters that only grow; latency is the sum over processed events in milliseconds."""

    received: int = 0
    processed: int = 0
    user_exceptions: int = 0
    system_exceptions: int = 0
    latency_ms: float = 0.0

    def add(self, other: Counts) -> None:
        self.received += other.received
        self.processed += other.processed
        self.user_exceptions += other.user_exceptions
        self.system_exceptions += other.system_exceptions
        self.latency_ms += other.latency_ms

    def minus(self, other: Counts) -> Counts:
        return Counts(
            self.received - other.received,
            self.processed - other.processed,
            self.user_exceptions - other.user_exceptions,
            self.system_exceptions - other.system_exceptions,
            self.latency_ms - other.latency_ms,
        )

    @property
    def average_latency_ms(self) -> float:
        done = self.processed + self.user_exceptions
        return self.latency_ms / done if done else 0.0


@dataclass
class UserMetric:
    """A metric of the function's own: `context.record_metric(name, value)`."""

    count: int = 0
    total: float = 0.0
    last: float = 0.0

    def record(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.last = value

    def add(self, later: UserMetric) -> None:
        self.count += later.count
        self.total += later.total
        self.last = later.last


@dataclass(frozen=True)
class Snapshot:
    """Consistent copy of all counts at one moment."""

    total: Counts
    last_minute: Counts
    """Since the start of the running minute, as Pulsar's `_1min` metrics mean it."""
    last_invocation_ms: int
    user_metrics: dict[str, UserMetric]
    user_failures: tuple[Failure, ...]
    system_failures: tuple[Failure, ...]


@dataclass
class Stats:
    """Thread-safe; the loop adds, the control and metrics threads read."""

    clock: Clock
    _total: Counts = field(default_factory=Counts)
    _minute_base: Counts = field(default_factory=Counts)
    _minute_start: float = 0.0
    _last_invocation_ms: int = 0
    _user_metrics: dict[str, UserMetric] = field(default_factory=dict)
    _user_failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT_EXCEPTIONS))
    _system_failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT_EXCEPTIONS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._start_minute(self.clock.monotonic())

    def add(self, counts: Counts) -> None:
        """Take in what one batch came to."""
        with self._lock:
            self._total.add(counts)
            self._last_invocation_ms = self.clock.now_ms()

    def user_failure(self, text: str) -> None:
        """An event the function or its data failed on; counted in the batch's own Counts."""
        with self._lock:
            self._user_failures.append(Failure(text, self.clock.now_ms()))

    def system_failure(self, text: str) -> None:
        """Something of the platform's failed; counted at once."""
        with self._lock:
            self._total.system_exceptions += 1
            self._system_failures.append(Failure(text, self.clock.now_ms()))

    def add_metrics(self, recorded: Mapping[str, UserMetric]) -> None:
        """Take in what the function recorded in a batch."""
        with self._lock:
            for name, metric in recorded.items():
                self._user_metrics.setdefault(name, UserMetric()).add(metric)

    def reset(self) -> None:
        """Forget the running minute and the user metrics (`ResetMetrics` of the control service)."""
        with self._lock:
            self._start_minute(self.clock.monotonic())
            self._user_metrics.clear()

    def snapshot(self) -> Snapshot:
        with self._lock:
            now = self.clock.monotonic()
            if now - self._minute_start >= _MINUTE_S:
                self._start_minute(now)
            return Snapshot(
                total=self._total.minus(Counts()),
                last_minute=self._total.minus(self._minute_base),
                last_invocation_ms=self._last_invocation_ms,
                user_metrics={name: UserMetric(m.count, m.total, m.last) for name, m in self._user_metrics.items()},
                user_failures=tuple(self._user_failures),
                system_failures=tuple(self._system_failures),
            )

    def _start_minute(self, now: float) -> None:
        self._minute_start = now
        self._minute_base = self._total.minus(Counts())
