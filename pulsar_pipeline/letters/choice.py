"""Which of the waiting letters are meant, and which of them are the same event set aside twice. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pulsar_pipeline.letters.letter import Letter, LetterPosition

_REMEMBERED = 50_000
"""Letters of a partition among which a second one of the same event is known for what it is. An instance that crashes
sets the same events aside again, right behind the first time."""


@dataclass(frozen=True)
class Choice:
    """These positions; or all of a reason, of any reason (None)."""

    positions: frozenset[LetterPosition] = frozenset()
    reason: str | None = None

    def takes(self, letter: Letter) -> bool:
        if self.positions:
            return letter.position in self.positions
        return self.reason is None or letter.reason == self.reason

    def partitions(self, all_partitions: Iterable[int]) -> list[int]:
        """Where there may be letters that are meant."""
        wanted = {position.partition for position in self.positions}
        return [partition for partition in all_partitions if not wanted or partition in wanted]


def chosen(letters: Iterable[Letter], choice: Choice) -> Iterator[tuple[Letter, bool]]:
    """Letters of one partition, in its order → those that are meant, each with whether the event came before.

    A letter is meant, too, when the first one of the same event was.
    """
    seen: OrderedDict[tuple[str, str], bool] = OrderedDict()
    for letter in letters:
        taken_before = seen.get(letter.identity) if letter.source_position else None
        if taken_before is not None:
            if taken_before:
                yield letter, True
            continue
        takes = choice.takes(letter)
        seen[letter.identity] = takes
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        if takes:
            yield letter, False


@dataclass
class Survey:
    """What a choice comes to."""

    events: int = 0
    doubles: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    """Topic (without partition) → events from it."""
    found: set[LetterPosition] = field(default_factory=set)
    """Of positions that were asked for."""

    def add(self, letter: Letter, *, double: bool, choice: Choice) -> None:
        if letter.position in choice.positions:
            self.found.add(letter.position)
        if double:
            self.doubles += 1
            return
        self.events += 1
        self.reasons[letter.reason or "unknown"] += 1
        self.topics[letter.source_topic.rpartition("-partition-")[0] or letter.source_topic] += 1
