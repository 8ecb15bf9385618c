"""Decoded records as other parts need them: JSON-able values and event times."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pulsar_pipeline.errors import DataError


def jsonable(value: Any) -> Any:
    """A record (or part of one) with JSON values only.

    Times become ISO 8601 (instants with `Z`), bytes base64, decimals and UUIDs text; NaN and infinities, which JSON
    lacks, become null.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    for kind, convert in _SCALARS:
        if isinstance(value, kind):
            return convert(value)
    raise DataError(f"a value of type {type(value).__name__} has no JSON form")


def event_time_ms(record: Mapping[str, Any], field: str) -> int | None:
    """The event time in `field`, milliseconds since the Unix epoch; None where it is null or missing.

    Takes a datetime (logical timestamps decode to it), a whole number of milliseconds, or ISO 8601 text. A time
    without a zone is UTC. Raises DataError for anything else.
    """
    value = record.get(field)
    match value:
        case None:
            return None
        case bool():
            pass
        case int():
            return value
        case datetime.datetime():
            return _millis(value)
        case str():
            try:
                return _millis(datetime.datetime.fromisoformat(value))
            except ValueError:
                pass
    raise DataError(
        f"not an event time: {value!r}", where=f"field {field}", mend="use a timestamp or ISO 8601 text with a zone"
    )


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


def _millis(instant: datetime.datetime) -> int:
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=datetime.UTC)
    return (instant - _EPOCH) // _MILLISECOND


def _instant(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


_SCALARS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (float, lambda value: value if math.isfinite(value) else None),
    (datetime.datetime, _instant),
    (datetime.date, datetime.date.isoformat),
    (datetime.time, datetime.time.isoformat),
    (bytes, lambda value: base64.b64encode(value).decode("ascii")),
    (decimal.Decimal, str),
    (uuid.UUID, str),
)
"""In this order: a datetime is a date too."""
