from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.runtime.guarantees.order import Sequencer, input_numbers
from pulsar_pipeline.statelog.records import Position

NAMES = ("labels", "readings")


def at(entry: int) -> Position:
    return Position(1, entry, -1)


def offer_all(sequencer: Sequencer, arrivals: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    due = [item for name, entry in arrivals for item in sequencer.offer(name, at(entry), None)]
    return [(name, position.entry) for name, position, _ in due]


def test_inputs_are_numbered_by_name() -> None:
    assert input_numbers(["readings", "labels"]) == {"labels": 0, "readings": 1}


def test_what_is_processed_is_left_out() -> None:
    sequencer = Sequencer(input_numbers(NAMES), {"readings": at(5)}, ())
    assert offer_all(
        sequencer, [("readings", 4), ("readings", 5), ("labels", 1), ("readings", 6), ("readings", 6)]
    ) == [
        ("labels", 1),
        ("readings", 6),
    ]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[str]]:
    """How many events the first run took of which input in turn, and in which order they arrive the second time."""
    first = draw(st.lists(st.sampled_from([0, 1]), max_size=30))
    more = draw(st.lists(st.sampled_from([0, 1]), max_size=10))
    arrivals = draw(st.permutations([NAMES[number] for number in first + more]))
    return first, arrivals


@given(histories())
def test_the_order_of_the_first_run_is_kept_then_that_of_arrival(history: tuple[list[int], list[str]]) -> None:
    recorded, names = history
    entries = dict.fromkeys(NAMES, 0)
    arrivals = []
    for name in names:
        entries[name] += 1
        arrivals.append((name, entries[name]))
    sequencer = Sequencer(input_numbers(NAMES), {}, recorded)
    due = offer_all(sequencer, arrivals)

    assert sorted(due) == sorted(arrivals), "every event once"
    assert [NAMES.index(name) for name, _ in due[: len(recorded)]] == recorded
    rest = due[len(recorded) :]
    assert rest == [item for item in arrivals if item in rest]
    assert not sequencer.replaying
