"""In-memory stand-ins for what the runtime's parts talk to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.online.state import MemoryState
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.transport.outgoing import Outgoing


@dataclass(order=True)
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


@dataclass(eq=False)
class FakeMessage:
    """What a consumer hands out, as far as the runtime asks."""

    payload: bytes = b""
    topic: str = "persistent://acme/sensors/readings-partition-0"
    key: str = "m1"
    event_time: int = 0
    props: dict[str, str] = field(default_factory=dict)
    version: int = 3
    identity: FakeMessageId = field(default_factory=FakeMessageId)
    producer: str = "west-1-7"
    published: int = 1_000

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

    def int_schema_version(self) -> int:
        return self.version

    def message_id(self) -> FakeMessageId:
        return self.identity

    def producer_name(self) -> str:
        return self.producer

    def publish_timestamp(self) -> int:
        return self.published


@dataclass
class Sent:
    payload: bytes
    key: str | None
    event_time_ms: int | None
    stamp: str | None = None


class FakeOutlet:
    """Keeps what is sent to an output's partition."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(
        self, payload: bytes, key: str | None, event_time_ms: int | None, stamp: str | None = None, callback: Any = None
    ) -> None:
        self.sent.append(Sent(payload, key, event_time_ms, stamp))


class FakeSink:
    """Keeps what is sent to other topics."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.opened: list[str] = []
        self.flushed = 0

    def open(self, topic: str) -> None:
        self.opened.append(topic)

    def send(self, message: Outgoing) -> None:
        self.sent.append(message)

    def flush(self) -> None:
        self.flushed += 1


class FakeLane:
    """Keeps all that is done to a partition, in order."""

    hung_timer: int | None = None

    def __init__(self) -> None:
        self.state = MemoryState()
        self.outputs: list[Sent] = []
        self.published: list[Outgoing] = []
        self.told: list[int] = []
        self.fires = 0

    def emit(self, payload: bytes, key: str | None, event_time_ms: int | None) -> None:
        self.outputs.append(Sent(payload, key, event_time_ms))

    def check(self, message: Outgoing) -> None: ...

    def publish(self, message: Outgoing) -> None:
        self.published.append(message)

    def fired(self) -> None:
        self.fires += 1

    def reached(self, turn: Turn, count: int) -> None:
        turn.done = count
        self.told.append(count)


class FakeGuarantee:
    """Commits when told that it is time."""

    gives_back = True

    def __init__(self) -> None:
        self.due_at = float("inf")
        self.commits = 0

    def admit(self, messages: Sequence[Any]) -> list[Turn]:
        raise AssertionError("not asked here")

    def until_timer_ms(self) -> int | None:
        return None

    def commit(self) -> None:
        self.commits += 1

    def batch_done(self) -> None: ...

    def drain(self) -> None: ...

    def settle(self, message: Any) -> None: ...


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds
