from __future__ import annotations

from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.dead_letters import DeadLetters
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.processor import Output, Processor
from pulsar_pipeline.runtime.stats import Counts, Stats
from tests.unit.runtime.fakes import FakeClock, FakeMessage, FakeMessageId, FakeSink

READINGS = InputPartition(
    "readings", "persistent://acme/sensors/readings", 0, "persistent://acme/sensors/readings-partition-0"
)


class Doubler:
    """Answers with twice the number; refuses 13, fails on 0, is silent on 1."""

    def process(self, record: int, context: Any) -> dict[str, int] | None:
        if record == 13:
            raise DataError("an unlucky number", where="field n")
        if record == 1:
            return None
        return {"id": record, "double": 2 * (record // (1 if record else 0))}


def decode(payload: bytes, version: int) -> int:
    try:
        return int(payload)
    except ValueError as error:
        raise DataError(f"not a number: {payload!r}") from error


class Context:
    def begin(self, message: Any, origin: InputPartition, state: Any) -> None:
        assert state == f"state of {origin.partition}"


class Emitting:
    """A guarantee that sends at once."""

    def __init__(self, sink: FakeSink) -> None:
        self._sink = sink

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        self._sink.send(f"risk-partition-{origin.partition}", payload, **options)

    def state(self, partition: int) -> str:
        return f"state of {partition}"


@pytest.fixture
def sink() -> FakeSink:
    return FakeSink()


@pytest.fixture
def stats() -> Stats:
    return Stats(FakeClock())


@pytest.fixture
def processor(sink: FakeSink, stats: Stats) -> Processor:
    return build(sink, stats, key_field="id")


def build(sink: FakeSink, stats: Stats, key_field: str | None, output: bool = True) -> Processor:
    return Processor(
        Doubler(),
        Context(),  # type: ignore[arg-type]
        {READINGS.full_name: READINGS},
        {READINGS.full_name: decode},
        Output(lambda a: str(a["double"]).encode(), key_field) if output else None,
        Emitting(sink),  # type: ignore[arg-type]
        DeadLetters(sink, "persistent://acme/predictions/risk-dead-letters", "acme/predictions/risk"),  # type: ignore[arg-type]
        stats,
    )


def handle(processor: Processor, *messages: FakeMessage) -> Counts:
    counts = Counts()
    for message in messages:
        processor.handle(message, counts)
    return counts


def test_an_answer_is_published_with_key_and_event_time(processor: Processor, sink: FakeSink) -> None:
    counts = handle(processor, FakeMessage(b"21", event_time=1234))
    (sent,) = sink.sent
    assert (sent.topic, sent.payload) == ("risk-partition-0", b"42")
    assert sent.options == {"partition_key": "21", "event_timestamp": 1234}
    assert (counts.received, counts.processed, counts.user_exceptions) == (1, 1, 0)


def test_without_a_key_field_the_inputs_key_goes_on(sink: FakeSink, stats: Stats) -> None:
    handle(build(sink, stats, key_field=None), FakeMessage(b"21", key="m7"))
    assert sink.sent[0].options == {"partition_key": "m7"}


def test_no_answer_publishes_nothing(processor: Processor, sink: FakeSink) -> None:
    counts = handle(processor, FakeMessage(b"1"))
    assert sink.sent == []
    assert counts.processed == 1


@pytest.mark.parametrize(
    ("payload", "reason", "error"),
    [
        (b"\x00broken", "undecodable", "not a number"),
        (b"13", "invalid", "field n: an unlucky number"),
        (b"0", "failed", "ZeroDivisionError: integer division or modulo by zero (test_processor.py:"),
    ],
)
def test_a_bad_event_is_set_aside_with_its_bytes_and_the_others_go_on(
    processor: Processor, sink: FakeSink, stats: Stats, payload: bytes, reason: str, error: str
) -> None:
    bad = FakeMessage(payload, props={"trace": "abc"}, event_time=99, identity=FakeMessageId(7, 8, 9))
    counts = handle(processor, FakeMessage(b"2"), bad, FakeMessage(b"3"))

    before, letter, after = sink.sent
    assert [before.payload, after.payload] == [b"4", b"6"]
    assert letter.topic == "persistent://acme/predictions/risk-dead-letters-partition-0"
    assert letter.payload == payload
    assert letter.options["partition_key"] == "m1"
    assert letter.options["event_timestamp"] == 99
    properties = letter.options["properties"]
    assert properties["reason"] == reason
    assert error in properties["error"]
    assert properties["source_position"] == "7:8:9"
    assert properties["source_topic"] == READINGS.full_name
    assert properties["source_schema_version"] == "3"
    assert properties["trace"] == "abc"
    assert (counts.received, counts.processed, counts.user_exceptions) == (3, 2, 1)
    (failure,) = stats.snapshot().user_failures
    assert failure.text.startswith(reason)


def test_an_answer_without_an_output_is_the_functions_fault(sink: FakeSink, stats: Stats) -> None:
    counts = handle(build(sink, stats, None, output=False), FakeMessage(b"2"))
    assert counts.user_exceptions == 1
    assert "has no output" in sink.sent[0].options["properties"]["error"]


def test_a_long_error_is_cut(processor: Processor, sink: FakeSink) -> None:
    handle(processor, FakeMessage(b"x" * 10_000))
    assert len(sink.sent[0].options["properties"]["error"]) == 2000


def test_what_cannot_be_sent_ends_the_instance_and_is_no_dead_letter(sink: FakeSink, stats: Stats) -> None:
    class Broken(Emitting):
        def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
            raise pulsar.PulsarException("fenced")

    processor = build(sink, stats, key_field="id")
    processor._guarantee = Broken(sink)  # type: ignore[assignment]
    with pytest.raises(pulsar.PulsarException):
        handle(processor, FakeMessage(b"2"))
    assert sink.sent == []
