"""Text and JSON values → the Python values an Avro encoder takes, by the type in the schema. Pure.

What a cell of a CSV file may hold, by Avro type (JSON lines take the same where JSON has no value of its own):

    null in a union        an empty cell
    boolean                true, false, yes, no, 1, 0
    int, long              whole numbers (`7`, `7.0`)
    float, double          numbers, `nan`, `inf`
    string, enum           the text
    bytes, fixed           base64
    timestamp-*            ISO 8601 (UTC where it names no zone), or a whole number in the type's own unit since 1970
    local-timestamp-*      ISO 8601 without a zone, or a whole number
    date, time-*           ISO 8601, or a whole number
    decimal, uuid          the text
    record, array, map     JSON

Ranges, enum symbols and missing fields are the encoder's to check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.ingest.values import CELLS, LOGICAL, Convert, base64_bytes, expect, same, shown


class Converter:
    """Rows of one record schema. `definition` is the schema's parsed JSON."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        compiler = _Compiler()
        record = compiler.compile(definition)
        self._json: Convert = record or same
        self._cells: dict[str, Convert] = {}
        self._required: set[str] = set()
        for field in definition["fields"]:
            self._cells[field["name"]] = compiler.cell(field["type"])
            if "default" not in field:
                self._required.add(field["name"])

    def check_columns(self, header: list[str]) -> None:
        """Raises DataError when a CSV's columns are not the schema's fields."""
        unknown = [column for column in header if column not in self._cells]
        missing = sorted(self._required.difference(header))
        problems = [
            f"{verb} {', '.join(map(repr, names))}"
            for verb, names in (("the schema has no field", unknown), ("it lacks the field", missing))
            if names
        ]
        if problems:
            mend = f"the fields are {', '.join(self._cells)}"
            raise DataError(f"the columns do not fit the schema: {'; '.join(problems)}", where="the header", mend=mend)

    def from_cells(self, cells: Mapping[str, str]) -> dict[str, Any]:
        """A CSV row. Raises DataError naming the field."""
        record = {}
        for name, text in cells.items():
            try:
                record[name] = self._cells[name](text)
            except ValueError as error:
                raise DataError(str(error), where=f"field {name}") from error
        return record

    def from_json(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON object. Raises DataError naming the field."""
        try:
            return self._json(document)  # type: ignore[no-any-return]  # a record's converter: a dict
        except ValueError as error:
            raise DataError(str(error)) from error


_COMPLEX = ("array", "map", "record", "enum", "fixed")


class _Compiler:
    """Schema types → functions, once; named types may refer to themselves."""

    def __init__(self) -> None:
        self._named: dict[str, Convert | None] = {}
        self._records: set[str] = set()

    def compile(self, definition: Any) -> Convert | None:
        """For a JSON value of this type; None where the value stays as it is."""
        if isinstance(definition, list):
            return self._union(definition)
        if isinstance(definition, str):
            return self._plain(definition)
        if definition["type"] in _COMPLEX:
            return self._complex(definition)
        return _logical(definition) or self.compile(definition["type"])

    def _complex(self, definition: Mapping[str, Any]) -> Convert | None:
        convert: Convert | None
        match definition["type"]:
            case "array":
                convert = _array(self.compile(definition["items"]))
            case "map":
                convert = _map(self.compile(definition["values"]))
            case "record":
                convert = self._record(definition["name"], definition["fields"])
            case "fixed":
                convert = _logical(definition) or base64_bytes
                self._remember(definition["name"], convert)
            case _:  # an enum
                convert = None
                self._remember(definition["name"], convert)
        return convert

    def cell(self, definition: Any) -> Convert:
        """For the text of a CSV cell."""
        match definition:
            case list():
                return self._cell_union(definition)
            case str() if definition in CELLS:
                return CELLS[definition]
            case {"type": "record" | "array" | "map"}:
                return _json_cell(self.compile(definition) or same)
            case {"type": "enum" | "fixed"}:
                return self.compile(definition) or same
            case {"type": kind}:
                return _logical(definition) or self.cell(kind)
            case _:  # the name of a type defined earlier
                convert = self.compile(definition) or same
                return _json_cell(convert) if _short(definition) in self._records else convert

    def _remember(self, name: str, convert: Convert | None) -> None:
        self._named[_short(name)] = convert

    def _plain(self, name: str) -> Convert | None:
        if name in CELLS:
            return base64_bytes if name == "bytes" else None
        return self._named[_short(name)]

    def _record(self, name: str, fields: list[dict[str, Any]]) -> Convert:
        converts: dict[str, Convert] = {}

        def convert(value: Any) -> dict[str, Any]:
            record = dict(expect(value, dict, "an object"))
            for field, change in converts.items():
                if field in record:
                    try:
                        record[field] = change(record[field])
                    except ValueError as error:
                        raise ValueError(f"field {field}: {error}") from error
            return record

        self._remember(name, convert)
        self._records.add(_short(name))
        for field in fields:
            change = self.compile(field["type"])
            if change is not None:
                converts[field["name"]] = change
        return convert

    def _union(self, branches: list[Any]) -> Convert | None:
        compiled = [self.compile(branch) for branch in branches if branch != "null"]
        if all(convert is None for convert in compiled):
            return None
        return _first([convert or same for convert in compiled], lambda value: value is None)

    def _cell_union(self, branches: list[Any]) -> Convert:
        optional = "null" in branches
        cells = [self.cell(branch) for branch in branches if branch != "null"]
        return _first(cells, lambda text: optional and text == "")


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _logical(definition: Mapping[str, Any]) -> Convert | None:
    kind = definition["type"]
    return LOGICAL.get((kind, definition.get("logicalType", ""))) if isinstance(kind, str) else None


def _first(converts: list[Convert], is_null: Callable[[Any], bool]) -> Convert:
    """A union: null, or the first branch that takes the value."""
    if len(converts) == 1:
        only = converts[0]
        return lambda value: None if is_null(value) else only(value)

    def convert(value: Any) -> Any:
        if is_null(value):
            return None
        reasons = []
        for branch in converts:
            try:
                return branch(value)
            except ValueError as error:
                reasons.append(str(error))
        raise ValueError("; ".join(reasons))

    return convert


def _array(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: [convert(item) for item in expect(value, list, "an array")])


def _map(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: {key: convert(item) for key, item in expect(value, dict, "an object").items()})


def _json_cell(convert: Convert) -> Convert:
    def cell(text: str) -> Any:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"expected JSON, not {shown(text)}") from error
        return convert(document)

    return cell
