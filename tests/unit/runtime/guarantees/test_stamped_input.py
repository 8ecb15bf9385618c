from __future__ import annotations

from pulsar_pipeline.runtime.guarantees.stamped_input import StampedInputs
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage
from pulsar_pipeline.statelog.stamp import PROPERTY, marker_text, stamp_text
from tests.unit.runtime.fakes import FakeMessage

STAMPED = InputPartition("risks", "persistent://a/b/risks", 0, "persistent://a/b/risks-partition-0", stamped=True)
PLAIN = InputPartition("labels", "persistent://a/b/labels", 0, "persistent://a/b/labels-partition-0")
BOTH = {each.full_name: each for each in (STAMPED, PLAIN)}


def stamped(payload: bytes, text: str) -> FakeMessage:
    return FakeMessage(payload, topic=STAMPED.full_name, props={PROPERTY: text})


def kept(lineage: Lineage, *messages: FakeMessage) -> list[bytes]:
    inputs = StampedInputs(BOTH, lambda _partition: lineage)
    return [message.payload for message, _ in inputs.those_that_count(messages)]


def test_markers_repeated_and_late_outputs_do_not_count() -> None:
    messages = [
        stamped(b"1", stamp_text(1, 1, 1)),
        stamped(b"2", stamp_text(1, 1, 2)),
        stamped(b"", marker_text(1, 2, "n")),
        stamped(b"late", stamp_text(1, 1, 3)),
        stamped(b"3", stamp_text(1, 2, 3)),
        stamped(b"again", stamp_text(1, 2, 3)),
    ]
    assert kept(ANYWHERE, *messages) == [b"1", b"2", b"3"]


def test_it_goes_on_from_the_commit() -> None:
    assert kept(Lineage(1, 2, 7), stamped(b"7", stamp_text(1, 2, 7)), stamped(b"8", stamp_text(1, 2, 8))) == [b"8"]


def test_messages_of_other_inputs_and_without_stamps_count_as_they_are() -> None:
    raw = FakeMessage(b"raw", topic=STAMPED.full_name)
    other = FakeMessage(b"label", topic=PLAIN.full_name, props={PROPERTY: "not for us"})
    assert kept(ANYWHERE, raw, other) == [b"raw", b"label"]
