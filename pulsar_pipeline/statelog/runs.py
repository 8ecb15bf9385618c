"""The order in which events of several inputs were taken, as text: "a2b1" is two of the first input, one of the second.

Inputs are numbered by their sorted names. A timer that fired stands among them with the number of its setting: in
"a2z57b1" the timer 57. A function of one input without timers needs no runs. An output's stamp holds the events
since the previous output, the last being the one that made this output; an event's second output has empty runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_lowercase

_INPUTS, _TIMER = ascii_lowercase[:-1], ascii_lowercase[-1]

MAX_INPUTS = len(_INPUTS)
"""More inputs than this have no letter."""

_RUN = re.compile(r"([a-z])([1-9][0-9]*)", re.ASCII)


class Runs:
    """Takes down which input each event came from, and which timer fired. For one thread."""

    def __init__(self, text: str = "") -> None:
        """Go on from what `text` says. Raises ValueError where it is no runs."""
        runs = list(_parse(text))
        self._last, self._count = runs.pop() if runs else ("", 0)
        self._text = "".join(f"{letter}{count}" for letter, count in runs)

    def add(self, index: int) -> None:
        """An event of input `index` (from 0) was taken. Raises IndexError from MAX_INPUTS on."""
        letter = _INPUTS[index]
        if letter == self._last:
            self._count += 1
        else:
            self._begin(letter, 1)

    def add_timer(self, number: int) -> None:
        """A timer fired; its number is from 1 on."""
        self._begin(_TIMER, number)

    def _begin(self, letter: str, count: int) -> None:
        if self._count:
            self._text += f"{self._last}{self._count}"
        self._last, self._count = letter, count

    def text(self) -> str:
        """What was taken down since the start or the last `clear`."""
        return f"{self._text}{self._last}{self._count}" if self._count else ""

    def take(self) -> str:
        """What was taken down, which is then forgotten."""
        if not self._count:
            return ""
        text = self.text()
        self.clear()
        return text

    def clear(self) -> None:
        self._text, self._last, self._count = "", "", 0


def expand(text: str) -> Iterator[int]:
    """The input index of each event in turn, and for a timer its number below zero: -57. Raises ValueError where
    `text` is no runs."""
    for letter, count in _parse(text):
        if letter == _TIMER:
            yield -count
            continue
        index = _INPUTS.index(letter)
        for _ in range(count):
            yield index


def _parse(text: str) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(text):
        found = _RUN.match(text, at)
        if found is None:
            raise ValueError(f"not runs of inputs: {text[:100]!r}")
        yield found[1], int(found[2])
        at = found.end()
