"""Hypothesis strategies for Avro: record schemas, records of a schema, and evolved schemas."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pulsar_pipeline.schemas.schema import Schema, schema_from_text

Definition = dict[str, Any]

_LONG = st.integers(-(1 << 63), (1 << 63) - 1)
_INSTANTS = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC))

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": _LONG,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=8),
    "string": st.text(max_size=8),
    "timestamp-millis": _INSTANTS.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    "timestamp-micros": _INSTANTS,
    "date": st.dates(datetime.date(1970, 1, 1)),
    "uuid": st.uuids(),
}

LOGICAL = ({"type": "long", "logicalType": "timestamp-millis"}, {"type": "int", "logicalType": "date"})

DEFAULTS: Mapping[str, Any] = {
    "null": None,
    "boolean": True,
    "int": 3,
    "long": -4,
    "float": 0.5,
    "double": 2.25,
    "bytes": "\u00ff",
    "string": "none",
}

PROMOTIONS: Mapping[str, tuple[str, ...]] = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
}
"""All but bytes to string, which Avro calls readable though not every value is."""


def schema(definition: Definition) -> Schema:
    """A Schema from a definition, as a registry would give it."""
    return schema_from_text(json.dumps(definition), "a test")


def record(*fields: Any, **more: Any) -> Definition:
    """A record `R` of fields, each `(name, type)`, `(name, type, default)` or a dict."""
    return {"type": "record", "name": "R", "fields": [_field(entry) for entry in fields], **more}


def _field(entry: Any) -> Definition:
    if isinstance(entry, dict):
        return entry
    name, kind, *default = entry
    return {"name": name, "type": kind, **({"default": default[0]} if default else {})}


@st.composite
def definitions(draw: st.DrawFn, depth: int = 2) -> Definition:
    """Record definitions with unique type names."""
    names = [0]

    def named() -> str:
        names[0] += 1
        return f"T{names[0]}"

    def kind(depth: int) -> Any:  # noqa: PLR0911
        shapes = ["primitive", "logical", "enum", "fixed"] + (["array", "map", "optional", "record"] if depth else [])
        match draw(st.sampled_from(shapes)):
            case "logical":
                return draw(st.sampled_from(LOGICAL))
            case "enum":
                symbols = draw(st.lists(st.sampled_from("ABCDE"), min_size=1, unique=True))
                return {"type": "enum", "name": named(), "symbols": symbols}
            case "fixed":
                return {"type": "fixed", "name": named(), "size": draw(st.integers(1, 4))}
            case "array":
                return {"type": "array", "items": kind(depth - 1)}
            case "map":
                return {"type": "map", "values": kind(depth - 1)}
            case "optional":
                inner = kind(0)
                return ["null", inner] if inner != "null" else "null"
            case "record":
                return a_record(depth - 1)
            case _:
                return draw(st.sampled_from(sorted(DEFAULTS)))

    def a_record(depth: int) -> Definition:
        fields = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
        name = named()
        return {"type": "record", "name": name, "fields": [{"name": field, "type": kind(depth)} for field in fields]}

    return a_record(depth)


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """Values of a type."""
    if isinstance(kind, list):
        return st.one_of(*map(values, kind))
    if isinstance(kind, str):
        return VALUES[kind]
    match kind["type"]:
        case "record":
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in kind["fields"]})
        case "enum":
            return st.sampled_from(kind["symbols"])
        case "fixed":
            return st.binary(min_size=kind["size"], max_size=kind["size"])
        case "array":
            return st.lists(values(kind["items"]), max_size=3)
        case "map":
            return st.dictionaries(st.text(max_size=4), values(kind["values"]), max_size=3)
        case _:
            return VALUES[kind["logicalType"]]


@st.composite
def evolved(draw: st.DrawFn, definition: Definition) -> Definition:
    """A copy after one to three changes, compatible ones and others."""
    changed = copy.deepcopy(definition)
    for number in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from(_records(changed)))
        _CHANGES[draw(st.sampled_from(sorted(_CHANGES)))](draw, target, number)
    return changed


def _records(kind: Any) -> list[Definition]:
    if isinstance(kind, list):
        return [found for item in kind for found in _records(item)]
    if not isinstance(kind, dict):
        return []
    own = [kind] if kind.get("type") == "record" else []
    return own + [found for item in kind.values() for found in _records(item)]


def _add(draw: st.DrawFn, target: Definition, number: int) -> None:
    kind = draw(st.sampled_from(sorted(DEFAULTS)))
    default = {"default": DEFAULTS[kind]} if draw(st.booleans()) else {}
    target["fields"].append({"name": f"added{number}", "type": kind, **default})


def _remove(draw: st.DrawFn, target: Definition, _number: int) -> None:
    if len(target["fields"]) > 1:
        target["fields"].remove(draw(st.sampled_from(target["fields"])))


def _rename(draw: st.DrawFn, target: Definition, number: int) -> None:
    field = draw(st.sampled_from(target["fields"]))
    if draw(st.booleans()):
        field["aliases"] = [field["name"]]
    field["name"] = f"renamed{number}"


def _promote(draw: st.DrawFn, target: Definition, _number: int) -> None:
    for field in target["fields"]:
        if isinstance(field["type"], str) and field["type"] in PROMOTIONS:
            field["type"] = draw(st.sampled_from(PROMOTIONS[field["type"]]))
            field.pop("default", None)


def _optional(draw: st.DrawFn, target: Definition, _number: int) -> None:
    field = draw(st.sampled_from(target["fields"]))
    if isinstance(field["type"], list):
        field["type"] = field["type"][1]
    elif field["type"] != "null":
        field["type"] = ["null", field["type"]]
    field.pop("default", None)


def _symbol(_draw: st.DrawFn, target: Definition, number: int) -> None:
    for field in target["fields"]:
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum":
            field["type"]["symbols"].append(f"MORE{number}")


def _reorder(draw: st.DrawFn, target: Definition, _number: int) -> None:
    target["fields"] = draw(st.permutations(target["fields"]))


_CHANGES = {
    "add": _add,
    "remove": _remove,
    "rename": _rename,
    "promote": _promote,
    "optional": _optional,
    "symbol": _symbol,
    "reorder": _reorder,
}
