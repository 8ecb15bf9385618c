"""One Avro record schema: loaded from a file or from text, with the form to register and the form to encode with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro

from pulsar_pipeline.errors import SchemaError
from pulsar_pipeline.schemas.defaults import convert_defaults
from pulsar_pipeline.schemas.tree import read_type

_FILE_NAME = re.compile(r"^([A-Za-z0-9_\-]+)(?:\.v([1-9][0-9]*))?\.avsc$")

PARSE_ERRORS = (
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""What fastavro raises on something that is not a schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """An Avro record schema. Two are equal when their text is; the file's name and layout do not matter."""

    name: str = field(compare=False)
    """The file's NAME in `NAME.vN.avsc`, or the record's own name."""
    version: int | None = field(compare=False)
    """The file's N; None for `NAME.avsc` and for schemas from a registry (whose versions are the broker's)."""
    definition: dict[str, Any] = field(compare=False, repr=False)
    """The parsed JSON, as written."""
    text: str
    """Compact JSON of `definition`: what is registered with the broker."""
    parsed: Any = field(compare=False, repr=False)
    """fastavro's form."""

    @property
    def fields(self) -> dict[str, Any]:
        """Top-level field name → its Avro type."""
        return {entry["name"]: entry["type"] for entry in self.definition["fields"]}


def load_schema(path: Path) -> Schema:
    """Read `NAME.vN.avsc` or `NAME.avsc`. Raises SchemaError with the file and, for broken JSON, the line."""
    match = _FILE_NAME.match(path.name)
    if match is None:
        raise SchemaError(
            "not the name of a schema file", where=str(path), mend="call it NAME.vN.avsc, for example reading.v1.avsc"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaError(f"cannot read the schema: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise SchemaError("the schema is not UTF-8 text", where=str(path)) from error
    return _parse(text, str(path), name=match[1], version=int(match[2]) if match[2] else None)


def schema_from_text(text: str, where: str) -> Schema:
    """From JSON text, as a registry keeps it; `where` stands in errors. Raises SchemaError."""
    return _parse(text, where, name=None, version=None)


def parse(definition: dict[str, Any]) -> Any:
    """fastavro's form of a definition, with defaults as Python values. Raises SchemaError."""
    try:
        read_type(definition)  # fastavro lets pass much that brokers and other clients refuse
        parsed = fastavro.parse_schema(definition)
    except PARSE_ERRORS as error:
        text = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise SchemaError(f"not an Avro schema: {text}") from error
    convert_defaults(parsed)
    return parsed


def _parse(text: str, where: str, *, name: str | None, version: int | None) -> Schema:
    try:
        definition = json.loads(text)
    except json.JSONDecodeError as error:
        raise SchemaError(f"not JSON: {error.msg}", where=f"{where}:{error.lineno}:{error.colno}") from error
    if not isinstance(definition, dict) or definition.get("type") != "record":
        raise SchemaError(
            "not an Avro record",
            where=where,
            mend='a message\'s schema is {"type": "record", "name": …, "fields": […]}',
        )
    try:
        parsed = parse(definition)
    except SchemaError as error:
        raise SchemaError(error.what, where=where, mend=error.mend) from error
    return Schema(
        name=name or str(definition["name"]).rpartition(".")[2],
        version=version,
        definition=definition,
        text=json.dumps(definition, separators=(",", ":"), ensure_ascii=False),
        parsed=parsed,
    )
