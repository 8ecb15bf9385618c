"""Times and spans as authors give them → milliseconds since the Unix epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.online.context import event_time_ms

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)


def time_of(at: datetime | int | None, context: Any) -> int:
    """`at`, or the event's own time. Raises DataError where there is none, or it has no time zone."""
    if at is None:
        at = event_time_ms(context)
        if at is None:
            raise DataError("the event has no time", mend="name the topic's `event_time`, or give the time with `at`")
    if type(at) is int:
        return at
    if isinstance(at, datetime) and at.tzinfo is not None:
        return (at - _EPOCH) // _MILLISECOND
    raise DataError(f"a time is milliseconds or a datetime with a time zone, not {at!r}")


def moment(ms: int) -> datetime:
    """In UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


def span_ms(span: timedelta, what: str, *, least: int = 1) -> int:
    """Raises InstanceError for a span that is shorter than `least` milliseconds or not whole ones."""
    if not isinstance(span, timedelta):
        raise InstanceError(f"{what} is a timedelta, not {span!r}")
    if span < least * _MILLISECOND or span % _MILLISECOND:
        raise InstanceError(f"{what} is whole milliseconds from {least} on, not {span}")
    return span // _MILLISECOND
