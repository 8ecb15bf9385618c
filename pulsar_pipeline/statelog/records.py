"""What a partition's state log says, record by record, and the Avro schema of it. Pure.

Every record names its writer by (epoch, incarnation, nonce), and carries in `checkpoint` where a reader may begin: the
serialized message id of the first chunk of the last complete checkpoint that the writer knew of (None: at the start).

A writer's duties: parts of a commit in a row, right before their commit; chunks of a checkpoint in the order of their
index, with commits between them as they come; the first chunk right behind the commit it is of.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import fastavro

from pulsar_pipeline.errors import StateLogError

MAX_RECORD = 4_000_000
"""Bytes of a record before it is sealed; a bookie takes no entry of 5 MiB."""


class Position(NamedTuple):
    """A message's place in a partition of an input; `batch` is -1 for one that is in no batch."""

    ledger: int
    entry: int
    batch: int

    def __str__(self) -> str:
        return f"{self.ledger}:{self.entry}:{self.batch}"


class Entry(NamedTuple):
    """A change of state. A value of None deletes the key."""

    key: str
    value: bytes | None


class Identity(NamedTuple):
    """How far one producer's messages into an input have been processed; see identities.py."""

    input: str
    producer: str
    """Its name, the same in every cluster; empty for all producers that are no longer told apart."""
    publish_ms: int
    """Publish time of the last message of it that is in the state."""
    messages: int
    """How many of its messages with that publish time are."""


class Writer(NamedTuple):
    """Who wrote a record: one owner of the partition from its claim on."""

    epoch: int
    incarnation: int
    nonce: str

    @property
    def term(self) -> tuple[int, int]:
        """What claims are ordered by."""
        return self[:2]


class _Written:
    """What all records have in common."""

    __slots__ = ()
    epoch: int
    incarnation: int
    nonce: str

    @property
    def by(self) -> Writer:
        return Writer(self.epoch, self.incarnation, self.nonce)


@dataclass(frozen=True, slots=True)
class Claim(_Written):
    """Takes the partition, if it is the first of its (epoch, incarnation). `writer` says for people who that is."""

    epoch: int
    incarnation: int
    nonce: str
    writer: str
    checkpoint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Part(_Written):
    """A piece of commit `number` that does not fit into it; `index` counts from 0."""

    epoch: int
    incarnation: int
    nonce: str
    number: int
    index: int
    entries: tuple[Entry, ...]
    checkpoint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Commit(_Written):
    """Moves state, input positions and output position forward together. `number` grows by one, from 1.

    `positions`: by input name, the last event that is in the state. `seq`: the last output that was made, and
    `outputs_from` the serialized id of a message in the output topic behind which all later outputs are (None: the
    topic's start). `runs`: events since that output. `entries` follow those of the `parts` before it. `identities`:
    what the events since the commit before say of their producers; in the base of a checkpoint, the whole window.
    """

    epoch: int
    incarnation: int
    nonce: str
    number: int
    parts: int
    positions: dict[str, Position]
    seq: int
    runs: str
    outputs_from: bytes | None
    entries: tuple[Entry, ...]
    checkpoint: bytes | None
    at_ms: int
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk(_Written):
    """A piece of a checkpoint, `index` from 0. The last has `count` = its index + 1, the others have 0 (in the first
    format: the same number).

    The first has in `base` the commit (without entries) whose state this is, None for a state that no commit has made;
    and in `writer` that of the claim, for people.
    """

    epoch: int
    incarnation: int
    nonce: str
    checkpoint_id: str
    index: int
    count: int
    base: Commit | None
    entries: tuple[Entry, ...]
    checkpoint: bytes | None = None
    writer: str = ""


Record = Claim | Part | Commit | Chunk

_WRITTEN_BY = [
    {"name": "epoch", "type": "long"},
    {"name": "incarnation", "type": "long"},
    {"name": "nonce", "type": "string"},
]
_CHECKPOINT = {"name": "checkpoint", "type": ["null", "bytes"]}
_ENTRIES = {"name": "entries", "type": {"type": "array", "items": "Entry"}}


def _record(name: str, *fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def _field(name: str, type_: Any) -> dict[str, Any]:
    return {"name": name, "type": type_}


_ENTRY = _record("Entry", _field("key", "string"), _field("value", ["null", "bytes"]))
_POSITION = _record("Position", *(_field(name, "long") for name in Position._fields))
_IDENTITY = _record(
    "Identity",
    _field("input", "string"),
    _field("producer", "string"),
    _field("publish_ms", "long"),
    _field("messages", "long"),
)


def _definition(commit: Sequence[Any], chunk: Sequence[Any]) -> list[dict[str, Any]]:
    """The schema of a format; `commit` and `chunk` are the fields that these have beyond those of the first one."""
    return [
        _record("Claim", *_WRITTEN_BY, _field("writer", "string"), _CHECKPOINT),
        _record(
            "Part",
            *_WRITTEN_BY,
            _field("number", "long"),
            _field("index", "int"),
            _field("entries", {"type": "array", "items": _ENTRY}),
            _CHECKPOINT,
        ),
        _record(
            "Commit",
            *_WRITTEN_BY,
            _field("number", "long"),
            _field("parts", "int"),
            _field("positions", {"type": "map", "values": _POSITION}),
            _field("seq", "long"),
            _field("runs", "string"),
            _field("outputs_from", ["null", "bytes"]),
            _ENTRIES,
            _CHECKPOINT,
            _field("at_ms", "long"),
            *commit,
        ),
        _record(
            "Chunk",
            *_WRITTEN_BY,
            _field("checkpoint_id", "string"),
            _field("index", "int"),
            _field("count", "int"),
            _field("base", ["null", "Commit"]),
            _ENTRIES,
            _CHECKPOINT,
            *chunk,
        ),
    ]


VERSION = 2
"""Of the schema that records are written with. A change of it is a new version, and a new format (see sealed.py)."""

DEFINITIONS: dict[int, list[dict[str, Any]]] = {
    1: _definition((), ()),
    VERSION: _definition(
        (_field("identities", {"type": "array", "items": _IDENTITY}),),
        (_field("writer", "string"),),
    ),
}
"""The Avro schemas of records, by version: every one that can be read."""

_PARSED = {version: fastavro.parse_schema(definition) for version, definition in DEFINITIONS.items()}
_KINDS: dict[str, type[Claim | Part | Commit | Chunk]] = {kind.__name__: kind for kind in (Claim, Part, Commit, Chunk)}
_WRITE_ERRORS = (ValueError, TypeError, ArithmeticError)
_READ_ERRORS = (EOFError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)


def encode(record: Record) -> bytes:
    """The record's Avro bytes. Raises StateLogError above MAX_RECORD, or for values that Avro cannot hold."""
    buffer = io.BytesIO()
    try:
        fastavro.schemaless_writer(buffer, _PARSED[VERSION], (type(record).__name__, _document(record)))
    except _WRITE_ERRORS as error:
        raise StateLogError(f"a {type(record).__name__.lower()} cannot be written: {error}") from error
    size = buffer.tell()
    if size > MAX_RECORD:
        raise StateLogError(f"a {type(record).__name__.lower()} has {size:,} bytes; {MAX_RECORD:,} is the most")
    return buffer.getvalue()


def decode(data: bytes, version: int = VERSION) -> Record:
    """The record of some Avro bytes. Raises StateLogError for anything else."""
    buffer = io.BytesIO(data)
    try:
        named: Any = fastavro.schemaless_reader(buffer, _PARSED[version], None, return_record_name=True)
        record = _from_document(*named)
    except _READ_ERRORS as error:
        raise StateLogError(f"a record cannot be read: {error}") from error
    if buffer.tell() != len(data):
        raise StateLogError("a record cannot be read: bytes are left over")
    return record


def _document(record: Record) -> dict[str, Any]:
    document = {name: getattr(record, name) for name in record.__slots__}
    if "entries" in document:
        document["entries"] = [{"key": key, "value": value} for key, value in document["entries"]]
    if "positions" in document:
        document["positions"] = {name: position._asdict() for name, position in document["positions"].items()}
    if document.get("identities"):
        document["identities"] = [identity._asdict() for identity in document["identities"]]
    if document.get("base") is not None:
        document["base"] = _document(document["base"])
    return document


def _from_document(name: str, document: dict[str, Any]) -> Record:
    if "entries" in document:
        document["entries"] = _entries(document["entries"])
    if "positions" in document:
        document["positions"] = {of: Position(**position) for of, position in document["positions"].items()}
    if "identities" in document:
        document["identities"] = tuple(Identity(**identity) for identity in document["identities"])
    base = document.get("base")
    if base is not None:
        document["base"] = _from_document("Commit", base[1] if isinstance(base, tuple) else base)
    return _KINDS[name](**document)


def _entries(documents: Iterable[dict[str, Any]]) -> tuple[Entry, ...]:
    return tuple(Entry(document["key"], document["value"]) for document in documents)
