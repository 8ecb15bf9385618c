"""Files and streams → rows with their line numbers: CSV with a header, or JSON lines; `.gz` of either; or a stream.

A row that cannot be read is a `BadRow` among the others; a file that cannot be read is a DataError.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO

from pulsar_pipeline.errors import DataError


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


SUFFIXES = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}
STANDARD_INPUT = Path("-")
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class Row:
    """One event as it stands in the file: field name → text (CSV) or JSON value."""

    line: int
    """Where it starts; the first line of the file is 1."""
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no event: where, why, and what stood there."""

    line: int
    reason: str
    raw: Any


def format_of(path: Path) -> Format:
    """By the suffix, `.gz` aside. Raises DataError where it says nothing."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    known = SUFFIXES.get(name.suffix.lower())
    if known is None:
        raise DataError(
            "cannot tell the format", where=str(path), mend=f"add --format, or a suffix of {', '.join(SUFFIXES)}"
        )
    return known


class RowFile:
    """An open file of rows. Use as a context manager; iterate once."""

    def __init__(self, path: Path, format_: Format | None = None) -> None:
        """`-` is standard input, which needs a format. Raises DataError."""
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        if path == STANDARD_INPUT and format_ is None:
            raise DataError("cannot tell the format of standard input", mend="add --format csv or --format jsonl")
        self.format = format_ or format_of(path)
        self._raw: BinaryIO = _open(path)
        self.size = None if path == STANDARD_INPUT else path.stat().st_size
        """Bytes on disk; None for a stream."""
        plain: Any = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        # Bytes that are not UTF-8 become surrogates, which make their row a bad one and leave the others alone.
        self._text = io.TextIOWrapper(plain, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()
        self._raw.close()

    def position(self) -> int:
        """Bytes of the file read so far (compressed ones, for `.gz`)."""
        return self._raw.tell()

    def rows(self, columns: Callable[[list[str]], None]) -> Iterator[Row | BadRow]:
        """The rows in order. `columns` is called with a CSV's header and may raise to refuse the file."""
        try:
            match self.format:
                case Format.CSV:
                    yield from _csv_rows(self._text, self.name, columns)
                case Format.JSONL:
                    yield from _json_rows(self._text)
        except _BROKEN_GZIP as error:
            raise DataError(f"the gzip file is damaged: {error}", where=self.name) from error
        except OSError as error:
            raise DataError(f"cannot read: {error.strerror}", where=self.name) from error


def _open(path: Path) -> BinaryIO:
    if path == STANDARD_INPUT:
        return sys.stdin.buffer
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read: {error.strerror}", where=str(path)) from error


def _csv_rows(text: IO[str], name: str, columns: Callable[[list[str]], None]) -> Iterator[Row | BadRow]:
    reader = csv.reader(text, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"the header is not CSV: {error}", where=f"{name}:1") from error
    _check_header(header, name)
    columns(header)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line, f"not CSV: {error}", None)
            continue
        if cells:
            yield _csv_row(line, header, cells)


def _check_header(header: list[str], name: str) -> None:
    if not any(header):
        raise DataError("there is no header", where=f"{name}:1", mend="the first line names the fields")
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise DataError(f"the header names {', '.join(sorted(twice))} twice", where=f"{name}:1")


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row | BadRow:
    if len(cells) != len(header):
        return BadRow(line, f"{len(cells)} fields, the header has {len(header)}", cells)
    row = dict(zip(header, cells, strict=True))
    if not all(map(_is_unicode, cells)):
        return BadRow(line, "not UTF-8 text", {name: _shown(cell) for name, cell in row.items()})
    return Row(line, row)


def _json_rows(text: IO[str]) -> Iterator[Row | BadRow]:
    for line, content in enumerate(text, start=1):
        if content.isspace():
            continue
        if not _is_unicode(content):
            yield BadRow(line, "not UTF-8 text", _shown(content))
            continue
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            yield BadRow(line, f"not JSON: {error}", content.rstrip("\r\n"))
            continue
        if isinstance(document, dict):
            yield Row(line, document)
        else:
            yield BadRow(line, "not a JSON object", document)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").rstrip("\r\n")
