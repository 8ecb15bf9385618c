"""The functions that the fault tests run on real clusters, through crashes without one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.testing import Event, check_recovery
from tests.support.tiny_functions import write_function

FUNCTIONS = Path(__file__).resolve().parents[2] / "support" / "functions"


def ledger_events(count: int) -> list[Event]:
    """Deposits to three accounts, and a rule now and then."""
    chance = random.Random(1)
    events = []
    for n in range(count):
        account = chance.choice("abc")
        record: dict[str, Any] = {"account": account, "n": n}
        rule = chance.random() < 0.2
        events.append(Event("rules", record) if rule else Event("deposits", record, account))
    return events


@pytest.mark.parametrize("commit_every", [1, 3, 100])
def test_the_ledger(commit_every: int) -> None:
    results = check_recovery(FUNCTIONS / "ledger", ledger_events(30), commit_every=commit_every)
    assert len(results.outputs) > 5
    assert any(key.startswith("o:") for key in results.state)


def test_the_ledger_on_several_partitions() -> None:
    assert len(check_recovery(FUNCTIONS / "ledger", ledger_events(30), partitions=2, most=10).states) == 2


def test_the_counter_with_failing_events() -> None:
    events = [Event("events", {"id": str(n), "n": n}) for n in range(12)]
    results = check_recovery(FUNCTIONS / "counter", events, {"fail_every": 4}, secrets={"password": "x"})
    assert [error.event for error in results.errors] == [0, 4, 8]


def test_a_tiny_function(tmp_path: Path) -> None:
    events = [Event("readings", {"id": str(n), "value": n}, event_time_ms=n) for n in range(10)]
    assert len(check_recovery(write_function(tmp_path), events).outputs) == 10
