"""Late events: sent to a topic of the deployment, as records of the input they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.compatibility import same_schema
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.wire import schema_of_version


class LateTopic:
    """A late event goes into the partition of its input's number, so late events of a key keep their order."""

    def __init__(self, topic: str, inputs: Mapping[str, Schema]) -> None:
        """`inputs` are those whose schema the topic has."""
        self._topic, _ = parse_topic(topic)
        self._encoders = {name: Encoder(schema) for name, schema in inputs.items()}

    def message(self, event: Any, origin: InputPartition, message: Any) -> Outgoing:
        """`event` as it is published; key and time are those of `message`. Raises DataError."""
        encode = self._encoders.get(origin.name)
        if encode is None:
            raise DataError(
                f"the deployment's late topic does not take events of input {origin.name!r}",
                mend=f"it has the schema of {', '.join(sorted(self._encoders))}",
            )
        options: dict[str, Any] = {}
        if key := message.partition_key():
            options["partition_key"] = key
        if event_time := message.event_timestamp():
            options["event_timestamp"] = event_time
        return Outgoing(self._topic.partition(origin.partition), encode(event), options)


def inputs_of_late(client: pulsar.Client, topic: str, inputs: Mapping[str, Schema]) -> dict[str, Schema]:
    """The inputs whose schema a late topic has, by name. The broker is asked only where it is not obvious."""
    if all(same_schema(schema, other) for schema in inputs.values() for other in inputs.values()):
        return dict(inputs)
    registered = list(_versions(client, topic))
    return {
        name: schema for name, schema in inputs.items() if any(same_schema(schema, version) for version in registered)
    }


def _versions(client: pulsar.Client, topic: str) -> Iterator[Schema]:
    with suppress(DataError):  # there are no more
        yield from (schema_of_version(client, topic, version) for version in count())
