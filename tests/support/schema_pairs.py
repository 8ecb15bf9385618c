"""Changes of schema, each with what Avro (as the broker applies it) says of it in both directions."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.support.avro import Definition, record


class Pair(NamedTuple):
    """One change of schema."""

    old: Definition
    new: Definition
    new_reads_old: bool
    old_reads_new: bool


def _of(old: Any, new: Any) -> tuple[Definition, Definition]:
    """Two records that differ in the type of field `x` only."""
    return record(("x", old)), record(("x", new))


def _enum(*symbols: str, **more: Any) -> Definition:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def _fixed(size: int, name: str = "F") -> Definition:
    return {"type": "fixed", "name": name, "size": size}


def _inner(*fields: Any, **more: Any) -> Definition:
    return record(*fields, **{"name": "Inner", **more})


_A = ("a", "int")
_LONG_TIME = {"type": "long", "logicalType": "timestamp-millis"}
_ALIASED = {"name": "b", "type": "int", "aliases": ["a"]}

PAIRS: dict[str, Pair] = {
    "same": Pair(record(_A), record(_A), True, True),
    "add field with default": Pair(record(_A), record(_A, ("b", "int", 1)), True, True),
    "add field without default": Pair(record(_A), record(_A, ("b", "int")), False, True),
    "remove field without default": Pair(record(_A, ("b", "int")), record(_A), True, False),
    "remove field with default": Pair(record(_A, ("b", "int", 1)), record(_A), True, True),
    "rename field": Pair(record(_A), record(("b", "int")), False, False),
    "rename field with alias": Pair(record(_A), record(_ALIASED), True, False),
    "rename field with alias and default": Pair(
        record(("a", "int", 1)), record({**_ALIASED, "default": 1}), True, True
    ),
    "alias to a field that stays": Pair(
        record(_A), record(_A, {"name": "b", "type": "int", "aliases": ["z"]}), False, True
    ),
    "int to long": Pair(*_of("int", "long"), True, False),
    "long to int": Pair(*_of("long", "int"), False, True),
    "int to float": Pair(*_of("int", "float"), True, False),
    "long to double": Pair(*_of("long", "double"), True, False),
    "float to double": Pair(*_of("float", "double"), True, False),
    "double to float": Pair(*_of("double", "float"), False, True),
    "int to string": Pair(*_of("int", "string"), False, False),
    "string to bytes": Pair(*_of("string", "bytes"), True, True),
    "boolean to int": Pair(*_of("boolean", "int"), False, False),
    "null to int": Pair(*_of("null", "int"), False, False),
    "make optional": Pair(*_of("int", ["null", "int"]), True, False),
    "make required": Pair(*_of(["null", "int"], "int"), False, True),
    "widen union": Pair(*_of(["null", "int"], ["null", "int", "string"]), True, False),
    "narrow union": Pair(*_of(["null", "int", "string"], ["null", "int"]), False, True),
    "promote in union": Pair(*_of(["null", "int"], ["null", "long"]), True, False),
    "reorder union": Pair(*_of(["null", "int"], ["int", "null"]), True, True),
    "int to union with long": Pair(*_of("int", ["null", "long"]), True, False),
    "union of one": Pair(*_of("int", ["int"]), True, True),
    "add enum symbol": Pair(*_of(_enum("A"), _enum("A", "B")), True, True),
    "remove enum symbol": Pair(*_of(_enum("A", "B"), _enum("A")), True, True),
    "add enum symbol, default": Pair(*_of(_enum("A", default="A"), _enum("A", "B", default="A")), True, True),
    "other enum symbols": Pair(*_of(_enum("A"), _enum("B")), True, True),
    "reorder enum": Pair(*_of(_enum("A", "B"), _enum("B", "A")), True, True),
    "enum default only": Pair(*_of(_enum("A", "B"), _enum("A", "B", default="A")), True, True),
    "rename enum": Pair(*_of(_enum("A"), {**_enum("A"), "name": "G"}), False, False),
    "rename enum with alias": Pair(*_of(_enum("A"), {**_enum("A"), "name": "G", "aliases": ["E"]}), True, False),
    "enum to string": Pair(*_of(_enum("A"), "string"), False, False),
    "fixed size": Pair(*_of(_fixed(2), _fixed(3)), False, False),
    "rename fixed": Pair(*_of(_fixed(2), _fixed(2, "G")), False, False),
    "fixed to bytes": Pair(*_of(_fixed(2), "bytes"), False, False),
    "fixed of another namespace": Pair(*_of(_fixed(2, "x.F"), _fixed(2, "y.F")), True, True),
    "array items promoted": Pair(
        *_of({"type": "array", "items": "int"}, {"type": "array", "items": "long"}), True, False
    ),
    "array items changed": Pair(
        *_of({"type": "array", "items": "int"}, {"type": "array", "items": "string"}), False, False
    ),
    "map values promoted": Pair(
        *_of({"type": "map", "values": "float"}, {"type": "map", "values": "double"}), True, False
    ),
    "array to map": Pair(*_of({"type": "array", "items": "int"}, {"type": "map", "values": "int"}), False, False),
    "nested field added with default": Pair(*_of(_inner(_A), _inner(_A, ("b", "int", 1))), True, True),
    "nested field added without default": Pair(*_of(_inner(_A), _inner(_A, ("b", "int"))), False, True),
    "nested record renamed": Pair(*_of(_inner(_A), _inner(_A, name="Other")), True, True),
    "nested record in union renamed": Pair(*_of(["null", _inner(_A)], ["null", _inner(_A, name="Other")]), True, True),
    "nested record in union renamed and changed": Pair(
        *_of(["null", _inner(_A)], ["null", _inner(("b", "int"), name="Other")]), False, False
    ),
    "record renamed": Pair(record(_A), record(_A, name="S"), True, True),
    "record renamed with alias": Pair(record(_A), record(_A, name="S", aliases=["R"]), True, True),
    "namespace added": Pair(record(_A), record(_A, namespace="org.x"), True, True),
    "field alias in a renamed record": Pair(record(_A), record(_ALIASED, name="S"), False, False),
    "logical type added": Pair(*_of("long", _LONG_TIME), True, True),
    "logical type changed": Pair(*_of(_LONG_TIME, {"type": "long", "logicalType": "timestamp-micros"}), True, True),
    "logical type over another": Pair(*_of({"type": "int", "logicalType": "date"}, _LONG_TIME), True, False),
    "doc changed": Pair(record(_A), record({"name": "a", "type": "int", "doc": "d"}, doc="d"), True, True),
    "property added": Pair(record(_A), record({"name": "a", "type": "int", "unit": "K"}), True, True),
    "default changed": Pair(record(("a", "int", 1)), record(("a", "int", 2)), True, True),
    "default added": Pair(record(_A), record(("a", "int", 1)), True, True),
    "fields reordered": Pair(record(_A, ("b", "long")), record(("b", "long"), _A), True, True),
    "recursive type changed": Pair(
        record(("next", ["null", "R"], None), ("x", "int")),
        record(("next", ["null", "R"], None), ("x", "long")),
        True,
        False,
    ),
    "everything changed": Pair(record(_A), record(("z", "string")), False, False),
}
