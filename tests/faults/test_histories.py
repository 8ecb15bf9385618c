"""Random histories of faults while events flow; afterwards all is as if each event had been processed once, in order.

A failure names its seed: `PULSAR_PIPELINE_SEED=… PULSAR_PIPELINE_HISTORIES=1` throws the same faults again.
`make soak` runs many.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support import planted
from tests.support.directed import ENTRY
from tests.support.histories import Ground, History, Plan, seed_of

pytestmark = pytest.mark.cluster

HISTORIES = int(os.environ.get("PULSAR_PIPELINE_HISTORIES", "12"))
SOAK = HISTORIES > 12
GROUP = 12
"""Histories that share a tenant."""

SHORT = Plan()
LONG = Plan(seconds=20, pauses_s=(0.3, 2, 6, 12), cuts_s=(0.2, 1, 6))
PAUSED_LONG = Plan(seconds=90, pauses_s=(35, 70), between_s=(2, 8), events_per_s=500)
"""For longer than any of the client's and the broker's time limits."""

ENDS_WITHIN_S = 5.0
"""A replaced instance ends within a second on a quiet machine; here others start beside it."""


def plan(rng: random.Random) -> Plan:
    if not SOAK:
        return SHORT
    return rng.choices((SHORT, LONG, PAUSED_LONG), (60, 35, 5))[0]


def entry(rng: random.Random) -> dict[str, object]:
    """The product's own entry, or commits and checkpoints that come much more often."""
    if rng.random() < 0.5:
        return {}
    environment = planted.environment(commit_every_s=0.02, checkpoint_bytes=rng.choice((1, 20_000)), max_batch=100)
    return {"entry": ENTRY, "environment": environment}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(HISTORIES))
def test_after_any_history_all_is_as_if_every_event_came_once(
    ground: Callable[[str, list[str]], Ground], number: int
) -> None:
    seed = seed_of(number)
    rng = random.Random(seed)
    first = number - number % GROUP
    at = ground(f"hist{first}", [f"h{each}" for each in range(first, first + GROUP)])
    faults = replace(plan(rng), faults=rng.choice((Plan().faults, (*Plan().faults, "change"))))
    history = History(at, f"h{number}", seed, faults, **entry(rng))
    try:
        report = history.run()
    except Exception as error:
        error.add_note(f"PULSAR_PIPELINE_SEED={seed} PULSAR_PIPELINE_HISTORIES=1; {history.report}")
        raise
    sys.stdout.write(f"{report}\n")
    assert report.verified
    assert max(report.late, default=0.0) < ENDS_WITHIN_S, report
