"""Avro and Pulsar's schema registry: producers register their schema, consumers look up the writer's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _pulsar
import pulsar
from pulsar.schema import Schema as PulsarSchema

from pulsar_pipeline.errors import ClusterError, DataError
from pulsar_pipeline.schemas.schema import Schema, schema_from_text

NO_VERSION = -1

MAX_PAYLOAD = 5_230_000
"""Bytes of a message, just under Pulsar's limit of 5 MiB with its headers. Larger entries take a bookie down, and the
client tells only the message's own callback: so sizes are checked before sending."""

_UNKNOWN_VERSION = pulsar.TopicNotFound


class WireSchema(PulsarSchema):  # type: ignore[misc]
    """Registers as AVRO with the broker; the payload passes through as the bytes it is."""

    def __init__(self, schema: Schema) -> None:
        # Not the parent's constructor: it would print the definition anew instead of registering our text.
        self._record_cls = bytes
        self._schema_info = _pulsar.SchemaInfo(_pulsar.SchemaType.AVRO, "AVRO", schema.text)

    def encode(self, obj: bytes) -> bytes:
        return obj

    def decode(self, data: bytes) -> bytes:
        return data


def wire_schema(schema: Schema) -> WireSchema:
    """The `schema=` for producers that send payloads made by an Encoder of `schema`."""
    return WireSchema(schema)


class RegisteredSchema(PulsarSchema):  # type: ignore[misc]
    """A version that a topic's schema has already, of any type; the payload passes through as the bytes it is."""

    def __init__(self, info: Any) -> None:
        self._record_cls = bytes
        self._schema_info = _pulsar.SchemaInfo(info.schema_type(), info.name(), info.schema())

    def encode(self, obj: bytes) -> bytes:
        return obj

    def decode(self, data: bytes) -> bytes:
        return data


def registered_schema(client: pulsar.Client, topic: str, version: int) -> RegisteredSchema:
    """The `schema=` for producers whose messages are to have schema version `version` of `topic`.

    Raises DataError when the topic has no such version, ClusterError when the broker does not answer.
    """
    return RegisteredSchema(_schema_info(client, topic, version))


def version_of(message: pulsar.Message) -> int:
    """Schema version a message was sent with; NO_VERSION for one sent without a schema.

    Not `message.schema_version()`: that is the version's eight bytes read as text, which fails from version 128 on.
    """
    return int(message._message.int_schema_version())


def writer_lookup(client: pulsar.Client, topic: str) -> Callable[[int], Schema]:
    """Finds the schema that a message of `topic` was written with, by `version_of(message)`.

    Answers are cached, so a message costs a dictionary access.

    The function raises DataError when the message names no version or one the topic does not have (the event's
    fault), ClusterError when the broker does not answer (not the event's fault).
    """
    known: dict[int, Schema] = {}

    def lookup(schema_version: int) -> Schema:
        schema = known.get(schema_version)
        if schema is None:
            schema = known[schema_version] = schema_of_version(client, topic, schema_version)
        return schema

    return lookup


def schema_of_version(client: Any, topic: str, version: int) -> Schema:
    """A version of a topic's schema, counted from 0. Raises DataError where there is none, ClusterError."""
    if version == NO_VERSION:
        raise DataError("the message was sent without a schema", where=topic, mend="send with the topic's schema")
    info = _schema_info(client, topic, version)
    if info.schema_type() != _pulsar.SchemaType.AVRO:
        raise DataError(f"schema version {version} is {info.schema_type().name}, not AVRO", where=topic)
    return schema_from_text(info.schema(), f"{topic} schema version {version}")


def _schema_info(client: Any, topic: str, version: int) -> Any:
    try:
        return client._client.get_schema_info(topic, version)
    except _UNKNOWN_VERSION as error:
        raise DataError(f"the topic has no schema version {version}", where=topic) from error
    except pulsar.PulsarException as error:
        raise ClusterError(f"cannot look up schema version {version}: {error}", where=topic) from error
