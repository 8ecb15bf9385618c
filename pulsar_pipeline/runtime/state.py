"""The seam for a function's state: what `context.put_state` and its like work on.

`StateStore` is what the loop and the context know. `MemoryState` lives as long as the instance does, which is what
`at_least_once` promises; a store backed by the state log takes its place for a stronger guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.timers import TimerQueue

MAX_KEY = 10_000
"""Characters of a state key."""


class StateStore(Protocol):
    """Keyed bytes and counters of one instance. Called from the loop's thread only; never blocks."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...
    def delete(self, key: str) -> None: ...
    def counter(self, key: str) -> int: ...
    def set_counter(self, key: str, count: int) -> None: ...
    def delete_counter(self, key: str) -> None: ...

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        """The live object of a key, made by `factory` at first use; whatever is done to it is part of the state."""

    def delete_object(self, key: str) -> None:
        """Nothing where there is none."""

    @property
    def timers(self) -> TimerQueue:
        """Those that are set; part of the state."""


class MemoryState:
    """State in this process's memory."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._counters: dict[str, int] = {}
        self._objects: dict[str, Any] = {}
        self.timers = TimerQueue()

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._values[key] = value

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def counter(self, key: str) -> int:
        return self._counters.get(key, 0)

    def set_counter(self, key: str, count: int) -> None:
        self._counters[key] = count

    def delete_counter(self, key: str) -> None:
        self._counters.pop(key, None)

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        if key not in self._objects:
            self._objects[key] = factory()
        return self._objects[key]

    def delete_object(self, key: str) -> None:
        self._objects.pop(key, None)


def checked_key(key: str) -> str:
    """The key. Raises DataError for one that the log cannot hold: with the event, before it is in a commit that nobody
    could write or read back."""
    if "\0" in key or len(key) > MAX_KEY or (not key.isascii() and not _is_utf8(key)):
        raise DataError(f"the state key {key[:100]!r} has a NUL, a lone surrogate, or over {MAX_KEY:,} characters")
    return key


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
