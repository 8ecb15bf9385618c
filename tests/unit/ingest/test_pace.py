from __future__ import annotations

from pulsar_pipeline.ingest.pace import Pace
from tests.support.clocks import FakeClock


def paced(rate: float | None, clock: FakeClock) -> Pace:
    return Pace(rate, clock, sleep=lambda seconds: clock.advance(round(seconds * 1000)))


def test_events_come_evenly() -> None:
    clock = FakeClock()
    pace, start = paced(100, clock), clock.ms
    for _ in range(51):
        pace.wait()
    assert clock.ms - start == 500


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    pace, start = paced(None, clock), clock.ms
    for _ in range(1000):
        pace.wait()
    assert clock.ms == start


def test_a_stall_is_not_made_up_for_by_a_burst() -> None:
    clock = FakeClock()
    pace = paced(10, clock)
    pace.wait()
    clock.advance(60_000)
    pace.wait()
    start = clock.ms
    for _ in range(10):
        pace.wait()
    assert clock.ms - start >= 900
