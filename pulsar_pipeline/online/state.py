"""What a function's state is to all that run functions; the state in memory, and how the writes of a failing event are
taken back there."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.timers import TimerQueue

VALUE, COUNTER, OBJECT = "v:", "c:", "o:"
"""How the keys of a stored state begin: bytes, counters as decimal text, pickled objects. Others are the runtime's."""

MAX_KEY = 10_000
"""Characters of a state key."""


class State(Protocol):
    """Bytes, counters and live objects by key, of one partition. For one thread; never blocks."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...
    def delete(self, key: str) -> None: ...
    def counter(self, key: str) -> int: ...
    def set_counter(self, key: str, value: int) -> None: ...
    def delete_counter(self, key: str) -> None: ...

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        """The live object of a key, made by `factory` at first use; whatever is done to it is part of the state."""

    def delete_object(self, key: str) -> None:
        """Nothing where there is none."""

    @property
    def timers(self) -> TimerQueue:
        """Those that are set; part of the state."""


class MemoryState:
    """State that lives as long as the process."""

    def __init__(self, stored: Mapping[str, bytes] | None = None) -> None:
        """`stored` is a partition's state as a checkpoint has it. It is unpickled, so it has to be one's own."""
        stored = stored or {}
        self._values = {key[2:]: value for key, value in stored.items() if key.startswith(VALUE)}
        self._counters = {key[2:]: int(value) for key, value in stored.items() if key.startswith(COUNTER)}
        self._pickled = {key[2:]: value for key, value in stored.items() if key.startswith(OBJECT)}
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

    def set_counter(self, key: str, value: int) -> None:
        self._counters[key] = value

    def delete_counter(self, key: str) -> None:
        self._counters.pop(key, None)

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        if key not in self._objects:
            stored = self._pickled.get(key)
            self._objects[key] = factory() if stored is None else pickle.loads(stored)
            self._pickled.pop(key, None)  # only now: what cannot be read is not replaced by something new
        return self._objects[key]

    def delete_object(self, key: str) -> None:
        self._objects.pop(key, None)
        self._pickled.pop(key, None)


class Undo:
    """Writes through to a state, and can take back what was written since `begin`: values, counters and timers, not
    what was done to live objects."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._back: list[Callable[[], None]] = []

    def begin(self, state: State) -> None:
        """The next event, and the state of its partition."""
        self.state = state
        self._back.clear()

    def take_back(self) -> None:
        while self._back:
            self._back.pop()()

    def put(self, key: str, value: bytes) -> None:
        """Raises DataError for a key that no state can hold."""
        self._remember(checked_key(key))
        self.state.put(key, value)

    def delete(self, key: str) -> None:
        self._remember(key)
        self.state.delete(key)

    def set_counter(self, key: str, value: int) -> None:
        """Raises DataError as `put`."""
        self._remember_counter(checked_key(key))
        self.state.set_counter(key, value)

    def delete_counter(self, key: str) -> None:
        self._remember_counter(key)
        self.state.delete_counter(key)

    def set_timer(self, name: str, at_ms: int | None) -> None:
        """None deletes."""
        timers, before = self.state.timers, self.state.timers.get(name)
        self._back.append(lambda: timers.delete(name) if before is None else timers.set(name, before.at_ms))
        if at_ms is None:
            timers.delete(name)
        else:
            timers.set(name, at_ms)

    def _remember(self, key: str) -> None:
        state, before = self.state, self.state.get(key)
        self._back.append(lambda: state.delete(key) if before is None else state.put(key, before))

    def _remember_counter(self, key: str) -> None:
        state, before = self.state, self.state.counter(key)
        self._back.append(lambda: state.set_counter(key, before) if before else state.delete_counter(key))


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
