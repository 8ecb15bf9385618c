"""The verdicts that brokers give (tests/contract asks a real one about the same pairs)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import SchemaError
from pulsar_pipeline.schemas.compatibility import can_read, incompatibilities, same_schema
from pulsar_pipeline.schemas.tree import read_type
from tests.support.avro import definitions, evolved, record, schema
from tests.support.schema_pairs import PAIRS

V1 = schema(record(("a", "int")))
V2 = schema(record(("a", "int"), ("b", "int", 0)))
V3 = schema(record(("a", "int"), ("b", "int")))


@pytest.mark.parametrize("name", PAIRS)
def test_reading(name):
    pair = PAIRS[name]
    old, new = schema(pair.old), schema(pair.new)
    assert (not can_read(new, old), not can_read(old, new)) == (pair.new_reads_old, pair.old_reads_new)


@pytest.mark.parametrize("name", PAIRS)
def test_strategies(name):
    pair = PAIRS[name]
    old, new = schema(pair.old), schema(pair.new)
    both = pair.new_reads_old and pair.old_reads_new
    expected = {
        "backward": pair.new_reads_old,
        "backward_transitive": pair.new_reads_old,
        "forward": pair.old_reads_new,
        "forward_transitive": pair.old_reads_new,
        "full": both,
        "full_transitive": both,
        "always_compatible": True,
        "always_incompatible": same_schema(old, new),
    }
    assert {strategy: not incompatibilities(strategy, new, [old]) for strategy in expected} == expected


def test_transitive_strategies_look_at_every_version():
    assert incompatibilities("backward", V3, [V1, V2]) == ()
    (reason,) = incompatibilities("backward_transitive", V3, [V1, V2])
    assert reason == (
        "the new schema cannot read data of the existing schema: field b: the data lacks it and it has no default"
    )


def test_a_first_schema_is_welcome_and_so_is_one_that_is_there():
    assert incompatibilities("always_incompatible", V1, []) == ()
    assert incompatibilities("always_incompatible", V1, [V1, V2]) == ()
    assert incompatibilities("full_transitive", V1, [V1, V3]) == ()


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("doc changed", True),
        ("enum default only", True),
        ("property added", False),
        ("default changed", False),
        ("fields reordered", False),
        ("namespace added", False),
        ("record renamed", False),
        ("union of one", False),
    ],
)
def test_what_counts_as_the_same_schema(name, same):
    pair = PAIRS[name]
    assert same_schema(schema(pair.old), schema(pair.new)) is same


def test_key_order_and_layout_do_not_count():
    assert same_schema(V1, schema({"fields": [{"type": {"type": "int"}, "name": "a"}], "name": "R", "type": "record"}))


def test_reasons_name_the_field():
    old = schema(record(("inner", record(("x", {"type": "array", "items": "long"}), name="I"))))
    new = schema(record(("inner", record(("x", {"type": "array", "items": "int"}), name="I"))))
    assert can_read(new, old) == ["field inner.x[]: long cannot be read as int"]


def test_an_alias_that_collides_is_a_problem_not_a_crash():
    old = schema(record(("a", "int"), ("b", "int")))
    new = schema(record({"name": "a", "type": "int", "aliases": ["b"]}))
    assert "an alias" in can_read(new, old)[0]


def test_a_type_inside_a_type_is_refused_as_the_broker_refuses_it():
    with pytest.raises(SchemaError, match="a type inside a type"):
        read_type(record(("a", {"type": {"type": "array", "items": "int"}})))


@given(st.data())
def test_every_schema_reads_itself_and_verdicts_are_consistent(data):
    old = data.draw(definitions())
    new = data.draw(evolved(old))
    left, right = schema(old), schema(new)
    assert can_read(left, left) == []
    full = not incompatibilities("full", right, [left])
    assert full == (not can_read(left, right) and not can_read(right, left))
