"""A choice of waiting letters → surveyed, replayed or dismissed. Streams: what is held at once has a bound.

A replay sends a chunk of events, waits until they are stored, and only then acknowledges their letters: none is lost.
What an interrupted replay has sent and not acknowledged, the next one finds by the journal and does not send again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pulsar

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.letters.choice import Choice, Survey, chosen
from pulsar_pipeline.letters.journal import Journal, replayed_since
from pulsar_pipeline.letters.letter import Letter
from pulsar_pipeline.letters.returns import Returns, Unreturnable
from pulsar_pipeline.letters.waiting import PartitionLetters, WaitingLetters

_CHUNK = 1000
_CHUNK_BYTES = 16_000_000

Progress = Callable[[int], None]
"""Hears how many letters are done."""


@dataclass
class Settled:
    """What came of a replay or a dismissal; counts of letters."""

    replayed: int = 0
    sent_before: int = 0
    """By a replay that was interrupted; acknowledged now."""
    doubles: int = 0
    """Second letters of an event that was replayed or dismissed with its first one."""
    dismissed: int = 0
    refused: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """Why letters stay, and the mend → how many."""

    @property
    def done(self) -> int:
        return self.replayed + self.sent_before + self.doubles + self.dismissed


def survey(waiting: WaitingLetters, choice: Choice, each: Callable[[Letter], None] = lambda _letter: None) -> Survey:
    """Count what a choice means; `each` hears of every event, in order. Changes nothing."""
    found = Survey()
    for partition in choice.partitions(range(waiting.partitions)):
        with waiting.partition(partition) as letters:
            for letter, double in chosen(letters, choice):
                found.add(letter, double=double, choice=choice)
                if not double:
                    each(letter)
    return found


def dismiss(waiting: WaitingLetters, choice: Choice, progress: Progress) -> Settled:
    """Acknowledge what a choice means: nobody wants it back."""
    settled = Settled()
    for partition in choice.partitions(range(waiting.partitions)):
        with waiting.partition(partition) as letters:
            for letter, double in chosen(letters, choice):
                letters.settle(letters.keep(letter))
                settled.doubles += double
                settled.dismissed += not double
                progress(settled.done)
    return settled


class Replayer:
    """Sends letters' events back. `deployment` is `TENANT/NAME`."""

    def __init__(
        self, client: pulsar.Client, http: AdminHttp, waiting: WaitingLetters, returns: Returns, deployment: str
    ) -> None:
        self._client, self._http = client, http
        self._waiting, self._returns = waiting, returns
        self._deployment = deployment

    def replay(self, choice: Choice, progress: Progress) -> Settled:
        """Take back what a choice means. What cannot go back stays, and is counted with the reason.

        Raises ClusterError; what was done by then is done, and the next replay goes on there.
        """
        settled = Settled()
        for partition in choice.partitions(range(self._waiting.partitions)):
            journal = Journal(self._http, self._waiting.topic, partition)
            with self._waiting.partition(partition) as letters:
                self._partition(letters, choice, journal, settled, progress)
            journal.done()
        return settled

    def _partition(
        self, letters: PartitionLetters, choice: Choice, journal: Journal, settled: Settled, progress: Progress
    ) -> None:
        sent_before = self._sent_before(journal)
        chunk = _Chunk()
        for letter, double in chosen(_without(letters, sent_before, settled), choice):
            if double:
                chunk.add(letters.keep(letter), 0)
                settled.doubles += 1
            elif self._send(letter, journal, settled):
                chunk.add(letters.keep(letter), len(letter.payload))
                settled.replayed += 1
            if chunk.is_full:
                self._settle(letters, chunk)
                progress(settled.done)
        self._settle(letters, chunk)
        progress(settled.done)

    def _sent_before(self, journal: Journal) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for input_partition, start in journal.open_replays().items():
            found |= replayed_since(self._client, self._http, input_partition, start, self._deployment)
        return found

    def _send(self, letter: Letter, journal: Journal, settled: Settled) -> bool:
        try:
            self._returns.check(letter)
            journal.begin(letter.source_topic)
            self._returns.send(letter)
        except Unreturnable as error:
            settled.refused[error.what, error.mend] += 1
            return False
        return True

    def _settle(self, letters: PartitionLetters, chunk: _Chunk) -> None:
        self._returns.flush()
        for kept in chunk.kept:
            letters.settle(kept)
        chunk.clear()


def _without(letters: PartitionLetters, sent_before: set[tuple[str, str]], settled: Settled) -> Iterator[Letter]:
    """The letters but those that an interrupted replay has sent, which are settled on the way."""
    for letter in letters:
        if letter.identity in sent_before:
            letters.settle(letters.keep(letter))
            settled.sent_before += 1
        else:
            yield letter


class _Chunk:
    """Letters whose events are on their way."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._bytes = 0

    def add(self, kept: Any, size: int) -> None:
        self.kept.append(kept)
        self._bytes += size

    @property
    def is_full(self) -> bool:
        return len(self.kept) >= _CHUNK or self._bytes >= _CHUNK_BYTES

    def clear(self) -> None:
        self.kept.clear()
        self._bytes = 0
