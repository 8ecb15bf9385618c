from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.runtime.guarantees.order import Sequencer
from pulsar_pipeline.runtime.transport.entries import entries_of
from pulsar_pipeline.runtime.transport.event import position_of
from pulsar_pipeline.statelog.records import Position
from tests.unit.runtime.fakes import FakeMessage, FakeMessageId


@st.composite
def deliveries(draw: st.DrawFn) -> list[FakeMessage]:
    """What a consumer hands out of a topic of batches and single messages: in order, but after each of some reconnects
    from an earlier message on again, whose batch may be cut where it was acknowledged."""
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12))
    topic = [
        Position(1 + number // 4, number, index)
        for number, size in enumerate(sizes)
        for index in (range(size) if size else [-1])
    ]
    received: list[Position] = []
    at = 0
    for _ in range(draw(st.integers(0, 4))):
        stop = draw(st.integers(at, len(topic)))
        received += topic[at:stop]
        at = draw(st.integers(0, stop))
    received += topic[at:]
    return [FakeMessage(identity=FakeMessageId(*position)) for position in received]


@given(deliveries(), st.data())
def test_entries_are_those_of_the_messages(messages: list[FakeMessage], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(messages)))
    end = data.draw(st.integers(start, len(messages)))
    entries = entries_of(messages, start, end)
    assert [index for entry in entries for index in range(entry.start, entry.end)] == list(range(start, end))
    for entry in entries:
        positions = [position_of(each) for each in messages[entry.start : entry.end]]
        assert len({position[:2] for position in positions}) == 1
        assert [each.batch - positions[0].batch for each in positions] == list(range(len(positions)))
        assert (entry.position, entry.last) == (positions[0], positions[-1])


@given(deliveries(), st.data())
def test_what_was_seen_before_is_passed_over_as_if_each_message_were_asked(
    messages: list[FakeMessage], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(messages)))
    sequencer = Sequencer({"events": 0}, {}, ())
    found = []
    for part in (messages[:cut], messages[cut:]):
        found += [position_of(part[index]) for run in sequencer.fresh("events", entries_of(part)) for index in run]
    expected: list[Position] = []
    for position in map(position_of, messages):
        if not expected or position > expected[-1]:
            expected.append(position)
    assert found == expected


def test_nearly_no_message_is_asked() -> None:
    asked = []

    class Counted(FakeMessage):
        def message_id(self) -> FakeMessageId:
            asked.append(1)
            return self.identity

    messages = [Counted(identity=FakeMessageId(1, 7, index)) for index in range(1000)]
    assert len(entries_of(messages)) == 1
    assert len(asked) < 30
