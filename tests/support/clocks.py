"""A clock that tests set."""

from __future__ import annotations


class FakeClock:
    """Stands still until told."""

    def __init__(self, now_ms: int = 1_700_000_100_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def advance(self, ms: int) -> None:
        self.ms += ms
