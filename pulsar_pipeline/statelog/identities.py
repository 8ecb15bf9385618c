"""Which events of the inputs are in the state, told so that it holds in every cluster: by producer. Pure.

Message ids differ from cluster to cluster; producer names, publish times and the order of one producer's messages do
not. So for each input and producer the publish time of its last message that was processed says of all its messages
whether they were, together with a count for those with that very time (a batch has one time). A window of the MOST
producers heard of last is kept; of those that fell out of it only the latest publish time is known.

A producer whose clock is set back while it runs sends events that look older than they are, up to that much: at a
change of home they would be taken for processed.

    window = Identities(fold.identities)            the owner's, from its start on
    window.take("readings", "west-1-7", 1733, 20)   per run of messages of one producer and publish time
    commit.identities = window.changes()            with each commit
    start = window.since_ms("readings")             at a change of home: read the input from there,
    replay = Replay(window)                         and ask of each message in its order
    replay.judge("readings", "west-1-7", 1733)      Seen.YES | Seen.NO | Seen.UNSURE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from pulsar_pipeline.statelog.records import Identity

MOST = 1_000
"""Producers in the window of an input's partition; each takes some 30 bytes in a checkpoint."""

_FORGOTTEN = ""
"""In place of a producer: all that fell out of the window."""

ANEW = Identity("", "", 0, 0)
"""In what a commit tells: everything known before is void, as after a state was put back."""

_Key = tuple[str, str]


class Identities:
    """The window of one partition. For one thread."""

    def __init__(self, known: Iterable[Identity] = (), most: int = MOST) -> None:
        """Go on from what was known: the window of a checkpoint, or that of a fold."""
        self._last: dict[_Key, tuple[int, int]] = {}  # in the order of when they were heard of
        self._forgotten: dict[str, int] = {}
        self._changed: dict[_Key, None] = {}
        self._to_tell: set[str] = set()
        """Inputs of which more was forgotten."""
        self._most = most
        self.merge(known)

    def __iter__(self) -> Iterator[Identity]:
        """The whole window, those heard of last at the end."""
        for name, publish_ms in self._forgotten.items():
            yield Identity(name, _FORGOTTEN, publish_ms, 0)
        for (name, producer), (publish_ms, count) in self._last.items():
            yield Identity(name, producer, publish_ms, count)

    def take(self, name: str, producer: str, publish_ms: int, count: int = 1) -> None:
        """`count` further messages of an input have been processed, in a row, of one producer and publish time."""
        key = (name, producer)
        last = self._last.pop(key, None)
        if last is not None and last[0] >= publish_ms:
            publish_ms, count = last[0], last[1] + (count if last[0] == publish_ms else 0)
        self._last[key] = (publish_ms, count)
        self._changed.pop(key, None)
        self._changed[key] = None
        self._trim()

    def changes(self) -> tuple[Identity, ...]:
        """What was taken since the last call, as a commit has it: `merge` of it, elsewhere, comes to this window."""
        forgotten = [Identity(name, _FORGOTTEN, self._forgotten[name], 0) for name in sorted(self._to_tell)]
        changed = [Identity(*key, *self._last[key]) for key in self._changed if key in self._last]
        self._changed.clear()
        self._to_tell.clear()
        return (*forgotten, *changed)

    def merge(self, told: Iterable[Identity]) -> None:
        """Take in the changes of a commit, or a whole window."""
        for name, producer, publish_ms, count in told:
            if not name:  # ANEW
                self._last.clear()
                self._forgotten.clear()
                continue
            if producer == _FORGOTTEN:
                self._forget(name, publish_ms)
                continue
            self._last.pop((name, producer), None)
            self._last[name, producer] = (publish_ms, count)
        self._trim()

    def since_ms(self, name: str) -> int | None:
        """The publish time from which on an input has to be read so that nothing unprocessed is passed over; None: from
        its start, for nothing of it was processed."""
        times = [publish_ms for (of, _), (publish_ms, _) in self._last.items() if of == name]
        return min(times, default=self._forgotten.get(name))

    def last(self, name: str, producer: str) -> tuple[int, int] | None:
        """Publish time and count of a producer in the window."""
        return self._last.get((name, producer))

    def forgotten_ms(self, name: str) -> int | None:
        """The latest publish time of those that fell out of the window; None while none did."""
        return self._forgotten.get(name)

    def _trim(self) -> None:
        while len(self._last) > self._most:
            key = next(iter(self._last))
            self._forget(key[0], self._last.pop(key)[0])

    def _forget(self, name: str, publish_ms: int) -> None:
        self._forgotten[name] = max(publish_ms, self._forgotten.get(name, publish_ms))
        self._to_tell.add(name)


class Seen(Enum):
    """Whether an event is in the state."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"
    """It is older than the window reaches: of a producer that fell out of it, or of one never heard of."""


class Replay:
    """Reads an input again, in another cluster: each of its messages has to be judged, in the order of the topic."""

    def __init__(self, window: Identities) -> None:
        self._window = window
        self._counted: dict[_Key, int] = {}

    def judge(self, name: str, producer: str, publish_ms: int) -> Seen:
        """The next message."""
        last = self._window.last(name, producer)
        if last is not None and publish_ms < last[0]:
            return Seen.YES
        if last is not None and publish_ms == last[0]:
            counted = self._counted[name, producer] = self._counted.get((name, producer), 0) + 1
            if counted <= last[1]:
                return Seen.YES
        forgotten = self._window.forgotten_ms(name)
        return Seen.UNSURE if forgotten is not None and publish_ms <= forgotten else Seen.NO
