from __future__ import annotations

from typing import Any

from tests.unit.runtime.fakes import FakeMessage
from tests.unit.runtime.processing import Bench


class Many:
    """Doubles; a negative number fails the batch, and its own event."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def process_many(self, records: list[int], context: Any) -> list[Any]:
        self.batches.append(records)
        self.keys, self.times = context.get_message_keys(), context.get_message_eventtimes()
        context.incr_counter("events", len(records))
        return [self.process(record, context) for record in records]

    def process(self, record: int, context: Any) -> Any:
        if record < 0:
            raise ValueError("negative")
        return None if record == 1 else {"id": record, "double": 2 * record}


def test_a_turn_is_one_call() -> None:
    function = Many()
    bench = Bench(function)
    counts = bench.take(FakeMessage(b"1", key="a", event_time=5), FakeMessage(b"2", key="b", event_time=6), b"3")
    assert function.batches == [[1, 2, 3]]
    assert (function.keys, function.times) == (["a", "b", "m1"], [5, 6, 0])
    assert [(s.payload, s.event_time_ms) for s in bench.lane.outputs] == [(b"4", 6), (b"6", 0)]
    assert bench.lane.state.counter("events") == 3
    assert (counts.received, counts.processed, bench.lane.told) == (3, 3, [3])


def test_where_it_fails_each_event_is_processed_by_itself() -> None:
    bench = Bench(Many())
    counts = bench.take(b"2", b"-1", b"x", b"3")
    assert bench.payloads == [b"4", b"6"]
    assert bench.reasons == ["failed", "undecodable"]
    assert bench.lane.state.counter("events") == 0, "what the batch changed is taken back"
    assert (counts.received, counts.processed, counts.user_exceptions) == (4, 2, 2)


def test_too_few_answers_are_none() -> None:
    class Short(Many):
        def process_many(self, records: list[int], context: Any) -> list[Any]:
            return super().process_many(records, context)[1:]

    bench = Bench(Short())
    bench.take(b"2", b"3")
    assert bench.payloads == [b"4", b"6"]


def test_notes_come_before_the_outputs_and_a_commit_after() -> None:
    bench, told = Bench(Many()), []
    emit = bench.lane.emit
    bench.lane.emit = lambda *sent: (told.append("output"), emit(*sent))  # type: ignore[method-assign, assignment]
    bench.guarantee.due_at = 0.0
    bench.take(b"2", b"3", note=lambda: told.append("note"))
    assert told == ["note", "note", "output", "output"]
    assert bench.guarantee.commits == 1


def test_events_to_be_passed_over_are_not_processed() -> None:
    function = Many()
    bench = Bench(function)
    bench.take(b"2", skip=True)
    assert (function.batches, bench.payloads, bench.lane.told) == ([], [], [1])
