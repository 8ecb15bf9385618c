"""Dead letters: the original bytes of an event the function could not take, with what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import pulsar

from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.runtime.transport.event import InputPartition, parse_position, position_of
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.schemas.wire import NO_VERSION
from pulsar_pipeline.statelog.records import Position

_LAST_TIMEOUT_MS = 10_000
_LONGEST_ERROR = 2000
"""Characters of an error's text that travel with a dead letter."""


OWN_PROPERTIES = frozenset(
    {"reason", "error", "source_topic", "source_position", "source_schema_version", "function", "timer"}
)
"""What a letter adds to the properties of its event."""

_OF_EVENT = "event."
"""Before the name of an event's own property that is called like one of these, or begins so itself."""


class Reason(StrEnum):
    """Why an event was set aside."""

    UNDECODABLE = "undecodable"
    """The bytes are not Avro that the function's schema can read."""
    INVALID = "invalid"
    """The function refused the event (raised DataError), or its answer does not fit the output schema."""
    FAILED = "failed"
    """The function raised."""
    HUNG = "hung"
    """The function did not come back within the deployment's event timeout."""


class DeadLetters:
    """Makes the messages that set events aside: on the deployment's dead-letter topic, in the partition of the same
    number."""

    def __init__(self, topic: str, function: str) -> None:
        self._topic, _ = parse_topic(topic)
        self._function = function

    def letter(self, message: Any, origin: InputPartition, reason: Reason, error: str) -> Outgoing:
        """The event and why it is set aside."""
        options: dict[str, Any] = {
            "properties": set_apart(message.properties())
            | {
                "reason": reason.value,
                "error": error[:_LONGEST_ERROR],
                "source_topic": origin.full_name,
                "source_position": str(position_of(message)),
                "source_schema_version": _schema_version(message),
                "function": self._function,
            }
        }
        if message.partition_key():
            options["partition_key"] = message.partition_key()
        if message.event_timestamp():
            options["event_timestamp"] = message.event_timestamp()
        return Outgoing(self._topic.partition(origin.partition), message.data(), options)

    def timer_letter(self, timer: Timer, partition: int, reason: Reason, error: str) -> Outgoing:
        """A timer that is set aside: no event, so there is nothing to replay."""
        properties = {
            "reason": reason.value,
            "error": f"timer {timer.name}: {error}"[:_LONGEST_ERROR],
            "timer": f"{timer.number} {timer.name}",
            "source_position": f"timer {timer.number}",
            "function": self._function,
        }
        return Outgoing(self._topic.partition(partition), b"", {"properties": properties})

    def place(self, message: Any, origin: InputPartition) -> str:
        """Where an event stands, for people."""
        return f"{origin.full_name} {position_of(message)}"


def set_apart(properties: Mapping[str, str]) -> dict[str, str]:
    """An event's own properties, so named that none is taken for one of the letter's."""
    return {f"{_OF_EVENT}{name}" if _is_taken(name) else name: value for name, value in properties.items()}


def brought_back(properties: Mapping[str, str]) -> dict[str, str]:
    """Of a letter's properties the event's own, under the names it had."""
    return {name.removeprefix(_OF_EVENT): value for name, value in properties.items() if name not in OWN_PROPERTIES}


def _is_taken(name: str) -> bool:
    return name in OWN_PROPERTIES or name.startswith(_OF_EVENT)


class Hung(NamedTuple):
    """What hung the function before, and must not hang it again."""

    events: set[tuple[str, Position]]
    """Input partition and position."""
    timers: dict[int, int]
    """Partition → number of the timer."""


def hung_before(client: pulsar.Client, topic: str, partitions: Iterable[int]) -> Hung:
    """Whose hanging ended an instance: the last dead letter of each partition, if that is why."""
    name, _ = parse_topic(topic)
    hung = Hung(set(), {})
    for partition in partitions:
        reader = client.create_reader(
            name.partition(partition), pulsar.MessageId.latest, start_message_id_inclusive=True
        )
        try:
            if reader.has_message_available():
                properties = reader.read_next(_LAST_TIMEOUT_MS).properties()
                if properties.get("reason") != Reason.HUNG:
                    continue
                if timer := properties.get("timer"):
                    hung.timers[partition] = int(timer.partition(" ")[0])
                else:
                    hung.events.add((properties["source_topic"], parse_position(properties["source_position"])))
        finally:
            reader.close()
    return hung


def _schema_version(message: Any) -> str:
    version = message.int_schema_version()
    return "" if version == NO_VERSION else str(version)
