"""Sizes and durations as people write them (`10GB`, `7d`), as whole bytes and seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SIZES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_DURATIONS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNLIMITED = "unlimited"


def _parse(value: Any, units: dict[str, int], what: str, example: str) -> int:
    if value == _UNLIMITED:
        return -1
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value  # already in the base unit
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", value)
        if match and match[2] in units:
            return int(match[1]) * units[match[2]]
    raise ValueError(f"expected {what} such as {example}, with a unit of {', '.join(units)}, not {value!r}")


def _validator(units: dict[str, int], what: str, example: str) -> BeforeValidator:
    return BeforeValidator(lambda value: _parse(value, units, what, example))


def _schema(units: dict[str, int]) -> WithJsonSchema:
    pattern = rf"^\d+\s*({'|'.join(units)})$|^{_UNLIMITED}$"
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": pattern}, {"type": "integer", "minimum": 0}]})


Bytes = Annotated[int, _validator(_SIZES, "a size", "10GB"), _schema(_SIZES)]
"""Whole bytes; -1 is unlimited. KB is 1024 bytes, as in Pulsar."""

Seconds = Annotated[int, _validator(_DURATIONS, "a duration", "7d"), _schema(_DURATIONS)]
"""Whole seconds; -1 is unlimited."""
