"""Time as a dependency: pass a `Clock` in, so that tests decide what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the product asks of time."""

    def now_ms(self) -> int:
        """Wall-clock time, milliseconds since the Unix epoch (Pulsar's unit)."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; only differences mean something."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
