"""A function under one of the three ways of processing, with no broker."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.state import MemoryState
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime import secrets
from pulsar_pipeline.runtime.arguments import parse
from pulsar_pipeline.runtime.guarantees.direct_lane import DirectLane
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.processor import Output, Steps, Tolerance
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.processing.way import way_of
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.stats import Counts, Stats
from pulsar_pipeline.runtime.supervision.watchdog import InWork
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.spec.model import OnError, Retry
from tests.unit.runtime.fakes import FakeClock, FakeGuarantee, FakeLane, FakeMessage, FakeSink
from tests.unit.runtime.worker_arguments import argv, config

READINGS = InputPartition(
    "readings", "persistent://acme/sensors/readings", 0, "persistent://acme/sensors/readings-partition-0"
)


def decode(payload: bytes, version: int) -> int:
    try:
        return int(payload)
    except ValueError as error:
        raise DataError(f"not a number: {payload!r}") from error


def encode(answer: dict[str, Any]) -> bytes:
    if "double" not in answer:
        raise DataError("field double is missing")
    return str(answer["double"]).encode()


class Bench:
    """One partition, one function."""

    def __init__(
        self,
        function: Any,
        *,
        key_field: str | None = "id",
        output: bool = True,
        attempts: int = 3,
        on_error: OnError = "dead_letter",
        event_timeout_s: float = 30,
    ) -> None:
        self.lane, self.guarantee, self.stop = FakeLane(), FakeGuarantee(), StopSignal()
        self.stats, self.in_work = Stats(FakeClock()), InWork()
        self.context = context(self.in_work)
        steps = Steps(
            {READINGS.full_name: decode},
            Output(encode, key_field) if output else None,
            Tolerance(Retry(attempts=attempts, longest_wait=0), on_error, getattr(function, "transient", ())),
            DeadLetters("persistent://acme/predictions/risk-dead-letters", "acme/predictions/risk"),
            self.stats,
        )
        instance = InstanceConfig.model_validate(config(event_timeout_s=event_timeout_s))
        self.way = way_of(function, self.context, steps, self.guarantee, self.in_work, self.stop, instance)
        self.ended = True

    def take(self, *messages: FakeMessage | bytes, **options: Any) -> Counts:
        turn = turn_of(self.lane, [m if isinstance(m, FakeMessage) else FakeMessage(m) for m in messages], **options)
        counts = Counts()
        self.ended = self.way.take([turn], counts)
        return counts

    @property
    def payloads(self) -> list[bytes]:
        return [sent.payload for sent in self.lane.outputs]

    @property
    def reasons(self) -> list[str]:
        return [letter.options["properties"]["reason"] for letter in self.lane.published]


def turn_of(lane: Any, messages: Sequence[FakeMessage], **options: Any) -> Turn:
    return Turn(lane, READINGS, messages, **options)


def context(in_work: InWork | None = None) -> FunctionContext:
    return FunctionContext(
        parse(argv()),
        {"model": "forest"},
        secrets.provider("secretsprovider.ClearTextSecretsProvider", {"password": "hunter2"}, {}),
        client="the client",  # type: ignore[arg-type]
        idle=DirectLane(None, FakeSink(), MemoryState()),  # type: ignore[arg-type]
        in_work=in_work or InWork(),
        logger=logging.getLogger("function.test"),
    )
