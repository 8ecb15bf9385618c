"""What the keys of a partition's state stand for: the first two characters tell. Pure."""

from __future__ import annotations

from enum import Enum

from pulsar_pipeline.online.state import COUNTER, OBJECT, VALUE
from pulsar_pipeline.runtime.guarantees.outbox import SPACE as OUTBOX
from pulsar_pipeline.runtime.guarantees.partition_state import LINEAGE, NUMBERING, TIMER


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
    VALUE: Kind.BYTES,
    COUNTER: Kind.COUNTER,
    OBJECT: Kind.OBJECT,
    TIMER: Kind.TIMER,
    LINEAGE: Kind.LINEAGE,
    OUTBOX: Kind.OUTBOX,
    NUMBERING: Kind.NUMBERING,
}

BOOKKEEPING = frozenset({Kind.LINEAGE, Kind.OUTBOX, Kind.NUMBERING})
"""What belongs to a partition's positions in its inputs and outputs, not to what the function has learned."""


def kind_of(key: str) -> Kind:
    """Of a key as the state log has it."""
    return PREFIXES.get(key[:2], Kind.OTHER)


def name_of(key: str) -> str:
    """A key as the function has it."""
    return key[2:] if key[:2] in PREFIXES else key
