"""Records of a state log as bytes that only the holder of the key can make.

    b"PPS2"  HMAC-SHA256 (32 bytes) over b"PPS2" and the rest  zstd(Avro union of Claim, Part, Commit, Chunk)

Records of the format before, b"PPS1", are read too: they tell of no producers, see `records.DEFINITIONS`.

State may hold pickles, so nothing of a record is looked at, not even decompressed, before its HMAC is found right.
"""

from __future__ import annotations

import hashlib
import hmac

import zstandard

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.records import VERSION, Record, decode, encode

FORMAT = b"PPS2"
"""Grows with every change of what records say."""

READABLE = {b"PPS1": 1, FORMAT: VERSION}
"""Format → version of its schema; a record of another format is refused."""

_DIGEST = hashlib.sha256().digest_size
_BODY = len(FORMAT) + _DIGEST
_LEVEL = 1
"""Of zstd: state is mostly floats, where a higher level costs time and saves little."""


def seal(record: Record, key: bytes) -> bytes:
    """The record's bytes in the log. Raises StateLogError for one that is too large or cannot be written."""
    body = zstandard.compress(encode(record), _LEVEL)
    return FORMAT + _mac(FORMAT, body, key) + body


def mac_of(data: bytes) -> bytes:
    """The HMAC that a sealed record carries. Two that `authenticate` has found right are the same record if this is."""
    return data[len(FORMAT) : _BODY]


def authenticate(data: bytes, key: bytes) -> None:
    """Raises StateLogError where a record is of another format, or was not made with this key."""
    if data[: len(FORMAT)] not in READABLE:
        raise StateLogError(
            f"the record is not of format {FORMAT.decode()}, nor of an older one that this version reads",
            mend="run the version that wrote it; or somebody else writes into the state log: see its permissions",
        )
    if not hmac.compare_digest(mac_of(data), _mac(data[: len(FORMAT)], memoryview(data)[_BODY:], key)):
        raise StateLogError(
            "the record was not made with this deployment's key",
            mend="give the key that the state was written with; if it is the right one, the log was forged",
        )


def unseal(data: bytes, key: bytes) -> Record:
    """The record. Raises StateLogError where it is of another format, or was not made with this key."""
    authenticate(data, key)
    try:
        plain = zstandard.decompress(memoryview(data)[_BODY:])
    except zstandard.ZstdError as error:
        raise StateLogError(f"the record cannot be read: {error}") from error
    return decode(plain, READABLE[data[: len(FORMAT)]])


def _mac(form: bytes, body: bytes | memoryview, key: bytes) -> bytes:
    mac = hmac.new(key, form, hashlib.sha256)
    mac.update(body)
    return mac.digest()
