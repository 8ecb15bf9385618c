"""Default values as the values they stand for.

A schema writes defaults as JSON: bytes as text, instants as numbers. fastavro hands them on as they stand, so a reader
would find text where bytes belong, and a writer would fail. So they are converted once, in fastavro's own form.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import fastavro

from pulsar_pipeline.errors import SchemaError

_JSON: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int, str),
    "double": (float, int, str),
    "bytes": (str,),
    "fixed": (str,),
    "string": (str,),
    "enum": (str,),
    "array": (list,),
    "map": (dict,),
    "record": (dict,),
}
"""Avro type → the JSON types its defaults are written in; text for a number is NaN or Infinity."""

_LOGICAL: Mapping[str, Any] = fastavro.read.LOGICAL_READERS


def convert_defaults(parsed: Any) -> None:
    """Replace every field's default in a schema parsed by fastavro. Raises SchemaError for one that does not fit.

    Avro Java, and so the broker, wants a union's default to be of the union's first type; so do we.
    """
    named = parsed["__named_schemas"]
    done: set[int] = set()
    for record in _records(parsed, named):
        for field in record["fields"]:
            if "default" in field and id(field) not in done:
                done.add(id(field))
                try:
                    field["default"] = _value(field["type"], field["default"], named)
                except _Unfit as unfit:
                    raise SchemaError(
                        f"the default of field {field['name']} is no {unfit.wanted}",
                        mend="a union's default is of its first type",
                    ) from None


def has_mutable_defaults(parsed: Any) -> bool:
    """Whether records could share a list or mapping that a default put there."""
    fields = (field for record in _records(parsed, parsed["__named_schemas"]) for field in record["fields"])
    return any(isinstance(field.get("default"), list | dict) for field in fields)


class _Unfit(Exception):
    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def _records(kind: Any, named: Mapping[str, Any]) -> Iterator[Any]:
    """Every record, inner ones first: an outer default may lean on their defaults. Some come more than once."""
    if isinstance(kind, list):
        for branch in kind:
            yield from _records(branch, named)
    elif isinstance(kind, dict):
        for field in kind.get("fields", ()):
            yield from _records(field["type"], named)
        for inner in ("items", "values"):
            yield from _records(kind.get(inner), named)
        if "fields" in kind:
            yield kind
            # fastavro keeps a copy of the root (and of nothing else) under its name, for references to it
            yield named.get(kind["name"], kind)


def _value(kind: Any, default: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(kind, list):
        return _value(kind[0], default, named)
    if isinstance(kind, str):
        return _value(named[kind], default, named) if kind in named else _plain({"type": kind}, default)
    match kind["type"]:
        case "array":
            return [_value(kind["items"], item, named) for item in _fit("array", default)]
        case "map":
            return {key: _value(kind["values"], item, named) for key, item in _fit("map", default).items()}
        case "record":
            given = _fit("record", default)
            return {field["name"]: _of_field(field, given, named) for field in kind["fields"]}
        case _:
            return _plain(kind, default)


def _of_field(field: Mapping[str, Any], given: Mapping[str, Any], named: Mapping[str, Any]) -> Any:
    if field["name"] in given:
        return _value(field["type"], given[field["name"]], named)
    if "default" not in field:
        raise _Unfit(f"record with a field {field['name']}")
    return copy.deepcopy(field["default"])


def _plain(kind: Mapping[str, Any], default: Any) -> Any:
    base = kind["type"]
    value = _fit(base, default)
    if base in ("bytes", "fixed"):
        value = value.encode("latin-1")
    elif base in ("float", "double"):
        value = float(value)
    convert = _LOGICAL.get(f"{base}-{kind.get('logicalType')}")
    return convert(value, kind, None) if convert else value


def _fit(base: str, default: Any) -> Any:
    if not isinstance(default, _JSON[base]) or (isinstance(default, bool) and base != "boolean"):
        raise _Unfit(base)
    return default
