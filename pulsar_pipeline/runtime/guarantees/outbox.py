"""Messages for other topics that wait for their commit: part of the partition's state, numbered from 1. Pure.

A message is kept with the commit of its event, sent once that commit counts, and dropped from the state once it is
stored. It is sent under a producer name and a sequence id that are in the state too, so after a crash it is sent again
under the same ones, and a broker with deduplication on takes it once.
"""

from __future__ import annotations

import os
from collections import deque

from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.transport.outgoing import Numbered, Outgoing, from_bytes, to_bytes

SPACE = "b:"
"""Key space: `b:NUMBER` the messages, `b:name` what distinguishes this numbering, `b:next` the next number."""

_NAME, _NEXT = SPACE + "name", SPACE + "next"


class Outbox:
    """Of one partition. Used by the loop's thread; `stored` by the committer's."""

    def __init__(self, state: PartitionState) -> None:
        kept = dict(state.kept(SPACE))
        name, following = kept.pop("name", None), kept.pop("next", b"1")
        waiting = [(number, from_bytes(kept[str(number)])) for number in sorted(map(int, kept))]
        self._state = state
        self._next = int(following)
        self._unsent: list[Numbered] = waiting
        self._kept = deque(number for number, _ in waiting)
        self._stored = 0
        self._named = name is not None
        self.name = os.urandom(8).hex() if name is None else name.decode()
        if name is None and waiting:  # an imported state: under an old name its numbers would pass for repeats
            self._renumber(waiting)

    def add(self, message: Outgoing) -> None:
        """Raises DataError for a message that cannot be kept."""
        if not self._named:
            self._state.keep(_NAME, self.name.encode())
            self._named = True
        self._state.keep(f"{SPACE}{self._next}", to_bytes(message))
        self._unsent.append((self._next, message))
        self._kept.append(self._next)
        self._next += 1

    @property
    def waits(self) -> bool:
        """Whether a commit would send something, or forget something."""
        return bool(self._unsent) or bool(self._kept and self._kept[0] <= self._stored)

    def take(self) -> list[Numbered]:
        """Before a snapshot: what is to be sent once the commit counts. What is stored leaves the state."""
        while self._kept and self._kept[0] <= self._stored:
            self._state.drop(f"{SPACE}{self._kept.popleft()}")
        unsent, self._unsent = self._unsent, []
        if unsent:
            self._state.keep(_NEXT, b"%d" % self._next)
        return unsent

    def stored(self, number: int) -> None:
        """All up to this number have reached their topics."""
        self._stored = number

    def _renumber(self, waiting: list[Numbered]) -> None:
        for number, _ in waiting:
            self._state.drop(f"{SPACE}{number}")
        self._unsent, self._next = [], 1
        self._kept.clear()
        for _, message in waiting:
            self.add(message)
