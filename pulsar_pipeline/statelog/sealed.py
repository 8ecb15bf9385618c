"""Records of a state log as bytes that only the holder of the key can make.

    b"PPS1"  HMAC-SHA256 (32 bytes) over b"PPS1" and the rest  zstd(Avro union of Claim, Part, Commit, Chunk)

State may hold pickles, so nothing of a record is looked at, not even decompressed, before its HMAC is found right.
"""

from __future__ import annotations

import hashlib
import hmac

import zstandard

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.records import Record, decode, encode

FORMAT = b"PPS1"
"""Grows with every change of what records say; a record of another format is refused."""

_DIGEST = hashlib.sha256().digest_size
_BODY = len(FORMAT) + _DIGEST
_LEVEL = 1
"""Of zstd: state is mostly floats, where a higher level costs time and saves little."""


def seal(record: Record, key: bytes) -> bytes:
    """The record's bytes in the log. Raises StateLogError for one that is too large or cannot be written."""
    body = zstandard.compress(encode(record), _LEVEL)
    return FORMAT + _mac(body, key) + body


def unseal(data: bytes, key: bytes) -> Record:
    """The record. Raises StateLogError where it is of another format, or was not made with this key."""
    if not data.startswith(FORMAT):
        raise StateLogError(
            f"the record is not of format {FORMAT.decode()}, the one this version reads",
            mend="run the version that wrote it; or somebody else writes into the state log: see its permissions",
        )
    body = data[_BODY:]
    if not hmac.compare_digest(data[len(FORMAT) : _BODY], _mac(body, key)):
        raise StateLogError(
            "the record was not made with this deployment's key",
            mend="give the instance the key that the state was written with; with the right one, the log was forged",
        )
    try:
        plain = zstandard.decompress(body)
    except zstandard.ZstdError as error:
        raise StateLogError(f"the record cannot be read: {error}") from error
    return decode(plain)


def _mac(body: bytes, key: bytes) -> bytes:
    mac = hmac.new(key, FORMAT, hashlib.sha256)
    mac.update(body)
    return mac.digest()
