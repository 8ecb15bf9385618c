"""Loading schemas, and what is told about those that are not."""

from __future__ import annotations

import json

import pytest

from pulsar_pipeline.errors import SchemaError
from pulsar_pipeline.schemas.schema import load_schema, schema_from_text

RECORD = '{"type": "record",\n "name": "org.x.Reading", "fields": [{"name": "id", "type": "string"}]}'


def _with(kind):
    """A record whose field `a` is of this type."""
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]})


@pytest.mark.parametrize(("file", "version"), [("reading.v12.avsc", 12), ("reading.avsc", None)])
def test_name_and_version_come_from_the_file(tmp_path, file, version):
    path = tmp_path / file
    path.write_text(RECORD)
    schema = load_schema(path)
    assert (schema.name, schema.version) == ("reading", version)
    assert schema.text == '{"type":"record","name":"org.x.Reading","fields":[{"name":"id","type":"string"}]}'
    assert schema.fields == {"id": "string"}


def test_a_schema_from_a_registry_has_the_records_name():
    schema = schema_from_text(RECORD, "a topic")
    assert (schema.name, schema.version) == ("Reading", None)


def test_equality_is_that_of_the_text(tmp_path):
    path = tmp_path / "reading.v1.avsc"
    path.write_text(RECORD)
    assert load_schema(path) == schema_from_text(json.dumps(json.loads(RECORD), indent=4), "elsewhere")
    assert len({load_schema(path), load_schema(path)}) == 1


@pytest.mark.parametrize("name", ["reading.json", "reading.v0.avsc", "reading.vx.avsc", "a reading.avsc", ".avsc"])
def test_a_file_with_another_name_is_refused(tmp_path, name):
    with pytest.raises(SchemaError, match=r"NAME\.vN\.avsc"):
        load_schema(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"type": "record"', "not JSON"),
        ("[]", "not an Avro record"),
        ('"string"', "not an Avro record"),
        ('{"type": "enum", "name": "E", "symbols": ["A"]}', "not an Avro record"),
        ('{"type": "record", "name": "R"}', "no `fields`"),
        ('{"type": "record", "fields": []}', "not an Avro schema"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "nothing"}]}', "nothing"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}', "Default"),
        (
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "int"], "default": 1}]}',
            "field a is no null",
        ),
        ('{"type": "record", "name": "R", "fields": [{"name": "a b", "type": "int"}]}', "'a b' is no Avro name"),
        (_with(["null", ["int"]]), "a union directly inside"),
        (_with(["int", "int"]), "holds int twice"),
        (_with({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "must be unique"),
        (_with({"type": "enum", "name": "E", "symbols": ["A-B"]}), "Every symbol must match"),
        (_with({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}), "must be in symbols list"),
        (_with({"type": {"type": "array", "items": "int"}}), "a type inside a type"),
        (
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
            "a field a twice",
        ),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(text, problem):
    with pytest.raises(SchemaError) as caught:
        schema_from_text(text, "place")
    assert problem in caught.value.what
    assert (caught.value.where or "").startswith("place")


def test_broken_json_names_its_line(tmp_path):
    path = tmp_path / "reading.v1.avsc"
    path.write_text('{"type": "record",\n "name": }')
    with pytest.raises(SchemaError) as caught:
        load_schema(path)
    assert caught.value.where == f"{path}:2:10"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SchemaError, match="No such file"):
        load_schema(tmp_path / "reading.v1.avsc")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "reading.v1.avsc"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match="UTF-8"):
        load_schema(path)
