"""Timers in the order of a partition's events: where the record of the first processing has them, and nowhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.runtime.guarantees.order import Fire, Item, Sequencer, input_numbers
from pulsar_pipeline.spec.guarantee import MAX_INPUTS
from pulsar_pipeline.statelog.records import Position
from pulsar_pipeline.statelog.runs import Runs, expand

NAMES = ("labels", "readings")


def at(entry: int) -> Position:
    return Position(1, entry, -1)


def shown(items: Sequence[Item]) -> list[str]:
    return [f"fire {item.number}" if isinstance(item, Fire) else f"{item[0]} {item[1].entry}" for item in items]


def test_no_input_has_the_letter_of_timers() -> None:
    runs = Runs()
    runs.add(max(input_numbers(map(str, range(MAX_INPUTS))).values()))
    assert runs.text() == "y1"


def test_timers_stand_in_runs_with_their_numbers() -> None:
    runs = Runs()
    runs.add(0)
    runs.add_timer(7)
    runs.add_timer(8)
    again = Runs(runs.text())
    again.add_timer(8)
    again.add(1)
    assert again.text() == "a1z7z8z8b1"
    assert list(expand("a1z7z8z8b1")) == [0, -7, -8, -8, 1]


def test_timers_that_fired_first_fire_before_any_event() -> None:
    sequencer = Sequencer(input_numbers(NAMES), {}, [-5, -4, 1, -9])
    assert shown(sequencer.due()) == ["fire 5", "fire 4"]
    assert sequencer.replaying
    assert shown(sequencer.due()) == []
    assert shown(sequencer.offer("readings", at(1), None)) == ["readings 1", "fire 9"]
    assert not sequencer.replaying


def test_events_that_waited_come_after_the_last_timer_of_the_record() -> None:
    sequencer = Sequencer(input_numbers(NAMES), {}, [1, -3])
    assert shown(sequencer.offer("labels", at(1), None)) == []
    assert shown(sequencer.offer("readings", at(1), None)) == ["readings 1", "fire 3", "labels 1"]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[str]]:
    """The order of the first run, timers included, and in which order all events arrive the second time."""
    first = draw(st.lists(st.sampled_from([0, 1, -1, -2]), max_size=30))
    more = draw(st.lists(st.sampled_from([0, 1]), max_size=10))
    arrivals = draw(st.permutations([NAMES[number] for number in first + more if number >= 0]))
    return first, arrivals


@given(histories())
def test_the_record_is_kept_to(history: tuple[list[int], list[str]]) -> None:
    recorded, names = history
    entries = dict.fromkeys(NAMES, 0)
    sequencer = Sequencer(input_numbers(NAMES), {}, recorded)
    due = shown(sequencer.due())
    for name in names:
        entries[name] += 1
        due += shown(sequencer.offer(name, at(entries[name]), None))
    places = {name: deque(range(1, entries[name] + 1)) for name in NAMES}
    wanted = [
        f"fire {-number}" if number < 0 else f"{NAMES[number]} {places[NAMES[number]].popleft()}" for number in recorded
    ]
    assert due[: len(recorded)] == wanted
    assert sorted(due[len(recorded) :]) == sorted(f"{name} {entry}" for name in NAMES for entry in places[name])
    assert not sequencer.replaying
