"""A letter in JSON-able values: where it came from, why it is here, the event as far as it can be read, the mend."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pulsar_pipeline.errors import DataError, SchemaError
from pulsar_pipeline.letters.letter import Letter
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.schemas.codec import Decoder
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.values import jsonable

WriterOf = Callable[[str], Callable[[int], Schema]]
"""Topic → the lookup of its schemas by version."""

_REPLAY = "pulsar-pipeline functions dead-letters replay {deployment} {position}"
_DISMISS = "pulsar-pipeline functions dead-letters dismiss {deployment} {position}"

_MENDS = {
    "undecodable": "correct the producer, send the event anew and dismiss this letter: " + _DISMISS,
    "invalid": "correct the event, send it anew and dismiss this letter (" + _DISMISS + "); or have the function take "
    "it, deploy, and: " + _REPLAY,
    "failed": "mend the function, deploy it, then: " + _REPLAY,
    "hung": "find why the function does not come back, or raise the deployment's event_timeout; deploy, then: "
    + _REPLAY,
}
_MEND_UNKNOWN = "no instance of this product made it; if nobody wants it: " + _DISMISS


def summary(letter: Letter) -> dict[str, Any]:
    """For lists."""
    topic, partition = _source(letter)
    return {
        "position": str(letter.position),
        "reason": letter.reason,
        "error": letter.error,
        "topic": topic,
        "partition": partition,
        "source_position": letter.source_position,
        "key": letter.key,
        "event_time": _time(letter.event_time_ms),
        "set_aside_at": _time(letter.set_aside_ms),
    }


def document(letter: Letter, deployment: str, writer_of: WriterOf) -> dict[str, Any]:
    """All of it. The event is decoded as it was written; where that fails, `event` is null and `unread` tells why.

    Raises ClusterError when the broker does not answer.
    """
    event, unread = _event(letter, writer_of)
    return {
        **summary(letter),
        "schema_version": letter.schema_version,
        "function": letter.function,
        "properties": letter.event_properties,
        "event": event,
        "unread": unread,
        "payload_base64": base64.b64encode(letter.payload).decode("ascii"),
        "mend": mend(letter, deployment),
    }


def mend(letter: Letter, deployment: str) -> str:
    """What to do about it."""
    return _MENDS.get(letter.reason, _MEND_UNKNOWN).format(deployment=deployment, position=letter.position)


def hex_lines(payload: bytes, limit: int = 256) -> list[str]:
    """The first bytes, sixteen a line, with the text that they may be."""
    lines = []
    for start in range(0, min(len(payload), limit), 16):
        row = payload[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:04x}  {row.hex(' '):<47}  {text}")
    if len(payload) > limit:
        lines.append(f"… {len(payload)} bytes in all")
    return lines


def _event(letter: Letter, writer_of: WriterOf) -> tuple[Any, str | None]:
    if letter.schema_version is None:
        return None, "it was sent without a schema"
    topic, _ = _source(letter)
    try:
        record = Decoder(None, writer_of(topic))(letter.payload, letter.schema_version)
        return jsonable(record), None
    except (DataError, SchemaError) as error:
        return None, str(error)


def _source(letter: Letter) -> tuple[str, int | None]:
    try:
        topic, partition = parse_topic(letter.source_topic)
    except ValueError:
        return letter.source_topic, None
    return str(topic), partition


def _time(time_ms: int | None) -> str | None:
    if not time_ms:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
