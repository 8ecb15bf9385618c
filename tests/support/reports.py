"""What histories of faults tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.support.checker import Verified

ENDS_WITHIN_S = 1.0
"""After it is resumed, a replaced instance has ended."""
STALLS = 20
"""So many turns it may have to wait for on a busy machine until then."""


@dataclass(frozen=True)
class Late:
    """How long an instance went on after it was resumed, replaced; and the longest stall of this machine meanwhile."""

    seconds: float
    stall: float
    disturbed: bool
    """It could not reach the broker, or was cut off from it once more, before it ended."""

    @property
    def too_late(self) -> bool:
        return not self.disturbed and self.seconds > ENDS_WITHIN_S + STALLS * self.stall

    def __str__(self) -> str:
        return f"{self.seconds:.2f} ({'disturbed' if self.disturbed else f'stalls to {self.stall:.2f}'})"


@dataclass
class Report:
    """What happened in a history."""

    seed: int
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    """Exit code → how many; -9 are our kills."""
    late: list[Late] = field(default_factory=list)
    """Of instances that were resumed after they had been replaced."""
    seconds: float = 0.0
    verified: list[Verified] = field(default_factory=list)

    def __str__(self) -> str:
        verdicts = sum((each.verdicts for each in self.verified), Counter())
        fed = sum((each.fed for each in self.verified), Counter())
        late = f", replaced ones ended after {', '.join(map(str, self.late))} s" if self.late else ""
        return (
            f"seed {self.seed}: {self.events} events in {self.seconds:.1f} s; {dict(self.faults)}; exits"
            f" {dict(self.exits)}{late}; outputs { {v.value: n for v, n in verdicts.items()} },"
            f" published {sum(each.told for each in self.verified)},"
            f" failed {sum(each.failed for each in self.verified)},"
            f" log { {f.value: n for f, n in fed.items()} }"
        )
