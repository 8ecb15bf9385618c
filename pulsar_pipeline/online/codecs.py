"""A function's Avro schemas as encoders and decoders: per input by name, and of the output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import Schema, load_schema

SCHEMAS_FOLDER = "schemas"


_ONLY = 0
"""Within a package each input has one schema; which version the topic gave it does not matter."""


class Codecs:
    """Payloads are schemaless Avro, written with the very schema that reads them."""

    def __init__(self, inputs: Mapping[str, Schema], output: Schema | None, output_key: str | None) -> None:
        self.inputs = dict(inputs)
        self.output = output
        self.output_key = output_key
        self._decoders = {name: _decoder(schema) for name, schema in inputs.items()}
        self._encoders = {name: Encoder(schema) for name, schema in inputs.items()}
        self._output_encoder = Encoder(output) if output else None
        self._output_decoder = _decoder(output) if output else None

    @classmethod
    def of_package(cls, src: Path, manifest: Manifest) -> Codecs:
        """From an unpacked package's `src` folder. Raises SchemaError."""
        folder = src / SCHEMAS_FOLDER
        return cls(
            {name: load_schema(folder / file) for name, file in manifest.inputs.items()},
            load_schema(folder / manifest.output) if manifest.output else None,
            manifest.output_key,
        )

    def encode_event(self, name: str, record: Mapping[str, Any]) -> bytes:
        """An event of one input, as its producer would. Raises DataError."""
        if name not in self._encoders:
            raise _no_input(name, self.inputs)
        return self._encoders[name](record)

    def decode_event(self, name: str, payload: bytes) -> dict[str, Any]:
        """An event of one input. Raises DataError."""
        if name not in self._decoders:
            raise _no_input(name, self.inputs)
        return self._decoders[name](payload, _ONLY)

    def encode_output(self, record: Mapping[str, Any]) -> bytes:
        """Raises DataError, also for an output of a function that declares none."""
        if self._output_encoder is None:
            raise DataError(
                "the function returned a record but declares no output", mend="add `output` to function.yaml"
            )
        return self._output_encoder(record)

    def decode_output(self, payload: bytes) -> dict[str, Any]:
        """What a consumer of the output gets. Raises DataError."""
        if self._output_decoder is None:
            raise DataError("the function declares no output")
        return self._output_decoder(payload, _ONLY)


def _decoder(schema: Schema) -> Decoder:
    return Decoder(schema, lambda _version: schema)


def _no_input(name: str, inputs: Mapping[str, Schema]) -> DataError:
    return DataError(f"the function has no input {name!r}", mend=f"its inputs are {', '.join(sorted(inputs))}")
