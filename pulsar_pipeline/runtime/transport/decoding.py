"""Bytes of an input → the record a function takes, resolved from the writer's schema to the function's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import Schema, load_schema
from pulsar_pipeline.schemas.wire import writer_lookup

Decode = Callable[[bytes, int], Any]
"""(payload, the message's schema version) → record. Raises DataError."""


class FunctionSchemas:
    """The packaged schemas of a function. `src` is the unpacked package's source folder."""

    def __init__(self, src: Path, manifest: Manifest) -> None:
        folder = src / "schemas"
        self.inputs = {name: load_schema(folder / file) for name, file in manifest.inputs.items()}
        self.output: Schema | None = load_schema(folder / manifest.output) if manifest.output else None
        self.output_key = manifest.output_key


def decoders(client: pulsar.Client, schemas: FunctionSchemas, partitions: list[InputPartition]) -> dict[str, Decode]:
    """One decoder per owned partition, by its full name; partitions of one input share it."""
    by_topic: dict[str, Decode] = {}
    for partition in partitions:
        if partition.topic not in by_topic:
            by_topic[partition.topic] = Decoder(schemas.inputs[partition.name], writer_lookup(client, partition.topic))
    return {partition.full_name: by_topic[partition.topic] for partition in partitions}


def output_encoder(schemas: FunctionSchemas) -> Callable[[Any], bytes] | None:
    """Record → Avro bytes of the function's output schema; None for a function without output."""
    return Encoder(schemas.output) if schemas.output else None
