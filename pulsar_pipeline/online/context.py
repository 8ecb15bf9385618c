"""Questions about the event in hand that every `pulsar.Context` can answer, ours and the stock one alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESERVED_KEY = "pulsar_pipeline"
"""Entry of the user config that belongs to the platform; never an author's."""


def event_key(context: Any) -> str | None:
    """The event's message key; None when it has none."""
    key = context.get_partition_key()
    return key or None


def event_time_ms(context: Any) -> int | None:
    """The event's own time, milliseconds since the Unix epoch; None when its producer gave none."""
    time_ms = context.get_message_eventtime()
    return int(time_ms) if time_ms else None


def user_config(context: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The deployment's config over the function's defaults (top-level keys), without the platform's entry."""
    given = context.get_user_config_map() or {}
    return {**defaults, **{key: value for key, value in given.items() if key != RESERVED_KEY}}
