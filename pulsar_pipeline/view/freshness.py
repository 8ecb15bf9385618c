"""How old a view's answers are. Pure.

*Complete until* T, for a partition: every message that this cluster's partition held at the time T has been taken
into the view. The materialiser knows such times from two sources:

- It asked the broker at T whether there is more than it has taken, and there was not (*caught up*).
- It took a message published at T while more were waiting: what stood before that message was there no later than T
  and has been taken. (This one compares a producer's clock with ours; a skew between them is in the lag as well.)

The lag of a partition is 0 when it was caught up within the last second (FRESH_MS; the materialiser asks about twice
a second), else the age of the latest known T. The lag of a view is that of its oldest partition. So a lag of L ms
means: whatever the output topic held in this cluster L ms before the answer (for 0: a second before) is in it.
Messages still on their way from another cluster are not known here and not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

FRESH_MS = 1000


class PartitionFreshness(Protocol):
    """What is known of one partition."""

    @property
    def complete_until_ms(self) -> int: ...
    @property
    def caught_up(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is known of a view at one moment; times are milliseconds since the epoch."""

    ready: bool
    """Every partition has been caught up with once since the view was built."""
    caught_up_ms: int | None
    """The oldest complete-until among the partitions that are caught up; None where there is none."""
    behind_ms: int | None
    """The oldest complete-until among the partitions that are not; None where there is none."""

    def lag_ms(self, now_ms: int) -> int:
        """Lag in milliseconds, as defined above."""
        caught_up = 0 if self.caught_up_ms is None else now_ms - self.caught_up_ms
        behind = 0 if self.behind_ms is None else now_ms - self.behind_ms
        return max(0, behind, caught_up if caught_up > FRESH_MS else 0)


UNKNOWN = Freshness(ready=False, caught_up_ms=None, behind_ms=0)
"""Of a view that is not there yet."""


def freshness_of(ready: bool, partitions: Iterable[PartitionFreshness]) -> Freshness:
    """A view's freshness from its partitions'."""
    known = list(partitions)
    if not known:
        return UNKNOWN
    caught_up = [partition.complete_until_ms for partition in known if partition.caught_up]
    behind = [partition.complete_until_ms for partition in known if not partition.caught_up]
    return Freshness(ready, min(caught_up, default=None), min(behind, default=None))
