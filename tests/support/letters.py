"""Dead letters as instances leave them, for tests that need no instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulsar

from pulsar_pipeline.names import dead_letter_topic
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters, Reason
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.sink import Sink
from pulsar_pipeline.spec.model import Tenant


@dataclass
class Event:
    """What `DeadLetters.letter` asks of a consumed message."""

    payload: bytes
    entry: int
    key: str = ""
    event_time_ms: int = 0
    own: dict[str, str] = field(default_factory=dict)
    schema_version: int = 0

    def properties(self) -> dict[str, str]:
        return self.own

    def data(self) -> bytes:
        return self.payload

    def partition_key(self) -> str:
        return self.key

    def event_timestamp(self) -> int:
        return self.event_time_ms

    def message_id(self) -> Event:
        return self

    def ledger_id(self) -> int:
        return 1_000_000

    def entry_id(self) -> int:
        return self.entry

    def batch_index(self) -> int:
        return -1

    def int_schema_version(self) -> int:
        return self.schema_version


def origin(tenant: Tenant, ref: str, partition: int) -> InputPartition:
    topic = tenant.topic_name(ref)
    return InputPartition(ref, str(topic), partition, topic.partition(partition))


def set_aside(
    client: pulsar.Client,
    tenant: Tenant,
    deployment: str,
    events: Sequence[Event],
    *,
    partition: int = 0,
    reason: Reason = Reason.FAILED,
    error: str = "ValueError: cannot take it",
) -> None:
    """Events of a deployment's first input become dead letters, in their order."""
    declared = tenant.deployments[deployment]
    topic = str(dead_letter_topic(tenant.tenant, declared.namespace, deployment))
    sink = Sink(client)
    letters = DeadLetters(topic, f"{tenant.tenant}/{declared.namespace}/{deployment}")
    where = origin(tenant, next(iter(declared.inputs.values())), partition)
    for event in events:
        sink.send(letters.letter(event, where, reason, error))
    sink.flush()
    sink.close()
