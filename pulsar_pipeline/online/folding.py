"""How values come together in a window: what the author's accumulator does with one more."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

Start = Callable[[], Any]
"""Makes the accumulator of a new window."""

Update = Callable[[Any, Any], Any]
"""(accumulator, value) → the new accumulator; None says that it was changed in place."""

Merge = Callable[[Any, Any], Any]
"""Accumulators of the earlier and the later of two sessions that an event joins → that of both."""

merge_by_adding: Merge = operator.add
"""`earlier + later`: numbers, lists, `collections.Counter`, and those of `river.stats` that can be added."""


def update_in_place(accumulator: Any, value: Any) -> None:
    """By the accumulator's own `update`, which all of `river.stats` and `river.metrics` have."""
    accumulator.update(value)


def folded(accumulator: Any, value: Any, update: Update) -> Any:
    """The accumulator with one value more."""
    changed = update(accumulator, value)
    return accumulator if changed is None else changed
