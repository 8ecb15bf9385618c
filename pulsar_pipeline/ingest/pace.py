"""Keeping to a rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from pulsar_pipeline.clock import Clock

_SLACK_S = 0.002
"""Sleeping for less costs more than it gains."""


class Pace:
    """Lets through `rate` events a second, evenly; None is as fast as it goes."""

    def __init__(self, rate: float | None, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._start = clock.monotonic()
        self._count = 0

    def slower_than(self, rate: float) -> bool:
        return self._rate is not None and self._rate < rate

    def wait(self) -> None:
        """Returns when the next event is due."""
        if self._rate is None:
            return
        due = self._start + self._count / self._rate
        self._count += 1
        ahead = due - self._clock.monotonic()
        if ahead > _SLACK_S:
            self._sleep(ahead)
        elif ahead < -1.0:  # a stalled input or broker is not made up for by a burst
            self._start -= ahead
