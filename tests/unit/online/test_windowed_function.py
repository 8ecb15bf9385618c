"""A function with windows, whole: through Avro, its late events, its timers, and through crashes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.windows import TumblingWindows
from pulsar_pipeline.testing import Event, Wait, check_recovery, run_function
from tests.support.deployed import FUNCTIONS

MINUTES = FUNCTIONS / "minutes"


def clicks(count: int, seed: int) -> list[Event]:
    """On a few pages, up to two seconds out of order."""
    rng = random.Random(seed)
    pages = [f"page-{number}" for number in range(5)]
    return [
        Event("clicks", {"page": page, "at": 1_700_000_000_000 + 40 * n - rng.randrange(2_000), "n": n}, key=page)
        for n in range(count)
        for page in [rng.choice(pages)]
    ]


def test_crashes_change_nothing_of_windows() -> None:
    events = clicks(120, seed=1)
    results = check_recovery(MINUTES, events, commit_every=7, partitions=2, most=25)
    assert not results.errors
    seconds = [output.record for output in results.outputs if output.record["kind"] == "second"]
    assert seconds
    assert results.late
    counted = sum(record["clicks"] for record in seconds)
    assert 0 < len(events) - counted - len(results.late) < 60  # what is still open
    assert all(output.key == output.record["page"] for output in results.outputs)


def test_a_window_is_given_once() -> None:
    results = run_function(MINUTES, clicks(2_000, seed=2))
    spans = [(o.record["kind"], o.record["page"], o.record["start"], o.record["end"]) for o in results.outputs]
    assert len(spans) == len(set(spans)) > 300


class Idle(StreamFunction):
    """Counts by the minute, and does not wait for ever."""

    def setup(self, context: Any) -> None:
        self.minutes: TumblingWindows[int] = TumblingWindows(
            context,
            int,
            lambda n, _: n + 1,
            size=timedelta(minutes=1),
            idle_after=timedelta(seconds=30),
            name="minutes",
        )

    @on("clicks")
    def click(self, click: dict[str, Any], context: Any) -> list[Any]:
        return self._outputs(self.minutes.add(click["page"], click, context))

    def on_timer(self, name: str, at_ms: int, context: Any) -> list[Any]:
        return self._outputs(self.minutes.on_timer(name, at_ms, context))

    def _outputs(self, closed: list[Any]) -> list[Any]:
        return [window.answer({"page": window.key, "clicks": window.value}) for window in closed]


def click(page: str, at_ms: int) -> Event:
    return Event("clicks", {"page": page}, key=page, event_time_ms=at_ms)


def test_windows_of_a_silent_stream_are_closed_by_the_clock() -> None:
    events = [click("a", 1_000), click("b", 2_000), click("a", 3_000), Wait(timedelta(seconds=61))]
    results = run_function(Idle, events)
    assert [(output.key, output.record["clicks"]) for output in results.outputs] == [("a", 2), ("b", 1)]
    assert [output.event_time_ms for output in results.outputs] == [59_999, 59_999]


def test_a_stream_that_goes_on_is_not_idle() -> None:
    events: list[Event | Wait] = []
    for second in range(0, 50, 10):
        events += [click("a", second * 1_000), Wait(timedelta(seconds=10))]
    assert run_function(Idle, events).outputs == []


def test_crashes_change_nothing_of_timers() -> None:
    events: list[Event | Wait] = []
    for minute in range(6):
        events += [click(page, minute * 240_000 + 1_000 * n + 1) for n, page in enumerate("abcab")]
        events.append(Wait(timedelta(seconds=20 * minute)))
    results = check_recovery(Idle, events, commit_every=3, partitions=2)  # type: ignore[arg-type]
    assert len(results.outputs) >= 12
    assert not results.errors


class Alarms(StreamFunction):
    """Each order is told when its time has come, unless it is cancelled."""

    @on("orders")
    def order(self, order: dict[str, Any], context: Any) -> None:
        if order["in_ms"] is None:
            context.delete_timer(order["id"])
        else:
            context.set_timer(order["id"], context.get_processing_time() + order["in_ms"])
        if order.get("broken"):
            raise ValueError("broken")

    def on_timer(self, name: str, at_ms: int, context: Any) -> dict[str, Any]:
        if name == "bad":
            raise ValueError("bad")
        return {"id": name, "at": at_ms}


def order(name: str, in_ms: int | None, **more: Any) -> Event:
    return Event("orders", {"id": name, "in_ms": in_ms, **more}, key=name)


def test_timers_fire_in_their_order_by_the_tests_clock() -> None:
    events = [order("late", 500), order("soon", 100), order("gone", 50), order("gone", None), order("bad", 10)]
    events += [order("never", 70, broken=True)]
    results = run_function(Alarms, [*events, Wait(timedelta(milliseconds=499)), Wait(timedelta(milliseconds=1))])
    assert [output.record for output in results.outputs] == [{"id": "soon", "at": 100}, {"id": "late", "at": 500}]
    assert [str(error) for error in results.errors] == [
        "event 5 failed: ValueError: broken",
        "event 6 failed: ValueError: bad",
    ]


def test_a_function_without_on_timer_cannot_set_one() -> None:
    class Without(StreamFunction):
        @on("orders")
        def order(self, order: dict[str, Any], context: Any) -> None:
            context.set_timer("x", 1)

    results = run_function(Without, [order("a", 1)])
    assert "the function has no on_timer" in str(results.errors[0])


def test_on_timer_is_a_plain_function() -> None:
    class Waits(StreamFunction):
        @on("orders")
        def order(self, order: dict[str, Any], context: Any) -> None: ...

        async def on_timer(self, name: str, at_ms: int, context: Any) -> None: ...

    with pytest.raises(PackageError, match="on_timer is async"):
        Waits()
