"""The first exchange of Pulsar's binary protocol, by hand: client libraries hide a refusal behind retries.

The numbers are those of `PulsarApi.proto`.
"""

from __future__ import annotations

import socket
import struct
from urllib.parse import urlsplit

_CONNECT, _CONNECTED, _ERROR = 2, 3, 14
_PROTOCOL_VERSION = 19
_VARINT, _BYTES = 0, 2
_TIMEOUT_S = 30.0


def connect(broker_url: str, token: str | None) -> str:
    """Say who one is, or nothing: `connected`, or the words of the refusal."""
    where = urlsplit(broker_url)
    with socket.create_connection((where.hostname, where.port), _TIMEOUT_S) as connection:
        connection.sendall(_frame(_connect_command(token)))
        answer = _receive(connection)
    kind = answer[1]
    if kind == _CONNECTED:
        return "connected"
    assert kind == _ERROR, answer
    return answer.rpartition(b"\x1a")[2][1:].decode()


def _connect_command(token: str | None) -> bytes:
    fields = _field(1, b"by hand") + _number(4 << 3 | _VARINT) + _number(_PROTOCOL_VERSION)
    if token is not None:
        fields += _field(3, token.encode()) + _field(5, b"token")
    return _number(1 << 3 | _VARINT) + _number(_CONNECT) + _field(2, fields)


def _frame(command: bytes) -> bytes:
    return struct.pack(">II", len(command) + 4, len(command)) + command


def _receive(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        _, size = struct.unpack(">II", stream.read(8))
        return stream.read(size)


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """A protobuf varint."""
    low = value & 0x7F
    return bytes([low]) if value == low else bytes([low | 0x80]) + _number(value >> 7)
