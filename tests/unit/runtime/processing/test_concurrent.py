from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pulsar_pipeline.errors import TransientError
from pulsar_pipeline.runtime.processing.processor import Halted
from tests.unit.runtime.fakes import FakeMessage
from tests.unit.runtime.processing import Bench


@pytest.fixture
def made() -> Iterator[Callable[..., Bench]]:
    """Makes benches, and closes them."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Bench:
            bench = Bench(*args, **options)
            stack.callback(bench.way.close)
            return bench

        yield make


class Waits:
    """Lets others go first: the later an event, the sooner it is done. Negative numbers fail, 0 never ends."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.in_work = self.most = 0

    async def process(self, record: int, context: Any) -> Any:
        self.in_work += 1
        self.most = max(self.most, self.in_work)
        try:
            for _ in range(10 * abs(record)):
                await asyncio.sleep(0)
            if record == 0:
                await asyncio.Event().wait()
            context.incr_counter(context.get_message_key(), 1)
            self.ended.append(record)
            if record < 0:
                raise ValueError("negative")
            context.publish("persistent://acme/alerts/a", str(record))
            return {"id": record, "double": 2 * record}
        finally:
            self.in_work -= 1


def keyed(*pairs: tuple[int, str]) -> list[FakeMessage]:
    return [FakeMessage(str(number).encode(), key=key) for number, key in pairs]


def test_outputs_keep_the_order_of_the_events_whichever_is_done_first(made: Callable[..., Bench]) -> None:
    function = Waits()
    bench = made(function)
    counts = bench.take(*keyed((5, "a"), (3, "b"), (1, "c")))
    assert function.ended == [1, 3, 5]
    assert bench.payloads == [b"10", b"6", b"2"]
    assert [each.payload for each in bench.lane.published] == [b"5", b"3", b"1"]
    assert (counts.received, counts.processed) == (3, 3)
    assert bench.lane.told[-1] == 3


def test_events_of_a_key_wait_for_each_other(made: Callable[..., Bench]) -> None:
    function = Waits()
    bench = made(function)
    bench.take(*keyed((5, "a"), (3, "a"), (4, "b"), (1, "a")))
    assert [each for each in function.ended if each != 4] == [5, 3, 1]
    assert bench.lane.state.counter("a") == 3


def test_no_more_are_in_work_than_wanted(made: Callable[..., Bench]) -> None:
    function = Waits()
    bench = made(function)
    bench.way._room = asyncio.Semaphore(2)  # type: ignore[attr-defined]
    bench.take(*keyed((3, "a"), (3, "b"), (3, "c"), (3, "d"), (3, "e")))
    assert function.most == 2
    assert len(bench.payloads) == 5


def test_a_failing_and_a_hanging_event_are_set_aside_and_changed_nothing(made: Callable[..., Bench]) -> None:
    bench = made(Waits(), event_timeout_s=0.05)
    counts = bench.take(*keyed((2, "a"), (-1, "b"), (0, "c"), (3, "c")), FakeMessage(b"x", key="d"))
    assert bench.payloads == [b"4", b"6"]
    letters = [each.options["properties"]["reason"] for each in bench.lane.published if "letters" in each.topic]
    assert letters == ["failed", "hung", "undecodable"]
    assert bench.lane.state.counter("b") == 0
    assert (counts.processed, counts.user_exceptions) == (2, 3)


def test_an_error_that_passes_is_tried_again(made: Callable[..., Bench]) -> None:
    class Away:
        calls = 0

        async def process(self, record: int, context: Any) -> Any:
            context.incr_counter("calls", 1)
            self.calls += 1
            if self.calls < 3:
                raise TransientError("away")
            return {"id": record, "double": 2 * record}

    bench = made(Away(), attempts=3)
    bench.take(b"4")
    assert bench.payloads == [b"8"]
    assert bench.lane.state.counter("calls") == 1


def test_on_error_stop_keeps_the_event_and_what_is_behind_it_for_later(made: Callable[..., Bench]) -> None:
    bench = made(Waits(), on_error="stop")
    with pytest.raises(Halted):
        bench.take(*keyed((1, "a"), (-1, "b"), (2, "c")))
    assert bench.payloads == [b"2"]
    assert bench.lane.told[-1] == 1


def test_live_objects_are_those_of_the_events_partition(made: Callable[..., Bench]) -> None:
    class Keeps:
        async def process(self, record: int, context: Any) -> Any:
            kept(context)(str(record), list).append(record)
            await asyncio.sleep(0)
            return None

    bench = made(Keeps())
    base = bench.context

    def kept(_context: Any) -> Any:
        return base.get_state_object  # as a helper made in `setup` does

    bench.take(b"1", b"2")
    assert bench.lane.state.object("1", list) == [1]
    assert bench.lane.state.object("2", list) == [2]
