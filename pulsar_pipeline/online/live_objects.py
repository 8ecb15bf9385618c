"""Live objects of the partition in work: part of its state under our runtime, in memory under any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pulsar_pipeline.names import PARTITION_SUFFIX

Item = TypeVar("Item")


class LiveObjects:
    """The objects of one collection, by key. What is got counts as changed, so keep objects small: each that was got is
    pickled at the next commit."""

    def __init__(self, name: str) -> None:
        """`name` sets a function's collections apart, those of `Models` included."""
        self._prefix = f"{name}/"
        self._local: dict[str, dict[str, Any]] = {}

    def get(self, context: Any, key: str, factory: Callable[[], Item]) -> Item:
        """The object of a key, made by `factory` where there is none; if that raises, there is still none."""
        if hasattr(context, "del_state_object"):
            item: Item = context.get_state_object(self._prefix + key, factory)
            return item
        local = self._local.setdefault(_partition_of(context), {})
        if key not in local:
            local[key] = factory()
        found: Item = local[key]
        return found

    def delete(self, context: Any, key: str) -> None:
        """Forget an object; nothing where there is none."""
        if hasattr(context, "del_state_object"):
            context.del_state_object(self._prefix + key)
        else:
            self._local.get(_partition_of(context), {}).pop(key, None)


def _partition_of(context: Any) -> str:
    topic: str = context.get_current_message_topic_name()
    return topic.rpartition(PARTITION_SUFFIX)[2] if PARTITION_SUFFIX in topic else ""
