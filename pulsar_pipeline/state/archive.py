"""A deployment's state as a file that only the holder of the tenant's key can make, written and read as a stream.

    b"PPE1"
    frames, each: length of the rest (4 bytes, big-endian), HMAC-SHA256 (32 bytes), zstd(Avro union of the records here)

A frame's HMAC covers the one before it, so none can be left out, moved or cut off: the last one is an End. Nothing of a
frame is looked at before its HMAC is found right. The order: Header, then for each partition a Section and its Entries,
then End. Pure but for the file that is passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import fastavro
import zstandard

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog import records
from pulsar_pipeline.statelog.records import Commit, Entry

FORMAT = b"PPE1"
"""Grows with every change of what the records say."""

MAX_FRAME = 8_000_000
"""Bytes; a longer one is no frame."""

_LENGTH = struct.Struct(">I")
_DIGEST = hashlib.sha256().digest_size
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What the file is of. `deployment` is `TENANT/NAME`; `at_ms` is when it was written."""

    deployment: str
    cluster: str
    partitions: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Section:
    """A partition begins. `commit`: the last one, without entries, with the whole window of identities; None where
    nothing was ever committed."""

    partition: int
    commit: Commit | None


@dataclass(frozen=True, slots=True)
class Entries:
    """State of the section's partition, as the state log has it."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class End:
    """All is there. How many entries, and bytes of values, there were."""

    entries: int
    bytes: int


ArchiveRecord = Header | Section | Entries | End


def _schema(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": of, "type": type_} for of, type_ in fields.items()]}


_SCHEMA = fastavro.parse_schema(
    [
        _schema("Header", deployment="string", cluster="string", partitions="int", at_ms="long"),
        _schema("Section", partition="int", version="int", commit=["null", "bytes"]),
        _schema(
            "Entries",
            entries={"type": "array", "items": _schema("Entry", key="string", value=["null", "bytes"])},
        ),
        _schema("End", entries="long", bytes="long"),
    ]
)
_READ_ERRORS = (EOFError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, zstandard.ZstdError)


def archive_key(tenant_key: bytes) -> bytes:
    """What a tenant's files are sealed with (32 bytes): no record of a log passes for a part of a file."""
    return hmac.digest(tenant_key, b"pulsar-pipeline state export\0", "sha256")


class ArchiveWriter:
    """Writes the records in their order; `end` makes the file whole."""

    def __init__(self, file: BinaryIO, key: bytes, header: Header) -> None:
        self._file, self._key, self._chain = file, key, FORMAT
        self._entries = self._bytes = 0
        file.write(FORMAT)
        self._write("Header", asdict(header))

    def section(self, section: Section) -> None:
        commit = None if section.commit is None else records.encode(section.commit)
        self._write("Section", {"partition": section.partition, "version": records.VERSION, "commit": commit})

    def entries(self, entries: tuple[Entry, ...]) -> None:
        self._entries += len(entries)
        self._bytes += sum(len(value or b"") for _, value in entries)
        self._write("Entries", {"entries": [entry._asdict() for entry in entries]})

    def end(self) -> End:
        told = End(self._entries, self._bytes)
        self._write("End", asdict(told))
        return told

    def _write(self, name: str, document: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, _SCHEMA, (name, document))
        body = zstandard.compress(buffer.getvalue(), _LEVEL)
        self._chain = _mac(self._key, self._chain, body)
        self._file.write(_LENGTH.pack(_DIGEST + len(body)) + self._chain + body)


def read_archive(file: BinaryIO, key: bytes, where: str) -> Iterator[ArchiveRecord]:
    """The records of a file, up to its End. Raises StateLogError for what is damaged, cut off, forged or no such file;
    so nothing may be believed to be all before this has come to its end."""
    if file.read(len(FORMAT)) != FORMAT:
        raise StateLogError(f"not a state file of format {FORMAT.decode()}", where=where, mend=_MEND)
    chain, first = FORMAT, True
    while True:
        frame = _frame(file, where)
        mac, body = frame[:_DIGEST], frame[_DIGEST:]
        if not hmac.compare_digest(mac, _mac(key, chain, body)):
            what = "it was not made with this key" if first else "it was changed after it was written"
            raise StateLogError(what, where=where, mend=_KEY_MEND if first else _MEND)
        record = _record(body, where)
        yield record
        if isinstance(record, End):
            break
        chain, first = mac, False
    if file.read(1):
        raise StateLogError("something was added to it", where=where, mend=_MEND)


_MEND = "export the state again"
_KEY_MEND = "give the state key of the tenant that it was exported from with --file-key"


def _frame(file: BinaryIO, where: str) -> bytes:
    head = file.read(_LENGTH.size)
    size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    frame = file.read(size) if _DIGEST < size <= MAX_FRAME else b""
    if not frame or len(frame) != size:
        raise StateLogError("it is cut off or damaged", where=where, mend=_MEND)
    return frame


def _record(body: bytes, where: str) -> ArchiveRecord:
    try:
        plain = io.BytesIO(zstandard.decompress(body))
        named: Any = fastavro.schemaless_reader(plain, _SCHEMA, None, return_record_name=True)
        name, document = named
        match name:
            case "Header":
                return Header(**document)
            case "Section":
                return Section(document["partition"], _commit(document))
            case "Entries":
                return Entries(tuple(Entry(**entry) for entry in document["entries"]))
            case _:
                return End(**document)
    except _READ_ERRORS as error:
        raise StateLogError(f"it cannot be read: {error}", where=where, mend=_MEND) from error


def _commit(document: dict[str, Any]) -> Commit | None:
    if document["commit"] is None:
        return None
    commit = records.decode(document["commit"], document["version"])
    if not isinstance(commit, Commit):
        raise ValueError("a section without its commit")
    return commit


def _mac(key: bytes, chain: bytes, body: bytes) -> bytes:
    mac = hmac.new(key, chain, hashlib.sha256)
    mac.update(body)
    return mac.digest()
