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
from tests.support.ground import Ground
from tests.support.histories import History, Plan, seed_of

pytestmark = pytest.mark.cluster

Make = Callable[[str, list[str]], Ground]

HISTORIES = int(os.environ.get("PULSAR_PIPELINE_HISTORIES", "12"))
SOAK = HISTORIES > 12
GROUP = 12
"""Histories that share a tenant."""

SHORT = Plan(seconds=4.5)
LONG = Plan(seconds=20, pauses_s=(0.3, 2, 6, 12), ousts_s=(1.5, 6, 12), cuts_s=(0.2, 1, 6))
PAUSED_LONG = Plan(seconds=90, pauses_s=(35, 70), ousts_s=(35, 70), between_s=(2, 8), events_per_s=500)
"""For longer than any of the client's and the broker's time limits."""
KILLED = Plan(seconds=7, between_s=(0.5, 2.5), first=("broker_killed",))
RESTARTED = Plan(seconds=7, between_s=(0.5, 2.5), first=("broker_restarted",))
"""Of the broker; on a cluster of their own."""

PLANS = (*(50 * [SHORT]), *(30 * [LONG]), *(5 * [PAUSED_LONG]), *(8 * [KILLED]), *(7 * [RESTARTED]))
"""By a seed's last two digits."""


def seed(number: int) -> int:
    """Of a history; without a soak two of them restart the broker, and none takes long."""
    if SOAK:
        return seed_of(number)
    return seed_of(number, PLANS.index({10: KILLED, 11: RESTARTED}.get(number, SHORT)))


def entry(rng: random.Random) -> dict[str, object]:
    """The product's own entry, or commits and checkpoints that come much more often."""
    if rng.random() < 0.5:
        return {}
    environment = planted.environment(commit_every_s=0.02, checkpoint_bytes=rng.choice((1, 20_000)), max_batch=100)
    return {"entry": ENTRY, "environment": environment}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(HISTORIES))
def test_after_any_history_all_is_as_if_every_event_came_once(request: pytest.FixtureRequest, number: int) -> None:
    drawn_from = seed(number)
    rng = random.Random(drawn_from)
    drawn = PLANS[drawn_from % 100]
    ground: Make = request.getfixturevalue("shaky_ground" if drawn.first else "ground")
    first, last = (number, number + 1) if drawn.first else (number - number % GROUP, number - number % GROUP + GROUP)
    at = ground(f"hist{first}", [f"h{each}" for each in range(first, last)])
    faults = replace(drawn, faults=rng.choice((Plan().faults, (*Plan().faults, "change"))))
    history = History(at, f"h{number}", drawn_from, faults, **entry(rng))
    try:
        report = history.run()
    except Exception as error:
        error.add_note(f"PULSAR_PIPELINE_SEED={drawn_from} PULSAR_PIPELINE_HISTORIES=1; {history.report}")
        raise
    sys.stdout.write(f"{report}\n")
    assert report.verified
    assert not [late for late in report.late if late.too_late], report
