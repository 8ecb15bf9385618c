from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pulsar_pipeline.online.timers import Timer, TimerQueue

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
TIMES = st.integers(0, 50)


class Timers(RuleBasedStateMachine):
    """Against a dictionary that is looked through."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, int] = {}
        self.queue = TimerQueue(store=self._store)
        self.model: dict[str, int] = {}

    def _store(self, name: str, at_ms: int | None) -> None:
        if at_ms is None:
            del self.stored[name]
        else:
            self.stored[name] = at_ms

    @rule(name=NAMES, at_ms=TIMES)
    def set(self, name: str, at_ms: int) -> None:
        self.queue.set(name, at_ms)
        self.model[name] = at_ms

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.queue.delete(name)
        self.model.pop(name, None)

    @rule()
    def pop(self) -> None:
        wanted = min(((at_ms, name) for name, at_ms in self.model.items()), default=None)
        assert self.queue.pop() == wanted
        if wanted is not None:
            del self.model[wanted[1]]

    @rule()
    def crash(self) -> None:
        self.queue = TimerQueue(self.stored, self._store)

    @rule(now_ms=TIMES)
    def is_due(self, now_ms: int) -> None:
        assert self.queue.due(now_ms) == any(at_ms <= now_ms for at_ms in self.model.values())

    @invariant()
    def same(self) -> None:
        assert self.stored == self.model
        assert len(self.queue) == len(self.model)
        assert {name: self.queue.at(name) for name in self.model} == self.model


TestTimers = Timers.TestCase


def test_a_hundred_thousand_timers_that_move_leave_no_trace() -> None:
    queue = TimerQueue()
    for number in range(100_000):
        queue.set(f"timer-{number:06}", 1_000_000 + number)
    for at_ms in range(150):
        for number in range(1_000):
            queue.set(f"timer-{number:06}", at_ms * 1_000 + number)
    assert len(queue._heap) <= 2 * 100_000 + 1_000
    assert [queue.pop(), queue.pop()] == [Timer(149_000, "timer-000000"), Timer(149_001, "timer-000001")]
    assert len(queue) == 99_998


def test_an_equal_time_goes_by_name() -> None:
    queue = TimerQueue({"b": 5, "a": 5})
    assert queue.pop() == Timer(5, "a")
    assert not queue.due(4)
    assert queue.due(5)
