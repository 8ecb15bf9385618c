from __future__ import annotations

import csv
import datetime
import io
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.ingest.convert import Converter
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import schema_from_text
from pulsar_pipeline.schemas.values import jsonable

FIELDS: dict[str, Any] = {
    "truth": "boolean",
    "whole": "int",
    "long": "long",
    "ratio": "double",
    "text": "string",
    "raw": "bytes",
    "maybe": ["null", "long"],
    "kind": {"type": "enum", "name": "Kind", "symbols": ["LOW", "HIGH"]},
    "at": {"type": "long", "logicalType": "timestamp-millis"},
    "at_micros": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
    "local": {"type": "long", "logicalType": "local-timestamp-millis"},
    "day": {"type": "int", "logicalType": "date"},
    "hour": {"type": "int", "logicalType": "time-millis"},
    "price": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    "id": {"type": "string", "logicalType": "uuid"},
    "list": {"type": "array", "items": "int"},
    "map": {"type": "map", "values": ["null", "bytes"]},
    "part": {"type": "record", "name": "Part", "fields": [{"name": "at", "type": "long"}]},
    "parts": {"type": "array", "items": "Part"},
}
DEFINITION = {
    "type": "record",
    "name": "All",
    "fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
}
SCHEMA = schema_from_text(json.dumps(DEFINITION), "test")
CONVERTER = Converter(DEFINITION)

INSTANTS = st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC))
RECORDS = st.fixed_dictionaries(
    {
        "truth": st.booleans(),
        "whole": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "ratio": st.floats(allow_nan=False, allow_infinity=False),
        "text": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r")),
        "raw": st.binary(),
        "maybe": st.none() | st.integers(-(2**63), 2**63 - 1),
        "kind": st.sampled_from(["LOW", "HIGH"]),
        "at": INSTANTS.map(lambda instant: instant.replace(microsecond=instant.microsecond // 1000 * 1000)),
        "at_micros": st.none() | INSTANTS,
        "local": INSTANTS.map(lambda instant: instant.replace(microsecond=0, tzinfo=None)),
        "day": st.dates(),
        "hour": st.times().map(lambda time: time.replace(microsecond=0)),
        "price": st.decimals(-99999, 99999, places=2),
        "id": st.uuids(),
        "list": st.lists(st.integers(-5, 5)),
        "map": st.dictionaries(st.text(max_size=3), st.none() | st.binary(max_size=3), max_size=3),
        "part": st.fixed_dictionaries({"at": st.integers(0, 9)}),
        "parts": st.lists(st.fixed_dictionaries({"at": st.integers(0, 9)}), max_size=2),
    }
)


def as_cell(name: str, value: Any) -> str:
    """As a spreadsheet or a database would write it."""
    match jsonable(value):
        case None:
            return ""
        case bool() as truth:
            return "true" if truth else "false"
        case dict() | list() as part:
            return json.dumps(part)
        case plain:
            return str(plain)


def through_avro(record: dict[str, Any]) -> Any:
    return Decoder(SCHEMA, lambda _: SCHEMA)(Encoder(SCHEMA)(record), b"")


@given(RECORDS)
def test_a_record_written_as_csv_comes_back(record: dict[str, Any]) -> None:
    text = io.StringIO()
    csv.writer(text).writerow(as_cell(name, value) for name, value in record.items())
    cells = next(csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True))
    converted = CONVERTER.from_cells(dict(zip(record, cells, strict=True)))
    assert through_avro(converted) == through_avro(record)


@given(RECORDS)
def test_a_record_written_as_json_comes_back(record: dict[str, Any]) -> None:
    converted = CONVERTER.from_json(json.loads(json.dumps(jsonable(record))))
    assert through_avro(converted) == through_avro(record)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("truth", "Yes", True),
        ("truth", "0", False),
        ("whole", " 7 ", 7),
        ("whole", "7.0", 7),
        ("long", "-9223372036854775808", -(2**63)),
        ("ratio", "1e-3", 0.001),
        ("maybe", "", None),
        ("at", "1700000000123", 1700000000123),
        ("at", "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        ("at", "2026-01-02 03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        ("at", "2026-01-02T03:04:05+02:00", datetime.datetime(2026, 1, 2, 1, 4, 5, tzinfo=datetime.UTC)),
        ("day", "2026-01-02", datetime.date(2026, 1, 2)),
        ("price", "12.30", Decimal("12.30")),
        ("id", "{12345678-1234-5678-1234-567812345678}", str(uuid.UUID("12345678-1234-5678-1234-567812345678"))),
        ("parts", '[{"at": 3}]', [{"at": 3}]),
    ],
)
def test_cells(field: str, text: str, value: Any) -> None:
    assert CONVERTER.from_cells({field: text}) == {field: value}


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("truth", "maybe", "true or false"),
        ("truth", "", "true or false"),
        ("whole", "7.5", "a whole number"),
        ("whole", "1_000", "a whole number"),
        ("ratio", "", "a number"),
        ("ratio", "1_0.5", "a number"),
        ("maybe", "x", "a whole number"),
        ("at", "yesterday", "ISO 8601"),
        ("local", "2026-01-02T03:04:05Z", "without a zone"),
        ("day", "2026-13-01", "ISO 8601 date"),
        ("price", "NaN", "a decimal number"),
        ("id", "12", "a UUID"),
        ("raw", "%%", "base64"),
        ("list", "1,2", "JSON"),
        ("parts", "3", "an array"),
    ],
)
def test_wrong_cells_name_the_field_and_what_it_takes(field: str, text: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as raised:
        CONVERTER.from_cells({field: text})
    assert raised.value.where == f"field {field}"


def test_columns_that_are_not_the_schemas_are_refused_together() -> None:
    converter = Converter(
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "id", "type": "string"},
                {"name": "note", "type": "string", "default": ""},
            ],
        }
    )
    converter.check_columns(["id"])
    with pytest.raises(DataError, match=r"no field 'ID'; it lacks the field 'id'"):
        converter.check_columns(["ID", "note"])


def test_wrong_json_names_the_path() -> None:
    with pytest.raises(DataError, match="field at: expected an ISO 8601 time"):
        CONVERTER.from_json({"at": [1]})


def test_a_logical_type_on_the_wrong_type_is_ignored_as_avro_says() -> None:
    converter = Converter(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "at", "type": {"type": "string", "logicalType": "timestamp-millis"}}],
        }
    )
    assert converter.from_cells({"at": "noon"}) == {"at": "noon"}


def test_a_type_may_hold_itself() -> None:
    converter = Converter(
        {
            "type": "record",
            "name": "Node",
            "fields": [
                {"name": "raw", "type": "bytes"},
                {"name": "next", "type": ["null", "Node"], "default": None},
            ],
        }
    )
    assert converter.from_json({"raw": "AA==", "next": {"raw": "AQ=="}}) == {"raw": b"\0", "next": {"raw": b"\1"}}
    assert converter.from_cells({"raw": "", "next": '{"raw": "AQ=="}'}) == {"raw": b"", "next": {"raw": b"\1"}}
