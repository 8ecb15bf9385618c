"""The seam for a function's state: what `context.put_state` and its like work on.

`StateStore` is what the loop and the context know. `MemoryState` lives as long as the instance does, which is what
`at_least_once` promises; a store backed by the state log takes its place for a stronger guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class StateStore(Protocol):
    """Keyed bytes and counters of one instance. Called from the loop's thread only; never blocks."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...
    def delete(self, key: str) -> None: ...
    def increment(self, key: str, amount: int) -> None: ...
    def counter(self, key: str) -> int: ...
    def delete_counter(self, key: str) -> None: ...

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        """The live object of a key, made by `factory` at first use; whatever is done to it is part of the state."""


class MemoryState:
    """State in this process's memory."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._counters: dict[str, int] = {}
        self._objects: dict[str, Any] = {}

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._values[key] = value

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def increment(self, key: str, amount: int) -> None:
        self._counters[key] = self._counters.get(key, 0) + amount

    def counter(self, key: str) -> int:
        return self._counters.get(key, 0)

    def delete_counter(self, key: str) -> None:
        self._counters.pop(key, None)

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        if key not in self._objects:
            self._objects[key] = factory()
        return self._objects[key]
