"""Which outputs of a partition count: the one rule that views and recovery share. Pure.

Read in the topic's order, per partition:

    made by an older incarnation than the newest seen        OLD        drop: a paused or cut-off owner's late output
    a newer incarnation's marker                             MARKER     moves the incarnation, is no output
    a seq that has passed, or a marker seen before           REPEATED   drop: made again after a crash, or sent twice
    the next seq                                             TAKE
    a later seq, or a newer incarnation without its marker   GAP        a message of the topic is missing: an error

Why it is right: an owner reads the outputs up to its own marker before it makes any, so it knows every seq that counts
up to there; what an older incarnation sends behind the marker counts for nobody, and is made again by the owner.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pulsar_pipeline.statelog.stamp import Marker, Stamp

UNKNOWN = -1
"""A lineage's `seq` where reading began in the middle: the next output counts, whatever its seq."""


class Lineage(NamedTuple):
    """How far a partition's outputs have come: the newest incarnation seen, and the last seq that counts.

    `Lineage()` stands before the first output there ever was.
    """

    epoch: int = 0
    incarnation: int = 0
    seq: int = 0


ANYWHERE = Lineage(0, 0, UNKNOWN)
"""Where reading begins at an unknown place, for example at the start of a topic whose first messages are gone."""


class Verdict(Enum):
    """What is to be done with a message; see the top of this file."""

    TAKE = "take"
    MARKER = "marker"
    OLD = "old"
    REPEATED = "repeated"
    GAP = "gap"


def judge(lineage: Lineage, message: Stamp | Marker) -> tuple[Verdict, Lineage]:
    """The message's verdict and the lineage after it. A GAP moves the lineage on too, for who goes on all the same."""
    epoch, incarnation, seq = lineage
    made_by, newest = message[:2], (epoch, incarnation)
    if made_by < newest:
        return Verdict.OLD, lineage
    if isinstance(message, Marker):
        if made_by == newest:
            return Verdict.REPEATED, lineage
        return Verdict.MARKER, Lineage(*made_by, seq)
    after = Lineage(*made_by, max(seq, message.seq))
    if seq == UNKNOWN:
        return Verdict.TAKE, after
    if message.seq <= seq:
        return Verdict.REPEATED, after
    follows = message.seq == seq + 1 and made_by == newest
    return (Verdict.TAKE if follows else Verdict.GAP), after
