from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.letters.letter import Letter, LetterPosition, letter_of
from pulsar_pipeline.runtime.transport.dead_letters import OWN_PROPERTIES, DeadLetters, Reason, brought_back, set_apart
from pulsar_pipeline.runtime.transport.event import InputPartition
from tests.support.letters import Event

ORIGIN = InputPartition("events", "persistent://acme/in/events", 3, "persistent://acme/in/events-partition-3")


class Stored(Event):
    """What the broker gives back of a message that was sent."""

    def publish_timestamp(self) -> int:
        return 1_700_000_000_500


def set_aside(event: Event, error: str = "ValueError: no") -> Letter:
    """As an instance does, and read back."""
    topic = "persistent://acme/out/risk-dead-letters"
    sent = DeadLetters(topic, "acme/out/risk").letter(event, ORIGIN, Reason.FAILED, error)
    assert sent.topic == f"{topic}-partition-3"
    stored = Stored(
        sent.payload,
        5,
        key=sent.options.get("partition_key", ""),
        event_time_ms=sent.options.get("event_timestamp", 0),
        own=sent.options["properties"],
    )
    return letter_of(stored, 3)


def test_a_letter_tells_what_the_instance_wrote() -> None:
    letter = set_aside(Event(b"bytes", 77, key="k", event_time_ms=9, own={"trace": "t"}, schema_version=2))
    assert letter.position == LetterPosition(3, 1_000_000, 5)
    assert (letter.reason, letter.error, letter.function) == ("failed", "ValueError: no", "acme/out/risk")
    assert letter.identity == ("persistent://acme/in/events-partition-3", "1000000:77:-1")
    assert (letter.payload, letter.key, letter.event_time_ms) == (b"bytes", "k", 9)
    assert letter.schema_version == 2
    assert letter.event_properties == {"trace": "t"}
    assert letter.properties.keys() - {"trace"} == OWN_PROPERTIES - {"timer"}, (
        "what else an instance adds would be replayed"
    )


def test_an_event_without_key_time_and_schema() -> None:
    letter = set_aside(Event(b"", 1, schema_version=-1))
    assert (letter.key, letter.event_time_ms, letter.schema_version) == (None, None, None)


def test_what_is_not_the_events_own_does_not_go_back() -> None:
    own = {"pp": "1.1:7", "__MSG_PROP_REPL_SOURCE_POSITION": "1:2", "trace": "t"}
    letter = set_aside(Event(b"", 1, own=own))
    assert letter.event_properties == {"trace": "t"}
    assert letter.is_stamped


def test_a_foreign_message_is_a_letter_too() -> None:
    letter = letter_of(Stored(b"?", 1), 0)
    assert (letter.reason, letter.source_topic, letter.schema_version) == ("", "", None)


@pytest.mark.parametrize(
    ("text", "position"),
    [("0:12:3", LetterPosition(0, 12, 3)), ("7:12:3:0", LetterPosition(7, 12, 3, 0))],
)
def test_positions_read_as_they_are_written(text: str, position: LetterPosition) -> None:
    assert LetterPosition.parse(text) == position
    assert str(position) == text


@pytest.mark.parametrize("text", ["", "1:2", "1:2:3:4:5", "a:2:3", "1:2:-1", "1:2:3:", "1::3", "¹:2:3"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        LetterPosition.parse(text)


@given(st.dictionaries(st.sampled_from(["reason", "error", "event.reason", "event.event.x", "trace"]), st.text()))
def test_an_events_own_properties_come_back_whatever_they_are_called(own: dict[str, str]) -> None:
    assert brought_back(set_apart(own) | {"reason": "failed", "error": "x"}) == own
