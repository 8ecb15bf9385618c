"""Bytes as they are, for the stock runtime, whose IdentitySerDe turns bytes that look like a number into one."""

from __future__ import annotations

import pulsar


class BytesSerDe(pulsar.SerDe):  # type: ignore[misc]  # the client library has no types
    """Set it as `customSerdeInputs` of every input topic when a package runs under the stock runtime."""

    def serialize(self, input: bytes) -> bytes:
        return input

    def deserialize(self, input_bytes: bytes) -> bytes:
        return input_bytes
