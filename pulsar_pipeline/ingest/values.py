"""Single values: text or JSON → what Avro's primitive and logical types take."""

from __future__ import annotations

import base64
import datetime
import re
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

Convert = Callable[[Any], Any]
"""A value → the Avro value. Raises ValueError saying what was expected."""

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?$", re.ASCII)
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def same(value: Any) -> Any:
    return value


def expect(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {what}, not {shown(value)}")
    return value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _null(text: str) -> None:
    if text:
        raise ValueError(f"expected nothing, not {shown(text)}")


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError(f"expected true or false, not {shown(text)}")
    return value


def _whole(text: str) -> int:
    text = text.strip()
    if _WHOLE.match(text) is None:
        raise ValueError(f"expected a whole number, not {shown(text)}")
    return int(text.partition(".")[0])


def _number(text: str) -> float:
    try:
        if "_" not in text:  # Python's own digits grouping is nobody's data
            return float(text)
    except ValueError:
        pass
    raise ValueError(f"expected a number, not {shown(text)}")


def base64_bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(expect(text, str, "base64 text"), validate=True)
    except ValueError as error:
        raise ValueError(f"expected base64 text, not {shown(text)}") from error


def _or_whole(parse: Callable[[str], Any], what: str) -> Convert:
    """ISO 8601 text; or a whole number, which Avro takes as it is."""

    def convert(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            text = value.strip()
            if _WHOLE.match(text):
                return _whole(text)
            try:
                return parse(text)
            except ValueError:
                pass
        raise ValueError(f"expected {what}, not {shown(value)}")

    return convert


def _instant(text: str) -> datetime.datetime:
    value = datetime.datetime.fromisoformat(text)
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def _local_time(text: str) -> datetime.datetime:
    value = datetime.datetime.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError("names a zone")
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("nan")
        if number.is_finite():
            return number
    raise ValueError(f"expected a decimal number, not {shown(value)}")


def _uuid(value: Any) -> str:
    text: str = expect(value, str, "a UUID")
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError as error:
        raise ValueError(f"expected a UUID, not {shown(value)}") from error


CELLS: dict[str, Convert] = {
    "null": _null,
    "boolean": _boolean,
    "int": _whole,
    "long": _whole,
    "float": _number,
    "double": _number,
    "string": same,
    "bytes": base64_bytes,
}
"""Avro primitive → from the text of a CSV cell."""

_TIMESTAMP = _or_whole(_instant, "an ISO 8601 time or a whole number")
_LOCAL_TIMESTAMP = _or_whole(_local_time, "an ISO 8601 time without a zone or a whole number")
_TIME = _or_whole(datetime.time.fromisoformat, "an ISO 8601 time of day or a whole number")

LOGICAL: dict[tuple[str, str], Convert] = {
    ("long", "timestamp-millis"): _TIMESTAMP,
    ("long", "timestamp-micros"): _TIMESTAMP,
    ("long", "local-timestamp-millis"): _LOCAL_TIMESTAMP,
    ("long", "local-timestamp-micros"): _LOCAL_TIMESTAMP,
    ("int", "date"): _or_whole(datetime.date.fromisoformat, "an ISO 8601 date or a whole number"),
    ("int", "time-millis"): _TIME,
    ("long", "time-micros"): _TIME,
    ("bytes", "decimal"): _decimal,
    ("fixed", "decimal"): _decimal,
    ("string", "uuid"): _uuid,
}
"""Avro type and logical type → from text or a JSON value."""
