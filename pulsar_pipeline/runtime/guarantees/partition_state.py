"""The state of one partition under exactly-once: what is in its state log, and the live objects made from it."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.online.state import COUNTER, OBJECT, VALUE, checked_key
from pulsar_pipeline.online.timers import Timer, TimerQueue
from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage

LINEAGE, TIMER, NUMBERING = "l:", "t:", "n:"
"""Key spaces beside those of the function's own values: how far stamped inputs are, when timers are due, and the number
of their next setting. The platform's other parts keep what they need beside these, by `keep`."""

LIVE_BYTES = 128_000_000
"""Most bytes of objects that stay live between commits, as pickled; others are made anew from their bytes when used."""

_NEXT_TIMER = NUMBERING + "timer"
"""The number of the next setting of a timer."""

_NONE: Any = object()


class PartitionState:
    """Keyed bytes, counters and live objects of one partition. Knows what changed since the last snapshot."""

    def __init__(self, values: dict[str, bytes], live_bytes: int = LIVE_BYTES) -> None:
        self._values = values
        self._changed: set[str] = set()
        self._objects: OrderedDict[str, Any] = OrderedDict()  # the one not used for longest comes first
        self._touched: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._live, self._most_live = 0, live_bytes
        self.timers = TimerQueue(
            [_timer(name, value) for name, value in self.kept(TIMER)],
            int(values.get(_NEXT_TIMER, b"1")),
            self._keep_timer,
        )

    def get(self, key: str) -> bytes | None:
        return self._values.get(VALUE + key)

    def put(self, key: str, value: bytes) -> None:
        """Raises DataError for a key that the log cannot hold, as all that store something do."""
        self.keep(VALUE + checked_key(key), value)

    def delete(self, key: str) -> None:
        self.drop(VALUE + key)

    def counter(self, key: str) -> int:
        return int(self._values.get(COUNTER + key, b"0"))

    def set_counter(self, key: str, count: int) -> None:
        self.keep(COUNTER + checked_key(key), b"%d" % count)

    def increment(self, key: str, amount: int) -> None:
        self.set_counter(key, self.counter(key) + amount)

    def delete_counter(self, key: str) -> None:
        self.drop(COUNTER + key)

    def object(self, key: str, factory: Callable[[], Any]) -> Any:
        """The live object of a key, made by `factory` at first use; it counts as changed from now on."""
        found = self._objects.get(key, _NONE)
        if found is _NONE:
            stored = self._values.get(OBJECT + checked_key(key))
            found = self._objects[key] = pickle.loads(stored) if stored is not None else factory()
        if key not in self._touched:
            self._touched.add(key)
            self._objects.move_to_end(key)
        return found

    def delete_object(self, key: str) -> None:
        """Nothing where there is none."""
        self._objects.pop(key, None)
        self._touched.discard(key)
        self._live -= self._sizes.pop(key, 0)
        self.drop(OBJECT + key)

    def lineage(self, name: str) -> Lineage:
        """How far a stamped input has come."""
        stored = self._values.get(LINEAGE + name)
        return Lineage(*map(int, stored.split(b"."))) if stored is not None else ANYWHERE

    def set_lineage(self, name: str, lineage: Lineage) -> None:
        self.keep(LINEAGE + name, b"%d.%d.%d" % lineage)

    def keep(self, key: str, value: bytes) -> None:
        """For the platform's own parts: `key` includes its key space."""
        self._values[key] = value
        self._changed.add(key)

    def drop(self, key: str) -> None:
        if self._values.pop(key, None) is not None:
            self._changed.add(key)

    def _keep_timer(self, name: str, timer: Timer | None) -> None:
        if timer is None:
            self.drop(TIMER + name)
        else:
            self.keep(TIMER + name, b"%d.%d" % (timer.at_ms, timer.number))
            self.keep(_NEXT_TIMER, b"%d" % self.timers.following)

    def kept(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """What stands in a key space, by the rest of the key. Looks at every key: for an owner's start."""
        return ((key[len(prefix) :], value) for key, value in self._values.items() if key.startswith(prefix))

    def snapshot(self) -> dict[str, bytes | None]:
        """What changed since the last snapshot: key → value, None for removed.

        Raises InstanceError for an object that cannot be stored.
        """
        for key in self._touched:
            pickled = _pickled(key, self._objects[key])
            self.keep(OBJECT + key, pickled)
            self._live += len(pickled) - self._sizes.get(key, 0)
            self._sizes[key] = len(pickled)
        changed = {key: self._values.get(key) for key in self._changed}
        self._touched.clear()
        self._changed.clear()
        while self._live > self._most_live and len(self._objects) > 1:
            key, _ = self._objects.popitem(last=False)
            self._live -= self._sizes.pop(key)
        return changed

    def everything(self) -> dict[str, bytes]:
        """All values as of the last snapshot. Call right after `snapshot`."""
        return dict(self._values)


def _pickled(key: str, found: Any) -> bytes:
    try:
        return pickle.dumps(found, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever the pickling of an author's class raises
        raise InstanceError(
            f"{key} cannot be stored: {type(error).__name__}: {error}",
            mend="what is in Models has to be picklable; `exactly_once` stores it with every commit",
        ) from error


def _timer(name: str, value: bytes) -> Timer:
    at_ms, number = value.split(b".")
    return Timer(int(at_ms), name, int(number))
