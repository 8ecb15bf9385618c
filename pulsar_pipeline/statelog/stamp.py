"""The one property that every output of an exactly-once deployment carries. Pure.

    EPOCH.INCARNATION:SEQ          an output, "1.3:57"
    EPOCH.INCARNATION:SEQ:RUNS     the same from a function of several inputs, "1.3:57:a2b1" (see runs.py)
    EPOCH.INCARNATION:m:NONCE      a marker, "1.3:m:9f0c": from here on the incarnation's outputs may follow

A stamp has one text only; anything else is not a stamp.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PROPERTY = "pp"
"""Name of the message property."""


class Stamp(NamedTuple):
    """Which output this is of its partition. `seq` starts at 1 and grows by one with each, across incarnations."""

    epoch: int
    incarnation: int
    seq: int
    runs: str = ""


class Marker(NamedTuple):
    """Opens an incarnation in the output topic. `nonce` is that of its claim: letters and digits."""

    epoch: int
    incarnation: int
    nonce: str


def stamp_prefix(epoch: int, incarnation: int) -> str:
    """What all stamps of an incarnation begin with; the seq follows, and then `:RUNS` if there are any."""
    return f"{epoch}.{incarnation}:"


def stamp_text(epoch: int, incarnation: int, seq: int, runs: str = "") -> str:
    """The text of an output's stamp. Nothing is checked."""
    text = f"{stamp_prefix(epoch, incarnation)}{seq}"
    return f"{text}:{runs}" if runs else text


def marker_text(epoch: int, incarnation: int, nonce: str) -> str:
    """The text of a marker."""
    return f"{epoch}.{incarnation}:m:{nonce}"


_NUMBER = r"0|[1-9][0-9]{0,17}"  # fits in 64 bits
_COUNT = r"[1-9][0-9]{0,17}"
_match = re.compile(
    rf"({_NUMBER})\.({_NUMBER}):(?:({_COUNT})(?::((?:[a-z]{_COUNT})+))?|m:([0-9A-Za-z]+))", re.ASCII
).fullmatch


def parse(text: str) -> Stamp | Marker:
    """What a text says. Raises ValueError for any text that neither `stamp_text` nor `marker_text` gives."""
    found = _match(text)
    if found is None:
        raise ValueError(f"not a stamp: {text[:100]!r}")
    epoch, incarnation, seq, runs, nonce = found.groups()
    if nonce is not None:
        return Marker(int(epoch), int(incarnation), nonce)
    return Stamp(int(epoch), int(incarnation), int(seq), runs or "")
