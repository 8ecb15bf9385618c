from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pulsar_pipeline.online.state import MemoryState
from pulsar_pipeline.runtime.guarantees.at_least_once import AtLeastOnce
from pulsar_pipeline.runtime.guarantees.direct_lane import DirectLane
from pulsar_pipeline.runtime.guarantees.stamped_input import StampedInputs
from pulsar_pipeline.runtime.guarantees.unlogged import DirectTurns
from pulsar_pipeline.runtime.processing.turn import ALL_DUE
from pulsar_pipeline.statelog.lineage import ANYWHERE
from tests.unit.runtime.fakes import FakeMessage, FakeOutlet, FakeSink
from tests.unit.runtime.processing import READINGS


def guarantee(flush: Callable[[], Any], acknowledge: Callable[[Sequence[Any]], Any]) -> AtLeastOnce:
    lane = DirectLane(FakeOutlet(), FakeSink(), MemoryState())  # type: ignore[arg-type]
    by_name = {READINGS.full_name: READINGS}
    return AtLeastOnce(
        DirectTurns({0: lane}, by_name, StampedInputs(by_name, lambda _partition: ANYWHERE)), flush, acknowledge
    )


def test_timers_fire_from_memory() -> None:
    state, now_ms = MemoryState(), 50
    lane = DirectLane(FakeOutlet(), FakeSink(), state)  # type: ignore[arg-type]
    by_name = {READINGS.full_name: READINGS}
    stamped = StampedInputs(by_name, lambda _partition: ANYWHERE)
    made = DirectTurns({0: lane}, by_name, stamped, lambda: now_ms)
    assert made.until_timer_ms() is None
    state.timers.set("a", 70)
    assert (made.until_timer_ms(), made.of([])) == (20, [])
    now_ms = 71
    assert made.until_timer_ms() == 0
    events, timers = made.of([FakeMessage(b"a")])
    assert (events.fires, timers.fires, timers.lane) == (None, ALL_DUE, lane)
    assert DirectTurns({0: lane}, by_name, stamped).of([]) == [], "a function without on_timer"


def process(made: AtLeastOnce, *payloads: bytes) -> None:
    for turn in made.admit([FakeMessage(payload) for payload in payloads]):
        turn.reached(len(turn.messages))


def test_outputs_are_stored_before_inputs_are_acknowledged() -> None:
    order: list[str] = []
    made = guarantee(
        lambda: order.append("flush"), lambda messages: order.append(f"ack {[each.payload for each in messages]}")
    )
    process(made, b"a", b"b")
    made.commit()
    made.commit()
    process(made, b"c")
    made.drain()
    assert order == ["flush", "ack [b'b']", "flush", "ack [b'c']"], "the last of a partition stands for those before"


def test_a_batch_is_acknowledged_when_it_is_time() -> None:
    acknowledged: list[object] = []
    made = guarantee(lambda: None, acknowledged.extend)
    process(made, b"a")
    made.batch_done()
    made.due_at = 0.0
    made.batch_done()
    made._work.join()
    assert len(acknowledged) == 1


def test_nothing_is_acknowledged_once_storing_failed() -> None:
    acknowledged: list[object] = []

    def flush() -> None:
        raise ConnectionError("the topic is gone")

    made = guarantee(flush, acknowledged.append)
    process(made, b"a")
    with pytest.raises(ConnectionError, match="the topic is gone"):
        made.drain()
    process(made, b"b")
    with pytest.raises(ConnectionError):
        made.batch_done()
    assert acknowledged == []


def test_the_loop_waits_when_storing_falls_behind() -> None:
    gate, submitted = threading.Event(), threading.Semaphore(0)
    made = guarantee(gate.wait, lambda _messages: None)

    def loop() -> None:
        for _ in range(50):
            process(made, b"x")
            made.commit()
            submitted.release()

    thread = threading.Thread(target=loop)
    thread.start()
    taken = 0
    while submitted.acquire(timeout=0.2):
        taken += 1
    assert taken < 10, "batches in flight must be bounded"
    gate.set()
    thread.join(5)
    assert not thread.is_alive()
    made.drain()
