"""Records to bytes and back, strictly."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.compatibility import can_read
from pulsar_pipeline.schemas.schema import Schema
from tests.support.avro import definitions, evolved, record, schema, values

READING = schema(
    record(
        ("machine", "string"),
        ("at", {"type": "long", "logicalType": "timestamp-millis"}),
        ("kind", {"type": "enum", "name": "Kind", "symbols": ["L", "M"]}),
        ("speed", "int"),
        ("torque", "double"),
        ("note", ["null", "string"], None),
        ("parts", {"type": "array", "items": record(("id", "long"), name="Part")}, []),
        ("tags", {"type": "map", "values": "boolean"}, {}),
        ("digest", {"type": "fixed", "name": "Digest", "size": 2}, "\u0000\u0001"),
        ("raw", "bytes", "\u00ff"),
    )
)
AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)
GOOD = {"machine": "m-1", "at": AT, "kind": "L", "speed": 1500, "torque": 40.5}
WHOLE = GOOD | {"note": None, "parts": [], "tags": {}, "digest": b"\x00\x01", "raw": b"\xff"}


def decode(payload: bytes, writer: Schema = READING, reader: Schema | None = None) -> dict[str, Any]:
    return Decoder(reader, lambda version: writer)(payload, 0)


def test_fields_with_a_default_may_be_left_out():
    assert decode(Encoder(READING)(GOOD)) == WHOLE


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"machine": 5}, "field machine", "expected string, not 5 (int)"),
        ({"machine": None}, "field machine", "expected string, not None"),
        ({"machine": b"m"}, "field machine", "expected string"),
        ({"machine": "\ud800"}, "field machine", "cannot encode"),
        ({"at": "2026-01-01"}, "field at", "expected long"),
        ({"at": datetime.datetime(2026, 1, 1)}, "field at", "timestamp-millis with a time zone"),
        ({"kind": "X"}, "field kind", "expected one of L, M, not 'X'"),
        ({"kind": 0}, "field kind", "expected one of L, M"),
        ({"speed": 1.5}, "field speed", "expected int, not 1.5"),
        ({"speed": True}, "field speed", "expected int, not True"),
        ({"speed": 1 << 31}, "field speed", "-2147483648 to 2147483647"),
        ({"speed": "7"}, "field speed", "expected int"),
        ({"torque": "7"}, "field torque", "expected a number"),
        ({"torque": True}, "field torque", "expected a number"),
        ({"note": 5}, "field note", "expected null or string"),
        ({"parts": {}}, "field parts", "expected an array"),
        ({"parts": [{"id": 1}, {"id": "x"}]}, "field parts[1].id", "expected long"),
        ({"parts": [{}]}, "field parts[0].id", "missing"),
        ({"parts": [{"id": 1, "x": 2}]}, "field parts[0].x", "not in the schema"),
        ({"parts": [1]}, "field parts[0]", "expected a record"),
        ({"tags": [1]}, "field tags", "expected a map"),
        ({"tags": {"a": 1}}, "field tags.a", "expected boolean"),
        ({"tags": {1: True}}, "field tags", "text keys"),
        ({"digest": b"1"}, "field digest", "expected 2 bytes"),
        ({"raw": "text"}, "field raw", "expected bytes"),
        ({"color": "red"}, "field color", "is not in the schema"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(changes, where, what):
    with pytest.raises(DataError) as caught:
        Encoder(READING)(GOOD | changes)
    assert caught.value.where == where
    assert what in caught.value.what


def test_a_missing_field_is_refused_with_its_name():
    with pytest.raises(DataError, match="field speed: is missing and has no default"):
        Encoder(READING)({key: value for key, value in GOOD.items() if key != "speed"})


@pytest.mark.parametrize("record_", [None, [1], "text", 7])
def test_what_is_no_record_is_refused(record_):
    with pytest.raises(DataError, match="expected a record"):
        Encoder(READING)(record_)


def test_whole_numbers_are_numbers():
    assert decode(Encoder(READING)(GOOD | {"torque": 40}))["torque"] == 40.0


def test_long_values_are_not_told_in_full():
    with pytest.raises(DataError) as caught:
        Encoder(READING)(GOOD | {"speed": "x" * 10_000})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cut", range(len(Encoder(READING)(WHOLE))))
def test_every_truncation_is_refused(cut):
    with pytest.raises(DataError) as caught:
        decode(Encoder(READING)(WHOLE)[:cut])
    assert caught.value.where is not None
    assert caught.value.where.startswith("field ")


def test_truncation_names_the_field_that_is_cut():
    payload = Encoder(READING)(WHOLE)
    with pytest.raises(DataError, match="field machine: the bytes end"):
        decode(payload[:2])
    with pytest.raises(DataError, match="field raw: the bytes end"):
        decode(payload[:-1])


def test_trailing_bytes_are_refused():
    with pytest.raises(DataError, match="2 bytes follow the end of the R record"):
        decode(Encoder(READING)(GOOD) + b"\x00\x00")


def test_text_that_is_not_unicode_is_refused():
    payload = Encoder(READING)(GOOD).replace(b"m-1", b"\xff\xff\xff")
    with pytest.raises(DataError, match="field machine"):
        decode(payload)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(payload):
    try:
        found = decode(payload)
    except DataError as error:
        assert error.what
    else:
        assert set(found) == set(READING.fields)


def test_the_writers_schema_is_asked_for_once_per_version():
    asked: list[int] = []

    def writer_of(version: int) -> Schema:
        asked.append(version)
        return READING

    decoder = Decoder(None, writer_of)
    payload = Encoder(READING)(GOOD)
    for version in (0, 0, 1, 0):
        assert decoder(payload, version) == WHOLE
    assert asked == [0, 1]


def test_an_error_of_the_lookup_passes_through_and_is_not_remembered():
    answers: list[Schema] = []

    def writer_of(version: int) -> Schema:
        if not answers:
            raise DataError("no such version")
        return answers[0]

    decoder = Decoder(None, writer_of)
    payload = Encoder(READING)(GOOD)
    with pytest.raises(DataError, match="no such version"):
        decoder(payload, 0)
    answers.append(READING)
    assert decoder(payload, 0) == WHOLE


def test_an_older_writer_is_resolved_to_the_reader():
    old = schema(record(("machine", "string"), ("speed", "int"), ("gone", "string")))
    new = schema(
        record(
            {"name": "id", "type": "string", "aliases": ["machine"]},
            ("speed", "double"),
            ("wear", ["null", "int"], None),
        )
    )
    payload = Encoder(old)({"machine": "m", "speed": 3, "gone": "x"})
    assert decode(payload, old, new) == {"id": "m", "speed": 3.0, "wear": None}


def test_a_record_that_cannot_be_read_as_the_reader_is_refused():
    old = schema(record(("a", "string")))
    with pytest.raises(DataError, match="written as R cannot be read as R"):
        decode(Encoder(old)({"a": "x"}), old, schema(record(("b", "string"))))


def test_logical_types_go_both_ways():
    logical = schema(
        record(
            ("day", {"type": "int", "logicalType": "date"}),
            ("id", {"type": "string", "logicalType": "uuid"}),
            ("price", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}),
            ("clock", {"type": "long", "logicalType": "time-micros"}),
            ("local", {"type": "long", "logicalType": "local-timestamp-micros"}),
        )
    )
    value = {
        "day": datetime.date(2026, 1, 2),
        "id": uuid.UUID(int=7),
        "price": decimal.Decimal("12.34"),
        "clock": datetime.time(1, 2, 3, 4),
        "local": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    }
    assert decode(Encoder(logical)(value), logical) == value
    with pytest.raises(DataError, match="field price"):
        Encoder(logical)(value | {"price": decimal.Decimal("1.23456")})


def test_a_recursive_type_is_checked_at_every_depth():
    tree = schema(record(("value", "int"), ("next", ["null", "R"], None)))
    value = {"value": 1, "next": {"value": 2, "next": None}}
    assert decode(Encoder(tree)(value), tree) == value
    with pytest.raises(DataError, match=r"field next\.next\.value: expected int"):
        Encoder(tree)({"value": 1, "next": {"value": 2, "next": {"value": "x"}}})


def test_names_in_namespaces_are_found():
    nested = schema(
        record(
            ("first", {"type": "enum", "name": "E", "symbols": ["A"]}),
            ("second", "E"),
            ("third", "org.x.E"),
            namespace="org.x",
        )
    )
    value = {"first": "A", "second": "A", "third": "A"}
    assert decode(Encoder(nested)(value), nested) == value
    with pytest.raises(DataError, match="field third"):
        Encoder(nested)(value | {"third": "B"})


@given(st.data())
def test_decoding_gives_what_was_encoded(data):
    definition = data.draw(definitions())
    value = data.draw(values(definition))
    made = schema(definition)
    assert decode(Encoder(made)(value), made) == value


@given(st.data())
def test_what_the_checker_calls_readable_is_readable(data):
    old = data.draw(definitions())
    new = data.draw(evolved(old))
    value = data.draw(values(old))
    writer, reader = schema(old), schema(new)
    if not can_read(reader, writer):
        found = decode(Encoder(writer)(value), writer, reader)
        assert set(found) == {field["name"] for field in new["fields"]}
        json.dumps(found, default=str)


def test_defaults_are_values_for_readers_too():
    old = schema(record(("a", "int")))
    new = schema(
        record(
            ("a", "int"),
            ("at", {"type": "long", "logicalType": "timestamp-millis"}, 0),
            ("raw", ["bytes", "null"], "\u00ff"),
            ("inner", record(("b", "bytes", "x"), ("n", "double", "NaN"), name="Inner"), {"b": "y", "n": 1}),
            ("list", {"type": "array", "items": "bytes"}, ["z"]),
        )
    )
    found = decode(Encoder(old)({"a": 1}), old, new)
    assert found == {
        "a": 1,
        "at": datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        "raw": b"\xff",
        "inner": {"b": b"y", "n": 1.0},
        "list": [b"z"],
    }
    assert decode(Encoder(new)({"a": 1}), new) == found


def test_records_do_not_share_a_default_list():
    old, new = schema(record(("a", "int"))), schema(record(("a", "int"), ("l", {"type": "array", "items": "int"}, [])))
    decoder = Decoder(new, lambda version: old)
    decoder(Encoder(old)({"a": 1}), 0)["l"].append(7)
    assert decoder(Encoder(old)({"a": 1}), 0)["l"] == []
