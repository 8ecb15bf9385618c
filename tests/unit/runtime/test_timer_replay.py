"""Events and timers over crashes, on the runtime's own parts: what is made again is what was published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.guarantees.admission import Admission
from pulsar_pipeline.runtime.guarantees.exactly_once import ExactlyOnce
from pulsar_pipeline.runtime.guarantees.order import Sequencer, input_numbers
from pulsar_pipeline.runtime.guarantees.owner import Owner
from pulsar_pipeline.runtime.guarantees.owner_lane import OwnerLane
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.processing.processor import Output, Steps, Tolerance
from pulsar_pipeline.runtime.processing.way import way_of
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.stats import Counts, Stats
from pulsar_pipeline.runtime.supervision.watchdog import InWork
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.spec.model import Retry
from pulsar_pipeline.statelog.records import Position
from pulsar_pipeline.statelog.runs import Runs, expand
from pulsar_pipeline.statelog.stamp import parse
from tests.unit.runtime.fakes import FakeClock, FakeMessage, FakeMessageId, FakeOutlet
from tests.unit.runtime.guarantees.test_exactly_once import FakeCommitter
from tests.unit.runtime.processing import context as new_context
from tests.unit.runtime.worker_arguments import config

BY_NAME = {
    name: InputPartition(name, f"persistent://a/b/{name}", 0, f"persistent://a/b/{name}-partition-0")
    for name in ("labels", "readings")
}


class Chain:
    """The state is a hash of all events and timers in their order; some of them answer with it."""

    def process(self, n: int, context: Any) -> dict[str, Any] | None:
        if n % 4 == 0:
            context.delete_timer(f"t{n // 2}")
        else:
            context.set_timer(f"t{n}", context.get_processing_time() + 100 * (n % 7) + n)
        return self._next(f"event {n}", context) if n % 3 else self._silently(f"event {n}", context)

    def on_timer(self, name: str, at_ms: int, context: Any) -> dict[str, Any] | None:
        context.incr_counter(f"fired/{name}", 1)
        if int(name[1:]) % 5 == 0:
            context.set_timer(f"t{int(name[1:]) + 1}", context.get_processing_time() + 50)
        return self._next(name, context) if int(name[1:]) % 2 else self._silently(name, context)

    def _silently(self, what: str, context: Any) -> None:
        self._next(what, context)

    def _next(self, what: str, context: Any) -> dict[str, Any]:
        before = context.get_state("chain") or b""
        chain = hashlib.sha256(before + what.encode()).hexdigest()
        context.put_state("chain", chain)
        return {"double": f"{what} {chain}"}


@dataclass
class Stored:
    """What outlives a process."""

    state: dict[str, bytes] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    seq: int = 0
    runs: str = ""
    outputs: list[tuple[str, bytes]] = field(default_factory=list)
    """Stamp and payload of each output in the topic, in order."""


class Process:
    """One incarnation of the owner of one partition."""

    def __init__(self, stored: Stored, names: list[str], now_ms: Callable[[], int]) -> None:
        self.stored = stored
        tail = stored.outputs[stored.seq :]
        recorded = [number for stamp, _ in tail for number in expand(parse(stamp).runs)]  # type: ignore[union-attr]
        recorded = recorded[len(list(expand(stored.runs))) :]
        numbers = input_numbers(names)
        self.owner = Owner(
            partition=0,
            epoch=1,
            incarnation=1,
            nonce="n",
            number=0,
            state=PartitionState(dict(stored.state)),
            positions=dict(stored.positions),
            seq=stored.seq,
            tail_seq=len(stored.outputs),
            sequencer=Sequencer(numbers, stored.positions, recorded),
            outputs_from=None,
            runs=Runs(stored.runs),
        )
        self.made: list[bytes] = []
        self.outlet, self.committer = FakeOutlet(), FakeCommitter()
        self.lane = _Lane(self.owner, self.outlet, self.made)
        partitions = {BY_NAME[name].full_name: BY_NAME[name] for name in names}
        admission = Admission({0: self.lane}, partitions, numbers, (), now_ms)
        self.guarantee = ExactlyOnce({0: self.lane}, admission, self.committer)  # type: ignore[arg-type]
        context = new_context()
        context.get_processing_time = now_ms  # type: ignore[method-assign]
        steps = Steps(
            {name: lambda payload, _version: int(payload) for name in partitions},
            Output(lambda answer: answer["double"].encode(), None),
            Tolerance(Retry(attempts=1, longest_wait=0), "stop"),
            DeadLetters("persistent://a/b/dead", "f"),
            Stats(FakeClock()),
        )
        instance = InstanceConfig.model_validate(config())
        self.way = way_of(Chain(), context, steps, self.guarantee, InWork(), StopSignal(), instance)
        self.sent = 0

    def take(self, messages: list[FakeMessage]) -> None:
        self.guarantee.due_at = float("inf")
        assert self.way.take(self.guarantee.admit(messages), Counts())
        for sent in self.outlet.sent[self.sent :]:
            self.stored.outputs.append((sent.stamp or "", sent.payload))
        self.sent = len(self.outlet.sent)

    def commit(self) -> None:
        for name, value in self.owner.state.snapshot().items():
            if value is None:
                self.stored.state.pop(name, None)
            else:
                self.stored.state[name] = value
        self.stored.positions, self.stored.seq = dict(self.owner.positions), self.owner.seq
        self.stored.runs = self.owner.runs.text()


class _Lane(OwnerLane):
    def __init__(self, owner: Owner, outlet: FakeOutlet, made: list[bytes]) -> None:
        super().__init__(owner, outlet, "f/0", "the client")  # type: ignore[arg-type]
        self._made = made

    def emit(self, payload: bytes, key: str | None, event_time_ms: int | None) -> None:
        self._made.append(payload)
        super().emit(payload, key, event_time_ms)


@dataclass(frozen=True)
class Step:
    kind: str
    count: int


STEPS = st.lists(
    st.builds(Step, st.sampled_from(["labels", "readings", "clock", "commit", "crash"]), st.integers(1, 4)),
    max_size=40,
)


def message(name: str, entry: int, n: int) -> FakeMessage:
    return FakeMessage(str(n).encode(), BY_NAME[name].full_name, identity=FakeMessageId(1, entry, -1))


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([["readings"], ["labels", "readings"]]), st.randoms(use_true_random=False))
def test_what_is_made_again_is_what_was_published(steps: list[Step], names: list[str], rng: Any) -> None:
    stored, clock = Stored(), [0]
    topics: dict[str, list[FakeMessage]] = {name: [] for name in names}
    process = Process(stored, names, lambda: clock[0])
    n = 0
    for step in [*steps, Step("crash", 1), Step("clock", 100), Step("clock", 1), Step("clock", 1)]:
        match step.kind:
            case "commit":
                process.commit()
            case "clock":
                clock[0] += 100 * step.count
                process.take([])
            case "crash":
                process = Process(stored, names, lambda: clock[0])
                again = [each for name in names for each in topics[name]]
                rng.shuffle(again)
                again.sort(key=lambda each: each.identity.entry)  # each topic in its order, the two mixed anyhow
                first = stored.seq
                published = [payload for _, payload in stored.outputs[first:]]
                process.take([])
                for each in again:
                    process.take([each])
                assert process.made[: len(published)] == published
            case name if name in names:
                for _ in range(step.count):
                    n += 1
                    topics[name].append(message(name, len(topics[name]) + 1, n))
                    process.take([topics[name][-1]])
            case _:
                pass
    process.commit()
    assert [parse(stamp).seq for stamp, _ in stored.outputs] == list(range(1, len(stored.outputs) + 1))  # type: ignore[union-attr]
    assert not [key for key in stored.state if key.startswith("t:")], "all have fired"
    events = [int(payload.split()[1]) for _, payload in stored.outputs if payload.startswith(b"event")]
    assert sorted(events) == [each for each in range(1, n + 1) if each % 3]
