"""Timers that fire between events: what `on_timer` may do, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from pulsar_pipeline.errors import DataError, InstanceError, TransientError
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.runtime.processing.processor import Halted
from pulsar_pipeline.runtime.processing.turn import ALL_DUE
from pulsar_pipeline.runtime.supervision.stats import Counts
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters, Reason, hung_before
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from tests.unit.runtime.fakes import FakeMessage
from tests.unit.runtime.processing import Bench, turn_of

EARLY = 1_000
NEVER = 9_000_000_000_000


class Alarms:
    """An event `n` sets a timer `n`; a timer answers with its name, doubled."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, int]] = []
        self.errors: list[Exception] = []

    def process(self, n: int, context: Any) -> None:
        context.set_timer(str(n), EARLY + n)

    def on_timer(self, name: str, at_ms: int, context: Any) -> dict[str, Any] | None:
        self.fired.append((name, at_ms))
        context.put_state(f"fired/{name}", b"yes")
        if self.errors:
            raise self.errors.pop(0)
        return {"id": name, "double": 2 * int(name)}


def fire(bench: Bench, fires: int = ALL_DUE, **options: Any) -> Counts:
    counts = Counts()
    bench.ended = bench.way.take([turn_of(bench.lane, (), fires=fires, **options)], counts)
    return counts


def at(bench: Bench, name: str) -> int | None:
    timer = bench.lane.state.timers.get(name)
    return timer and timer.at_ms


def test_timers_fire_in_the_order_of_their_times_and_are_gone() -> None:
    function = Alarms()
    bench = Bench(function)
    bench.take(b"3", b"1", b"2")
    assert len(bench.lane.state.timers) == 3
    notes: list[int] = []
    counts = fire(bench, note=notes.append)
    assert function.fired == [("1", 1_001), ("2", 1_002), ("3", 1_003)]
    assert bench.payloads == [b"2", b"4", b"6"]
    assert (bench.lane.outputs[0].key, bench.lane.outputs[0].event_time_ms) == ("1", 1_001)
    assert (notes, bench.lane.fires, counts.processed, counts.received) == ([2, 3, 1], 3, 3, 0)
    assert len(bench.lane.state.timers) == 0
    assert bench.lane.state.get("fired/2") == b"yes"


def test_without_a_key_field_an_output_of_a_timer_has_no_key() -> None:
    bench = Bench(Alarms(), key_field=None)
    bench.take(b"3")
    fire(bench)
    assert not bench.lane.outputs[0].key


def test_a_timer_whose_time_has_not_come_does_not_fire() -> None:
    function = Alarms()
    bench = Bench(function)
    bench.lane.state.timers.set("7", NEVER)
    fire(bench)
    assert function.fired == []
    assert at(bench, "7") == NEVER


def test_one_that_fired_before_a_crash_fires_whatever_the_clock_says() -> None:
    function = Alarms()
    bench = Bench(function)
    bench.lane.state.timers.set("7", NEVER)
    bench.lane.state.timers.set("8", NEVER + 1)
    notes: list[int] = []
    fire(bench, 2, note=notes.append)
    assert function.fired == [("8", NEVER + 1)]
    fire(bench, 2, note=notes.append)  # there is none any more
    fire(bench, 1, note=notes.append)
    assert (bench.lane.fires, notes) == (2, [2, 1])


def test_a_timer_may_set_itself_again() -> None:
    class Ticks(Alarms):
        def on_timer(self, name: str, at_ms: int, context: Any) -> None:
            context.set_timer(name, NEVER)

    bench = Bench(Ticks())
    bench.take(b"3")
    fire(bench)
    assert at(bench, "3") == NEVER


def test_a_timer_that_always_sets_itself_leaves_room_for_events() -> None:
    class Ticks(Alarms):
        def on_timer(self, name: str, at_ms: int, context: Any) -> None:
            context.set_timer(name, at_ms)

    bench = Bench(Ticks())
    bench.take(b"3")
    fire(bench)
    assert bench.lane.fires == 1_000
    assert bench.ended


def test_what_fails_is_counted_and_taken_back_and_the_timer_is_gone() -> None:
    function = Alarms()
    function.errors = [ValueError("broken")]
    bench = Bench(function)
    bench.take(b"1", b"2")
    counts = fire(bench)
    assert (counts.user_exceptions, counts.processed) == (1, 1)
    assert bench.lane.state.get("fired/1") is None
    assert bench.lane.state.get("fired/2") == b"yes"
    assert bench.lane.published == []
    (failure,) = bench.stats.snapshot().user_failures
    assert "timer 1: ValueError: broken" in failure.text


def test_where_failures_stop_the_stream_the_timer_is_kept() -> None:
    function = Alarms()
    function.errors = [DataError("broken")]
    bench = Bench(function, on_error="stop")
    bench.take(b"1")
    with pytest.raises(Halted, match="timer 1: broken"):
        fire(bench)
    assert at(bench, "1") == 1_001


def test_a_transient_error_is_tried_again() -> None:
    function = Alarms()
    function.errors = [TransientError("busy"), TransientError("busy")]
    bench = Bench(function)
    bench.take(b"1")
    fire(bench)
    assert len(function.fired) == 3
    assert bench.payloads == [b"2"]


def test_a_stop_while_it_is_tried_again_keeps_the_timer() -> None:
    function = Alarms()
    function.errors = [TransientError("busy")]
    bench = Bench(function)
    bench.take(b"1")
    bench.stop.set("test")
    fire(bench)
    assert not bench.ended
    assert at(bench, "1") == 1_001


def test_a_failing_event_sets_no_timer() -> None:
    class Refuses(Alarms):
        def process(self, n: int, context: Any) -> None:
            context.set_timer("x", EARLY)
            context.delete_timer("kept")
            raise DataError("no")

    bench = Bench(Refuses())
    bench.lane.state.timers.set("kept", NEVER)
    bench.take(b"1")
    assert len(bench.lane.state.timers) == 1
    assert at(bench, "kept") == NEVER


def test_events_and_timers_take_their_turns() -> None:
    function = Alarms()
    bench = Bench(function)
    turns = [
        turn_of(bench.lane, [FakeMessage(b"1")]),
        turn_of(bench.lane, (), fires=ALL_DUE),
        turn_of(bench.lane, [FakeMessage(b"2")]),
    ]
    bench.way.take(turns, Counts())
    assert function.fired == [("1", 1_001)]
    assert at(bench, "2") == 1_002


def test_only_a_function_with_on_timer_can_set_one() -> None:
    class Without:
        def process(self, n: int, context: Any) -> None:
            context.set_timer("x", EARLY)

    bench = Bench(Without())
    bench.take(b"1")
    assert bench.reasons == ["failed"]
    with pytest.raises(InstanceError, match="no on_timer"):
        bench.context.set_timer("x", EARLY)


@pytest.mark.parametrize("at_ms", [1.5, "soon", True, None])
def test_a_timer_is_set_to_milliseconds(at_ms: Any) -> None:
    bench = Bench(Alarms())
    with pytest.raises(DataError, match="milliseconds since 1970"):
        bench.context.set_timer("x", at_ms)


def test_a_name_that_no_state_can_hold_is_refused() -> None:
    bench = Bench(Alarms())
    with pytest.raises(DataError, match="NUL"):
        bench.context.set_timer("a\0b", EARLY)


def test_a_timer_that_hung_the_function_is_passed_over() -> None:
    function = Alarms()
    bench = Bench(function)
    bench.take(b"1", b"2")
    bench.lane.hung_timer = 1
    fire(bench)
    assert function.fired == [("2", 1_002)]
    assert len(bench.lane.state.timers) == 0


class Topic:
    """A client of one dead-letter topic, and its reader."""

    def __init__(self, letter: Outgoing | None) -> None:
        self._letter = letter

    def create_reader(self, _topic: str, *_: Any, **_options: Any) -> Topic:
        return self

    def has_message_available(self) -> bool:
        return self._letter is not None

    def read_next(self, _timeout_ms: int) -> Topic:
        return self

    def properties(self) -> dict[str, str]:
        assert self._letter is not None
        return self._letter.options["properties"]

    def close(self) -> None: ...


def test_a_hung_timer_is_a_dead_letter_that_the_next_start_finds() -> None:
    letters = DeadLetters("persistent://acme/predictions/risk-dead-letters", "acme/predictions/risk")
    letter = letters.timer_letter(Timer(5, "a name", 7), 3, Reason.HUNG, "no answer")
    assert (letter.topic, letter.payload) == ("persistent://acme/predictions/risk-dead-letters-partition-3", b"")
    topic = "persistent://acme/predictions/risk-dead-letters"
    assert hung_before(Topic(letter), topic, [3]) == (set(), {3: 7})  # type: ignore[arg-type]
    assert letter.options["properties"]["error"] == "timer a name: no answer"
    failed = letters.timer_letter(Timer(5, "a name", 7), 3, Reason.FAILED, "no answer")
    assert hung_before(Topic(failed), topic, [3]) == (set(), {})  # type: ignore[arg-type]
    assert hung_before(Topic(None), topic, [3]) == (set(), {})  # type: ignore[arg-type]
