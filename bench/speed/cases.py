"""The cases: a function, and the events it is given. The same numbers give the same bytes."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro

from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema

FUNCTIONS = Path(__file__).parent / "functions"

KEYS = 1000
"""Machines; readings come from one after the other."""

_ROWS = 10_000
_START_MS = 1_577_836_800_000
_LENGTH_PREFIX = 2
"""Bytes that Avro puts before the payload."""


@dataclass(frozen=True)
class Payload:
    """An event as it is sent."""

    data: bytes
    key: str | None
    event_time_ms: int | None


@dataclass(frozen=True, eq=False)
class Case:
    """A function with its config, and its events by their number, from 0."""

    name: str
    function: str
    input: str
    input_schema: Path
    output_schema: Path
    key: str | None
    config: dict[str, Any]
    size: int = 0
    """Bytes of an event; 0 for those whose record has a size of its own."""

    def payloads(self) -> Callable[[int], Payload]:
        """Makes an event from its number."""
        return _blocks(self.size) if self.size else _readings(self.input_schema)

    def numbers(self) -> Callable[[bytes], int]:
        """Finds an event's number in its output."""
        if self.size:
            return lambda output: int.from_bytes(output[_LENGTH_PREFIX : _LENGTH_PREFIX + 8], "big")
        parsed = load_schema(self.output_schema).parsed
        return lambda output: int(fastavro.schemaless_reader(io.BytesIO(output), parsed, None)["reading_id"])


def _identity(name: str, size: int) -> Case:
    schema = FUNCTIONS / "identity" / "schemas" / "block.v1.avsc"
    return Case(name, "identity", "events", schema, schema, None, {}, size)


def _risk(name: str, model: str) -> Case:
    schemas = FUNCTIONS / "risk" / "schemas"
    return Case(
        name, "risk", "readings", schemas / "reading.v1.avsc", schemas / "risk.v1.avsc", "machine_id", {"model": model}
    )


CASES = {
    case.name: case
    for case in (
        _identity("identity_100b", 100),
        _identity("identity_1kb", 1000),
        _risk("avro_logreg", "logreg"),
        _risk("avro_hoeffding", "hoeffding"),
    )
}


def _blocks(size: int) -> Callable[[int], Payload]:
    encode, length = Encoder(load_schema(CASES["identity_100b"].input_schema)), size - _LENGTH_PREFIX
    filler = random.Random(7).randbytes(length - 8)
    return lambda number: Payload(encode({"payload": number.to_bytes(8, "big") + filler}), None, None)


def readings() -> Callable[[int], dict[str, Any]]:
    """Makes a reading of nine fields from its number; measured values repeat after 10,000."""
    chance = random.Random(7)
    rows = [
        {
            "product_type": chance.choice("LLLMMH"),
            "air_temperature_k": round(chance.gauss(300, 2), 1),
            "process_temperature_k": round(chance.gauss(310, 1.5), 1),
            "rotational_speed_rpm": float(chance.randint(1200, 2800)),
            "torque_nm": round(chance.gauss(40, 10), 1),
            "tool_wear_min": float(chance.randint(0, 250)),
        }
        for _ in range(_ROWS)
    ]
    return lambda number: {
        "machine_id": f"mill-{number % KEYS:04d}",
        "reading_id": number,
        "at": _START_MS + number,
        **rows[number % _ROWS],
    }


def _readings(schema: Path) -> Callable[[int], Payload]:
    encode, reading_of = Encoder(load_schema(schema)), readings()

    def payload(number: int) -> Payload:
        reading = reading_of(number)
        return Payload(encode(reading), reading["machine_id"], reading["at"])

    return payload


def partition_of(number: int, partitions: int) -> int:
    """Where an event goes: all of a machine's to the same partition."""
    return (number % KEYS) % partitions
