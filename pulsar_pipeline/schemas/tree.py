"""An Avro schema as a graph of types with every name resolved, for comparing two of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulsar_pipeline.errors import SchemaError

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "enum", "fixed"})

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

_TYPE_RESERVED = frozenset({"doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "aliases"})
_FIELD_RESERVED = frozenset({"doc", "aliases"})
"""Keys that Avro's own equality leaves out or (names) treats apart; every other key is a property and counts."""


@dataclass(slots=True, eq=False)
class Type:
    """One type. Only what its kind needs is filled in; recursive types refer back to themselves."""

    kind: str
    name: str = ""
    """Full name, with namespace; empty for unnamed types."""
    aliases: frozenset[str] = frozenset()
    fields: dict[str, Field] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    symbol_default: str | None = None
    size: int = 0
    inner: Type | None = None
    """Items of an array, values of a map."""
    branches: tuple[Type, ...] = ()

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]

    def __str__(self) -> str:
        match self.kind:
            case "union":
                return f"[{', '.join(map(str, self.branches))}]"
            case "array" | "map":
                return f"{self.kind} of {self.inner}"
            case _:
                return f"{self.kind} {self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of a record."""

    name: str
    type: Type
    has_default: bool
    aliases: frozenset[str]


def read_type(definition: Any) -> Type:
    """The graph of a schema. Raises SchemaError where Avro's rules are broken in a way fastavro lets pass."""
    return _Reader().read(definition, "")


def signature(definition: Any) -> str:
    """Text that is equal for two schemas exactly when a broker holds them for one and the same.

    Layout, key order, docs, aliases and enum defaults do not count; names, types, defaults, order and properties do.
    """
    return json.dumps(_signed(definition, ""), sort_keys=True)


def full_name(name: str, namespace: str) -> str:
    """A name completed with the namespace it stands in."""
    return name if "." in name or not namespace else f"{namespace}.{name}"


def own_namespace(definition: Mapping[str, Any], enclosing: str) -> str:
    """Namespace that a named type's definition sets for itself and for what is inside it."""
    name = str(definition["name"])
    return name.rpartition(".")[0] if "." in name else str(definition.get("namespace", enclosing))


class _Reader:
    def __init__(self) -> None:
        self._named: dict[str, Type] = {}

    def read(self, definition: Any, namespace: str) -> Type:
        if isinstance(definition, list):
            return _union(tuple(self.read(branch, namespace) for branch in definition))
        if isinstance(definition, str):
            return Type(definition) if definition in PRIMITIVES else self._reference(definition, namespace)
        kind = definition["type"]
        if not isinstance(kind, str):
            raise SchemaError(f"a type inside a type: {json.dumps(kind)[:80]}", mend="write the inner one alone")
        if kind in NAMED:
            return self._define(kind, definition, namespace)
        if kind in ("array", "map"):
            inner = definition["items" if kind == "array" else "values"]
            return Type(kind, inner=self.read(inner, namespace))
        return self.read(kind, namespace)

    def _reference(self, name: str, namespace: str) -> Type:
        for candidate in (full_name(name, namespace), name):
            if candidate in self._named:
                return self._named[candidate]
        raise SchemaError(f"unknown type {name!r}")

    def _define(self, kind: str, definition: Mapping[str, Any], enclosing: str) -> Type:
        namespace = own_namespace(definition, enclosing)
        name = full_name(str(definition["name"]), namespace)
        _check_named(kind, name, definition)
        made = Type(
            kind,
            name=name,
            aliases=frozenset(full_name(alias, namespace) for alias in definition.get("aliases", ())),
            symbols=tuple(definition.get("symbols", ())),
            symbol_default=definition.get("default") if kind == "enum" else None,
            size=int(definition.get("size", 0)),
        )
        self._named[made.name] = made
        for entry in definition.get("fields", ()):
            _check_field(name, entry, made.fields)
            made.fields[entry["name"]] = Field(
                name=entry["name"],
                type=self.read(entry["type"], namespace),
                has_default="default" in entry,
                aliases=frozenset(entry.get("aliases", ())),
            )
        return made


def _union(branches: tuple[Type, ...]) -> Type:
    seen: set[str] = set()
    for branch in branches:
        if branch.kind == "union":
            raise SchemaError("a union directly inside a union", mend="write one union")
        if (branch.name or branch.kind) in seen:
            raise SchemaError(f"a union holds {branch} twice", mend="name each type once")
        seen.add(branch.name or branch.kind)
    return Type("union", branches=branches)


_REQUIRED = {"record": "fields", "enum": "symbols", "fixed": "size"}


def _check_named(kind: str, name: str, definition: Mapping[str, Any]) -> None:
    if _REQUIRED[kind] not in definition:
        raise SchemaError(f"the {kind} {name} has no `{_REQUIRED[kind]}`")
    for part in name.split("."):
        _check_name(part)


def _check_field(record: str, entry: Mapping[str, Any], fields: Mapping[str, Field]) -> None:
    _check_name(entry["name"])
    if entry["name"] in fields:
        raise SchemaError(f"the record {record} has a field {entry['name']} twice")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise SchemaError(f"{name!r} is no Avro name", mend="letters, digits and _, not starting with a digit")


def _signed(definition: Any, namespace: str) -> Any:
    if isinstance(definition, list):
        return [_signed(branch, namespace) for branch in definition]
    if isinstance(definition, str):
        return definition if definition in PRIMITIVES else {"ref": full_name(definition, namespace)}
    kind = definition["type"]
    signed = {key: value for key, value in definition.items() if key not in _TYPE_RESERVED}
    if kind in NAMED:
        namespace = own_namespace(definition, namespace)
        signed["name"] = full_name(str(definition["name"]), namespace)
        for key in ("symbols", "size"):
            if key in definition:
                signed[key] = definition[key]
        signed.pop("default", None)  # an enum's: Avro's equality leaves it out
        if "fields" in definition:
            signed["fields"] = [_signed_field(entry, namespace) for entry in definition["fields"]]
    elif kind in ("array", "map"):
        key = "items" if kind == "array" else "values"
        signed[key] = _signed(definition[key], namespace)
    elif len(signed) == 1:
        return _signed(kind, namespace)
    return signed


def _signed_field(entry: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    signed = {key: value for key, value in entry.items() if key not in _FIELD_RESERVED}
    signed["type"] = _signed(entry["type"], namespace)
    signed["order"] = entry.get("order", "ascending")
    return signed
