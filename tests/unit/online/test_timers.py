from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pulsar_pipeline.online.timers import Timer, TimerQueue, until_first

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
TIMES = st.integers(0, 50)


class Timers(RuleBasedStateMachine):
    """Against a dictionary that is looked through."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, Timer] = {}
        self.queue = TimerQueue(store=self._store)
        self.model: dict[str, Timer] = {}
        self.settings = 0

    def _store(self, name: str, timer: Timer | None) -> None:
        if timer is None:
            del self.stored[name]
        else:
            self.stored[name] = timer

    @rule(name=NAMES, at_ms=TIMES)
    def set(self, name: str, at_ms: int) -> None:
        self.queue.set(name, at_ms)
        self.settings += 1
        self.model[name] = Timer(at_ms, name, self.settings)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.queue.delete(name)
        self.model.pop(name, None)

    @rule()
    def fire(self) -> None:
        first = self.queue.first()
        assert first == min(self.model.values(), default=None)
        if first is not None:
            self.queue.delete(first.name)
            del self.model[first.name]

    @rule()
    def crash(self) -> None:
        self.queue = TimerQueue(self.stored.values(), self.queue.following, self._store)

    @rule(now_ms=TIMES)
    def is_due(self, now_ms: int) -> None:
        assert self.queue.due(now_ms) == any(timer.at_ms <= now_ms for timer in self.model.values())

    @invariant()
    def same(self) -> None:
        assert self.stored == self.model
        assert len(self.queue) == len(self.model)
        assert {name: self.queue.get(name) for name in self.model} == self.model
        for number in range(1, self.settings + 1):
            by_number = {timer.number: timer for timer in self.model.values()}
            assert self.queue.numbered(number) == by_number.get(number)


TestTimers = Timers.TestCase


def test_a_hundred_thousand_timers_that_move_leave_no_trace() -> None:
    queue = TimerQueue()
    for number in range(100_000):
        queue.set(f"timer-{number:06}", 1_000_000 + number)
    for at_ms in range(150):
        for number in range(1_000):
            queue.set(f"timer-{number:06}", at_ms * 1_000 + number)
    assert len(queue._heap) <= 2 * 100_000 + 1_000
    assert queue.first() == Timer(149_000, "timer-000000", 249_001)
    assert len(queue) == 100_000


def test_a_number_that_is_taken_is_not_given_again() -> None:
    queue = TimerQueue([Timer(5, "a", 7)], 1)
    queue.set("b", 9)
    assert queue.get("b") == Timer(9, "b", 8)


def test_how_long_until_the_first_of_several_queues() -> None:
    queues = [TimerQueue(), TimerQueue([Timer(50, "a", 1)]), TimerQueue([Timer(40, "b", 1)])]
    assert until_first(queues, 10) == 30
    assert until_first(queues, 45) == 0
    assert until_first(queues[:1], 45) is None


def test_an_equal_time_goes_by_name() -> None:
    queue = TimerQueue([Timer(5, "b", 1), Timer(5, "a", 2)], 3)
    assert queue.first() == Timer(5, "a", 2)
    assert not queue.due(4)
    assert queue.due(5)
