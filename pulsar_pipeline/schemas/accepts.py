"""Which Python values an Avro type takes, strictly, with the path of the field that is wrong.

fastavro writes 2**40 into an `int`, 1.5 into a `long` and "7" into a `double` without a word; readers elsewhere then
fail or see another number. So each schema is compiled once into a closure that checks before fastavro writes.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pulsar_pipeline.errors import DataError

Check = Callable[[Any], None]

_MISSING: Any = object()

_LOGICAL: dict[tuple[str, str], type[Any]] = {
    ("long", "timestamp-millis"): datetime.datetime,
    ("long", "timestamp-micros"): datetime.datetime,
    ("long", "local-timestamp-millis"): datetime.datetime,
    ("long", "local-timestamp-micros"): datetime.datetime,
    ("int", "date"): datetime.date,
    ("int", "time-millis"): datetime.time,
    ("long", "time-micros"): datetime.time,
    ("string", "uuid"): uuid.UUID,
    ("bytes", "decimal"): decimal.Decimal,
    ("fixed", "decimal"): decimal.Decimal,
}
"""Values that fastavro's logical types take besides those of the type below."""


class _Mismatch(Exception):
    """Carries the path upwards; never leaves this module."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []


def compile_check(definition: Any) -> Callable[[Any], None]:
    """A function that raises DataError (naming the field) for any value the Avro type `definition` cannot hold."""
    check = _Compiler().compile(definition, "")

    def checked(value: Any) -> None:
        try:
            check(value)
        except _Mismatch as mismatch:
            path = ".".join(reversed(mismatch.path)).replace(".[", "[")
            raise DataError(mismatch.problem, where=f"field {path}" if path else None) from None

    return checked


class _Compiler:
    """Turns type definitions into checks; named types are compiled once and may refer to themselves."""

    def __init__(self) -> None:
        self._named: dict[str, Check] = {}

    def compile(self, definition: Any, namespace: str) -> Check:
        """The check of one type; `namespace` completes the names in it."""
        if isinstance(definition, list):
            return self._union(definition, namespace)
        if isinstance(definition, str):
            return _PRIMITIVES.get(definition) or self._reference(definition, namespace)
        return self._complex(definition["type"], definition, namespace)

    def _complex(self, kind: Any, definition: Mapping[str, Any], namespace: str) -> Check:
        match kind:
            case "record" | "error":
                return self._record(definition, namespace)
            case "enum" | "fixed":
                check = _enum(definition) if kind == "enum" else _fixed(definition)
                self._remember(definition, namespace, check)
                return check
            case "array":
                return _array(self.compile(definition["items"], namespace))
            case "map":
                return _map(self.compile(definition["values"], namespace))
            case _:
                return _with_logical(kind, definition.get("logicalType"), self.compile(kind, namespace))

    def _remember(self, definition: Mapping[str, Any], namespace: str, check: Check) -> str:
        """Register a named type; returns the namespace that holds inside it."""
        name = str(definition["name"])
        inner = name.rpartition(".")[0] or str(definition.get("namespace", namespace))
        self._named[_full_name(name, inner)] = check
        return inner

    def _reference(self, name: str, namespace: str) -> Check:
        for candidate in (_full_name(name, namespace), name):
            if candidate in self._named:
                return self._named[candidate]
        raise ValueError(f"unknown type {name}")

    def _record(self, definition: Mapping[str, Any], namespace: str) -> Check:
        fields: list[tuple[str, frozenset[type], Check, bool]] = []
        names: set[str] = set()

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                raise _expected("a record (an object with fields)", value)
            known = 0
            for name, surely, accept, optional in fields:
                item = value.get(name, _MISSING)
                if item is _MISSING:
                    if optional:
                        continue
                    raise _inside(name, _Mismatch("is missing and has no default"))
                known += 1
                if type(item) in surely:
                    continue
                try:
                    accept(item)
                except _Mismatch as mismatch:
                    raise _inside(name, mismatch) from None
            if known != len(value):
                extra = next(key for key in value if key not in names)
                raise _inside(str(extra), _Mismatch("is not in the schema"))

        inner = self._remember(definition, namespace, check)
        for entry in definition["fields"]:
            kind = entry["type"]
            fields.append((entry["name"], _surely(kind), self.compile(kind, inner), "default" in entry))
            names.add(entry["name"])
        return check

    def _union(self, branches: Iterable[Any], namespace: str) -> Check:
        branches = list(branches)
        optional = "null" in branches
        checks = [self.compile(branch, namespace) for branch in branches if branch != "null"]
        expected = " or ".join(_describe(branch) for branch in branches)

        def check(value: Any) -> None:
            if value is None and optional:
                return
            for accept in checks:
                try:
                    accept(value)
                except _Mismatch as mismatch:
                    if len(checks) == 1 and mismatch.path:
                        raise  # the one branch it can be: name the field within
                    continue
                return
            raise _expected(expected, value)

        return check


def _surely(definition: Any) -> frozenset[type]:
    """Python types whose every value fits: most fields of most records, so their check costs one look-up."""
    if isinstance(definition, list):
        return frozenset().union(*map(_surely, definition))
    return _SURELY.get(definition, frozenset()) if isinstance(definition, str) else frozenset()


_SURELY: dict[str, frozenset[type]] = {
    "null": frozenset({type(None)}),
    "boolean": frozenset({bool}),
    "double": frozenset({float}),
    "float": frozenset({float}),
    "bytes": frozenset({bytes}),
    "string": frozenset({str}),
}


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _describe(definition: Any) -> str:
    if isinstance(definition, str):
        return definition
    if isinstance(definition, list):
        return " or ".join(map(_describe, definition))
    return str(definition.get("name") or definition.get("logicalType") or _describe(definition["type"]))


def _expected(expected: str, value: Any) -> _Mismatch:
    shown = repr(value)
    if len(shown) > 60:
        shown = f"{shown[:57]}…"
    return _Mismatch(f"expected {expected}, not {shown} ({type(value).__name__})")


def _inside(segment: str, mismatch: _Mismatch) -> _Mismatch:
    mismatch.path.append(segment)
    return mismatch


def _whole(name: str, low: int, high: int) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, int) or value is True or value is False:
            raise _expected(name, value)
        if not low <= value <= high:
            raise _expected(f"{name} ({low} to {high})", value)

    return check


def _number(value: Any) -> None:
    if not isinstance(value, float | int) or value is True or value is False:
        raise _expected("a number", value)


def _instance(name: str, kind: type) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, kind):
            raise _expected(name, value)

    return check


_PRIMITIVES: dict[str, Check] = {
    "null": _instance("null", type(None)),
    "boolean": _instance("boolean", bool),
    "int": _whole("int", -(1 << 31), (1 << 31) - 1),
    "long": _whole("long", -(1 << 63), (1 << 63) - 1),
    "float": _number,
    "double": _number,
    "bytes": _instance("bytes", bytes),
    "string": _instance("string", str),
}


def _enum(definition: Mapping[str, Any]) -> Check:
    allowed = frozenset(definition["symbols"])
    expected = f"one of {', '.join(sorted(allowed))}"

    def check(value: Any) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise _expected(expected, value)

    return check


def _fixed(definition: Mapping[str, Any]) -> Check:
    size = definition["size"]

    def check(value: Any) -> None:
        if not isinstance(value, bytes) or len(value) != size:
            raise _expected(f"{size} bytes", value)

    return _with_logical("fixed", definition.get("logicalType"), check)


def _array(accept: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise _expected("an array", value)
        for index, item in enumerate(value):
            try:
                accept(item)
            except _Mismatch as mismatch:
                raise _inside(f"[{index}]", mismatch) from None

    return check


def _map(accept: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise _expected("a map", value)
        for key, item in value.items():
            if not isinstance(key, str):
                raise _expected("a map with text keys", key)
            try:
                accept(item)
            except _Mismatch as mismatch:
                raise _inside(key, mismatch) from None

    return check


def _with_logical(kind: Any, logical: str | None, check: Check) -> Check:
    if logical is None or not isinstance(kind, str) or (kind, logical) not in _LOGICAL:
        return check
    accepted = _LOGICAL[kind, logical]
    zone = {"timestamp": True, "local-timestamp": False}.get(logical.rpartition("-")[0])

    def logical_check(value: Any) -> None:
        if not isinstance(value, accepted):
            check(value)
        elif zone is not None and (value.tzinfo is not None) is not zone:
            # Without a zone fastavro would take the machine's own, and the instant would depend on where it ran.
            raise _expected(f"{logical} {'with' if zone else 'without'} a time zone", value)

    return logical_check
