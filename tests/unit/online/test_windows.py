"""Event-time windows against their definitions, over crashes, and in size."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import stats

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.online.answers import Answer
from pulsar_pipeline.online.session_windows import SessionWindows
from pulsar_pipeline.online.windowing import Windows
from pulsar_pipeline.online.windows import SlidingWindows, TumblingWindows
from tests.support.windowed import Event, Expected, StatefulContext, expected, told

EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 120), st.integers(0, 9)), max_size=60)
SPANS = st.integers(1, 30)
LATENESS = st.integers(0, 40)

Make = Callable[[StatefulContext], Windows[list[int]]]


def ms(count: int) -> timedelta:
    return timedelta(milliseconds=count)


def appended(values: list[int], value: int) -> None:
    values.append(value)


def run(make: Make, events: list[Event], wanted: Expected, crashes: frozenset[int] = frozenset()) -> StatefulContext:
    """The events one by one; at each number in `crashes` what was not committed, two events, is lost and done again."""
    context = StatefulContext()
    windows = make(context)
    late, number, crashed = [], 0, set()
    while number < len(events):
        if number % 3 == 0:
            context.commit()
            late_before = list(late)
        if number in crashes - crashed:
            crashed.add(number)
            context.crash()
            windows, late, number = make(context), list(late_before), number - number % 3
            continue
        key, time, value = events[number]
        told_late = len(context.late)
        assert told(windows.add(key, number, context, value=value, at=time)) == wanted.closed[number], number
        late += context.late[told_late:]
        number += 1
    assert late == wanted.late
    return context


def sliding_windows_of(size: int, step: int) -> Callable[[int], list[tuple[int, int]]]:
    return lambda time: [
        (start, start + size) for start in range(-200, time + 1) if start % step == 0 and start <= time < start + size
    ]


@given(EVENTS, SPANS, LATENESS, st.frozensets(st.integers(0, 60)))
def test_tumbling_windows_are_what_they_say(
    events: list[Event], size: int, lateness: int, crashes: frozenset[int]
) -> None:
    wanted = expected(events, lateness, sliding_windows_of(size, size))
    run(
        lambda context: TumblingWindows(context, list, appended, size=ms(size), lateness=ms(lateness)),
        events,
        wanted,
        crashes,
    )


@given(EVENTS, SPANS, SPANS, LATENESS, st.frozensets(st.integers(0, 60)))
def test_sliding_windows_are_what_they_say(
    events: list[Event], one: int, other: int, lateness: int, crashes: frozenset[int]
) -> None:
    step, size = sorted((one, other))
    wanted = expected(events, lateness, sliding_windows_of(size, step))
    run(
        lambda context: SlidingWindows(context, list, appended, size=ms(size), step=ms(step), lateness=ms(lateness)),
        events,
        wanted,
        crashes,
    )


@given(EVENTS, SPANS, LATENESS, st.frozensets(st.integers(0, 60)))
def test_session_windows_are_what_they_say(
    events: list[Event], gap: int, lateness: int, crashes: frozenset[int]
) -> None:
    wanted = expected(events, lateness, lambda time: [(time, time + gap)], joins=True)
    run(
        lambda context: SessionWindows(context, list, appended, gap=ms(gap), lateness=ms(lateness)),
        events,
        wanted,
        crashes,
    )


@given(EVENTS, SPANS, LATENESS)
def test_nothing_is_left_of_windows_that_are_closed(events: list[Event], span: int, lateness: int) -> None:
    kinds: list[Make] = [
        lambda context: SlidingWindows(
            context, list, appended, size=ms(span * 3), step=ms(span), lateness=ms(lateness)
        ),
        lambda context: SessionWindows(context, list, appended, gap=ms(span), lateness=ms(lateness)),
    ]
    for make in kinds:
        context = StatefulContext()
        windows = make(context)
        for key, time, value in events:
            windows.add(key, None, context, value=value, at=time)
        context.commit()
        context.crash()  # the agenda is read anew
        windows.add("last", None, context, value=0, at=10_000)
        context.commit()
        left = {key for key in context.kept if "/last" not in key}
        assert left <= {"windows/agenda", *(f"windows/page/{number}" for number in range(100))}
        assert sum(key.startswith("windows/page/") for key in left) == 1


def test_windows_begin_at_multiples_of_the_step_and_an_offset() -> None:
    context = StatefulContext()
    days = TumblingWindows(context, int, lambda n, _: n + 1, size=timedelta(days=1), offset=timedelta(hours=5))
    days.add("k", {}, context, at=datetime(2026, 1, 5, 4, 59, tzinfo=UTC))
    (day,) = days.add("k", {}, context, at=datetime(2026, 1, 5, 5, 0, tzinfo=UTC))
    assert (day.start, day.end) == (datetime(2026, 1, 4, 5, tzinfo=UTC), datetime(2026, 1, 5, 5, tzinfo=UTC))
    assert day.value == 1


def test_river_accumulates_and_sessions_merge_without_a_word() -> None:
    context = StatefulContext()
    visits = SessionWindows(context, stats.Mean, gap=ms(10), lateness=ms(20))
    for time, value in ((0, 1.0), (15, 5.0), (8, 3.0)):
        assert visits.add("k", {}, context, value=value, at=time) == []
    (visit,) = visits.add("other", {}, context, value=0.0, at=100)
    assert (visit.start_ms, visit.end_ms, visit.value.get(), visit.value.n) == (0, 25, 3.0, 3)


def test_an_answer_has_key_and_time_of_its_window() -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    windows.add("a", {}, context, at=3)
    (window,) = windows.add("b", {}, context, at=10)
    assert window.answer({"n": window.value}) == Answer({"n": 1}, key="a", event_time_ms=9)


def test_the_time_is_the_messages_by_default() -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    context.event_time_ms = 12
    windows.add("a", {}, context)
    context.event_time_ms = 20
    assert [window.start_ms for window in windows.add("a", {}, context)] == [10]


def test_late_events_are_counted_and_told() -> None:
    context = StatefulContext()
    minutes = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10), name="minutes")
    minutes.add("a", {}, context, at=100)
    assert minutes.add("a", {"n": 1}, context, at=99) == []
    assert context.late == [{"n": 1}]
    assert context.metrics == {"minutes_late_events": 1}


def test_a_function_may_do_otherwise_with_late_events() -> None:
    context, told_late = StatefulContext(), []
    windows = TumblingWindows(
        context, int, lambda n, _: n + 1, size=ms(10), late=lambda event, _context: told_late.append(event)
    )
    windows.add("a", {}, context, at=100)
    windows.add("a", {"n": 1}, context, at=9)
    assert (told_late, context.late) == ([{"n": 1}], [])


class StockContext:
    """What windows use of a context that keeps no objects."""

    def __init__(self) -> None:
        self.partition = 0
        self.metrics: dict[str, float] = {}

    def get_current_message_topic_name(self) -> str:
        return f"persistent://t/n/readings-partition-{self.partition}"

    def record_metric(self, name: str, value: float) -> None:
        self.metrics[name] = value


def test_partitions_have_watermarks_of_their_own_where_no_state_is_kept() -> None:
    context = StockContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    windows.add("a", {}, context, at=1_000)
    context.partition = 1
    windows.add("b", {}, context, at=5)
    assert context.metrics == {}
    assert [(window.key, window.value) for window in windows.add("b", {}, context, at=10)] == [("b", 1)]
    context.partition = 0
    windows.add("b", {}, context, at=10)
    assert context.metrics == {"windows_late_events": 1}


def test_a_value_that_does_not_fit_leaves_no_window_behind() -> None:
    for make in (
        lambda context: TumblingWindows(context, int, lambda n, value: n + value, size=ms(10)),
        lambda context: SessionWindows(context, int, lambda n, value: n + value, gap=ms(10)),
    ):
        context = StatefulContext()
        windows: Windows[int] = make(context)
        with pytest.raises(TypeError):
            windows.add("a", {}, context, value="no number", at=5)
        windows.add("a", {}, context, value=2, at=6)
        assert [window.value for window in windows.add("b", {}, context, value=1, at=100)] == [2]


@pytest.mark.parametrize("at", ["soon", True, 1.5, datetime(2026, 1, 5)])
def test_what_is_no_time_is_refused(at: Any) -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    with pytest.raises(DataError, match="a time is milliseconds"):
        windows.add("a", {}, context, at=at)


def test_an_event_without_a_time_is_refused() -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    with pytest.raises(DataError, match="has no time"):
        windows.add("a", {}, context)


def test_a_key_is_text() -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10))
    with pytest.raises(DataError, match="the key of a window is text, not 7"):
        windows.add(7, {}, context, at=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [timedelta(0), timedelta(microseconds=1500), timedelta(seconds=-1), 60])
def test_a_size_is_whole_milliseconds(size: Any) -> None:
    with pytest.raises(InstanceError, match="size is"):
        TumblingWindows(StatefulContext(), int, size=size)


def test_a_step_leaves_no_gaps() -> None:
    with pytest.raises(InstanceError, match="leaves gaps"):
        SlidingWindows(StatefulContext(), int, size=ms(10), step=ms(11))


# ── idle partitions ─────────────────────────────────────────────────────────────────────────────


def idle_windows(context: Any) -> TumblingWindows[int]:
    return TumblingWindows(context, int, lambda n, _: n + 1, size=ms(100), idle_after=timedelta(seconds=5), name="m")


def fire(windows: Windows[int], context: StatefulContext) -> list[tuple[str, int]]:
    name, at_ms = next(iter(context.timers.items()))
    del context.timers[name]
    context.now_ms = at_ms
    return [(window.key, window.value) for window in windows.on_timer(name, at_ms, context)]


def test_a_partition_that_fell_silent_gives_its_windows() -> None:
    context = StatefulContext()
    windows = idle_windows(context)
    windows.add("a", {}, context, at=10)
    windows.add("a", {}, context, at=20)
    windows.add("b", {}, context, at=150)
    assert context.timers == {"m/idle": 5_000}
    assert fire(windows, context) == []  # events came since it was set
    assert context.timers == {"m/idle": 10_000}
    assert fire(windows, context) == [("b", 1)]
    assert context.timers == {}
    windows.add("a", {}, context, at=199)
    assert context.late == [{}]
    windows.add("a", {}, context, at=200)
    assert context.timers == {"m/idle": 15_000}


def test_a_timer_of_another_kind_closes_nothing() -> None:
    context = StatefulContext()
    windows = idle_windows(context)
    windows.add("a", {}, context, at=10)
    assert windows.on_timer("mine", 7, context) == []
    without = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(100), name="m2")
    assert without.on_timer("m2/idle", 7, context) == []


def test_idle_sessions_close_at_their_true_ends() -> None:
    context = StatefulContext()
    visits = SessionWindows(context, int, lambda n, _: n + 1, gap=ms(10), idle_after=ms(1), name="m")
    for at in (0, 5, 12):
        visits.add("a", {}, context, at=at)
    fire(visits, context)
    name, at_ms = context.timers.popitem()
    (visit,) = visits.on_timer(name, at_ms, context)
    assert (visit.start_ms, visit.end_ms, visit.value) == (0, 22, 3)


def test_idle_after_needs_a_runtime_with_timers() -> None:
    class Without:
        pass

    with pytest.raises(InstanceError, match="idle_after needs timers"):
        idle_windows(Without())


# ── in size ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spread", ["keys", "ends"])
def test_a_commit_stays_small_with_a_hundred_thousand_open_windows(spread: str) -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10), lateness=timedelta(days=1))
    for number in range(100_000):
        key, at = (f"key-{number}", 0) if spread == "keys" else ("key", number * 10)
        windows.add(key, None, context, at=at)
    context.commit()
    context.written = 0
    windows.add("key-new", None, context, at=5)
    context.commit()
    assert context.written < 20_000
    assert max(map(len, context.kept.values())) < 20_000
    closed = windows.add("late", None, context, at=200_000_000)
    assert len(closed) == 100_001
    context.commit()
    assert len(context.kept) == 3  # the agenda, one page, the window of the last event


def test_an_agenda_is_pickled_without_its_order() -> None:
    context = StatefulContext()
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=ms(10), lateness=timedelta(days=1))
    for number in range(5_000):
        windows.add(f"key-{number}", None, context, at=0)
    assert len(pickle.dumps(context.live["windows/agenda"])) < 300
