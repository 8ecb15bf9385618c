"""One dead letter, as its message tells it. Pure.

A replay takes off again what the letter added to the event's own properties, and adds REPLAY_OF and REPLAY_FOR. A stamp
is never an event's own: the event would count as an output of the deployment it is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from pulsar_pipeline.runtime.transport.dead_letters import brought_back
from pulsar_pipeline.statelog.stamp import PROPERTY as STAMP

REPLAY_OF = "replay_of"
"""On a replayed event: the position of the event that it is a replay of, in the same partition."""
REPLAY_FOR = "replay_for"
"""On a replayed event: `TENANT/NAME` of the deployment whose dead letter it was."""

_PULSARS_OWN = "__"
"""Properties that begin so are a broker's, a replicator's for one."""


class LetterPosition(NamedTuple):
    """Where a letter stands in its dead-letter topic; `batch` is -1 for a message that is in no batch."""

    partition: int
    ledger: int
    entry: int
    batch: int = -1

    def __str__(self) -> str:
        parts = self if self.batch >= 0 else self[:3]
        return ":".join(map(str, parts))

    @classmethod
    def parse(cls, text: str) -> LetterPosition:
        """From `PARTITION:LEDGER:ENTRY` or `PARTITION:LEDGER:ENTRY:BATCH`. ValueError otherwise."""
        parts = text.split(":")
        if len(parts) not in (3, 4) or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(
                f"not a position: {text!r} (expected PARTITION:LEDGER:ENTRY or PARTITION:LEDGER:ENTRY:BATCH)"
            )
        return cls(*map(int, parts))


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that was set aside, and why. Texts are empty where the message does not tell."""

    position: LetterPosition
    reason: str
    error: str
    source_topic: str
    """Full name of the partition it came from."""
    source_position: str
    schema_version: int | None
    """Of its topic's schema, which the event was written with; None for an event sent without one."""
    function: str
    payload: bytes
    key: str | None
    event_time_ms: int | None
    set_aside_ms: int
    properties: dict[str, str]
    """All of the message's, those of the letter among them."""

    @property
    def identity(self) -> tuple[str, str]:
        """Of the event; two letters with the same one are the same event, set aside twice."""
        return self.source_topic, self.source_position

    @property
    def event_properties(self) -> dict[str, str]:
        """The event's own."""
        return {
            name: value
            for name, value in brought_back(self.properties).items()
            if name != STAMP and not name.startswith(_PULSARS_OWN)
        }

    @property
    def is_stamped(self) -> bool:
        """The event is an output of an exactly-once deployment."""
        return STAMP in self.properties


def letter_of(message: Any, partition: int) -> Letter:
    """A consumed `pulsar.Message` of a partition of a dead-letter topic. Takes whatever is there."""
    properties, identity = message.properties(), message.message_id()
    version = properties.get("source_schema_version", "")
    return Letter(
        position=LetterPosition(partition, identity.ledger_id(), identity.entry_id(), identity.batch_index()),
        reason=properties.get("reason", ""),
        error=properties.get("error", ""),
        source_topic=properties.get("source_topic", ""),
        source_position=properties.get("source_position", ""),
        schema_version=int(version) if version.isdigit() else None,
        function=properties.get("function", ""),
        payload=message.data(),
        key=message.partition_key() or None,
        event_time_ms=message.event_timestamp() or None,
        set_aside_ms=message.publish_timestamp(),
        properties=dict(properties),
    )
