"""In-memory stand-ins for what the runtime's parts talk to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeMessageId:
    ledger: int = 1
    entry: int = 0
    batch: int = 0

    def ledger_id(self) -> int:
        return self.ledger

    def entry_id(self) -> int:
        return self.entry

    def batch_index(self) -> int:
        return self.batch


@dataclass
class FakeMessage:
    """What a consumer hands out, as far as the runtime asks."""

    payload: bytes = b""
    topic: str = "persistent://acme/sensors/readings-partition-0"
    key: str = "m1"
    event_time: int = 0
    props: dict[str, str] = field(default_factory=dict)
    version: int = 3
    identity: FakeMessageId = field(default_factory=FakeMessageId)

    def data(self) -> bytes:
        return self.payload

    def topic_name(self) -> str:
        return self.topic

    def partition_key(self) -> str:
        return self.key

    def ordering_key(self) -> str:
        return ""

    def event_timestamp(self) -> int:
        return self.event_time

    def properties(self) -> dict[str, str]:
        return self.props

    @property
    def _message(self) -> FakeMessage:
        return self

    def int_schema_version(self) -> int:
        return self.version

    def message_id(self) -> FakeMessageId:
        return self.identity


@dataclass
class Sent:
    topic: str
    payload: bytes
    options: dict[str, Any]


class FakeSink:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.flushed = 0

    def send(self, topic: str, payload: bytes, callback: Any = None, **options: Any) -> None:
        self.sent.append(Sent(topic, payload, options))

    def flush(self) -> None:
        self.flushed += 1


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds
