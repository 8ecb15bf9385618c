"""Records to bytes and back: schemaless Avro, strict in both directions."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from typing import Any

import fastavro

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.accepts import compile_check
from pulsar_pipeline.schemas.defaults import has_mutable_defaults
from pulsar_pipeline.schemas.schema import Schema, parse

_write = fastavro.schemaless_writer
_read = fastavro.schemaless_reader

WRITE_ERRORS = (ValueError, TypeError, ArithmeticError)
"""What fastavro raises for values that pass the type check: a decimal beyond its scale, text that is not Unicode."""

READ_ERRORS = (
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    fastavro.read.SchemaResolutionError,
)
"""What fastavro raises for bytes that are not a record of the schema."""


class Encoder:
    """Encodes records of one schema. Strict: a missing field without default, an unknown field, a value of the wrong
    type or out of range is a DataError that names the field. Fields with a default may be left out."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._parsed = schema.parsed
        self._check = compile_check(schema.definition)

    def __call__(self, record: Mapping[str, Any]) -> bytes:
        """The record's Avro bytes (no header). Raises DataError."""
        if type(record) is not dict:
            record = dict(record) if isinstance(record, Mapping) else record
        self._check(record)
        buffer = io.BytesIO()
        try:
            _write(buffer, self._parsed, record, disable_tuple_notation=True)
        except WRITE_ERRORS as error:
            raise DataError(f"cannot encode as {self.schema.name}: {error}", where=self._culprit(record)) from error
        return buffer.getvalue()

    def _culprit(self, record: Mapping[str, Any]) -> str | None:
        """The first top-level field that fastavro cannot write. Slow, for errors only."""
        for name, prefix in _prefixes(self.schema):
            try:
                _write(io.BytesIO(), prefix, record, disable_tuple_notation=True)
            except WRITE_ERRORS:
                return f"field {name}"
        return None


class Decoder:
    """Decodes payloads by their writer's schema, resolved to `reader` (None: as written).

    `writer_of` gives the schema of a message's schema version; its answers are kept, its errors pass through.
    """

    def __init__(self, reader: Schema | None, writer_of: Callable[[int], Schema]) -> None:
        self.reader = reader
        self._writer_of = writer_of
        self._shares = reader is not None and has_mutable_defaults(reader.parsed)
        self._known: dict[int, tuple[Any, Any, Schema]] = {}

    def __call__(self, payload: bytes, schema_version: int) -> dict[str, Any]:
        """The record. Raises DataError for truncated, trailing or otherwise undecodable bytes."""
        writer, reader, schema = self._known.get(schema_version) or self._learn(schema_version)
        buffer = io.BytesIO(payload)
        try:
            record: Any = _read(buffer, writer, reader)
        except READ_ERRORS as error:
            raise _undecodable(payload, schema, self.reader, error) from error
        if buffer.tell() != len(payload):
            raise DataError(f"{len(payload) - buffer.tell()} bytes follow the end of the {schema.name} record")
        if reader is not None and self._shares:
            record = copy.deepcopy(record)  # fastavro puts one and the same default list into every record
        return record  # type: ignore[no-any-return]  # a record's schema: fastavro gives a dict

    def _learn(self, schema_version: int) -> tuple[Any, Any, Schema]:
        writer = self._writer_of(schema_version)
        same = self.reader is None or self.reader.text == writer.text
        # With no reader schema fastavro takes the short way: it neither compares nor resolves.
        known = (writer.parsed, None if same or self.reader is None else self.reader.parsed, writer)
        self._known[schema_version] = known
        return known


def _undecodable(payload: bytes, writer: Schema, reader: Schema | None, error: Exception) -> DataError:
    for name, prefix in _prefixes(writer):
        buffer = io.BytesIO(payload)
        try:
            _read(buffer, prefix, None)
        except READ_ERRORS as cause:
            ended = buffer.tell() >= len(payload) and isinstance(cause, EOFError | IndexError | ValueError)
            what = "the bytes end" if ended else f"the bytes are not a {writer.name} record: {_text(cause)}"
            return DataError(what, where=f"field {name}")
    target = reader.name if reader else writer.name
    return DataError(f"a record written as {writer.name} cannot be read as {target}: {_text(error)}")


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _prefixes(schema: Schema) -> list[tuple[str, Any]]:
    """For each field, the record up to and with it: the first that fails holds the fault. Slow, for errors only."""
    fields = schema.definition["fields"]
    return [
        (entry["name"], parse({**schema.definition, "fields": fields[: index + 1]}))
        for index, entry in enumerate(fields)
    ]
