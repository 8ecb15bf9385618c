"""What the keys of a partition's state stand for: the first two characters tell. Pure."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """A kind of state; the value is what people are told."""

    BYTES = "bytes"
    """Of `put_state`."""
    COUNTER = "counter"
    OBJECT = "object"
    """A live object, pickled: what `Models` and windows keep."""
    TIMER = "timer"
    LINEAGE = "lineage"
    """How far an input that another deployment writes has come."""
    OUTBOX = "outbox"
    """Messages to other topics that wait for their commit."""
    NUMBERING = "numbering"
    """The number of the next setting of a timer."""
    OTHER = "other"


PREFIXES = {
    "v:": Kind.BYTES,
    "c:": Kind.COUNTER,
    "o:": Kind.OBJECT,
    "t:": Kind.TIMER,
    "l:": Kind.LINEAGE,
    "b:": Kind.OUTBOX,
    "n:": Kind.NUMBERING,
}

BOOKKEEPING = frozenset({Kind.LINEAGE, Kind.OUTBOX, Kind.NUMBERING})
"""What belongs to a partition's positions in its inputs and outputs, not to what the function has learned."""


def kind_of(key: str) -> Kind:
    """Of a key as the state log has it."""
    return PREFIXES.get(key[:2], Kind.OTHER)


def name_of(key: str) -> str:
    """A key as the function has it."""
    return key[2:] if key[:2] in PREFIXES else key
