"""Each directed scene is right with the runtime as it is, and each bug planted into it is found."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pulsar_pipeline.statelog.lineage import Lineage, Verdict
from pulsar_pipeline.statelog.stamp import Marker, Stamp
from tests.support import checker
from tests.support.bugs import BUGS
from tests.support.checker import Wrong
from tests.support.directed import SCENES, stage
from tests.support.ground import Ground

pytestmark = pytest.mark.cluster

FOUND_BY = {
    "ack before commit": "killed_twice",
    "seq not restored": "killed_twice",
    "positions not restored": "killed_twice",
    "state not restored": "killed_twice",
    "order not replayed": "killed_twice",
    "runs not restored": "handed_over",
    "tail not read": "killed_twice",
    "tail by the commits incarnation": "killed_twice",
    "no marker": "killed_twice",
    "claim not checked": "cut_off",
    "claim not won": "handed_over",
    "commit not read back": "cut_off",
    "commits of any claim": "cut_off",
    "initial sequence id left out": "first_outputs_lost",
    "outputs not flushed": "killed_at_commits",
    "published before the commit": "killed_with_outputs_in_hand",
    "numbers not restored": "killed_twice",
    "forgotten before stored": "killed_before_delivery",
    "producer name not fixed": "killed_twice",
    "partition by chance": "killed_twice",
    "dead letters past the outbox": "killed_twice",
    "not taken back": "killed_at_commits",
}
TRIES = 10
"""What a bug does depends on what was on its way at the moment; a second try is seldom needed."""
GROUP = 12
"""Deployments that share a tenant."""

Fresh = Callable[[], tuple[Ground, str]]


@pytest.fixture(scope="module")
def fresh(ground: Callable[[str, list[str]], Ground]) -> Fresh:
    """Gives a deployment that nothing has happened to yet."""
    numbers = itertools.count()

    def fresh() -> tuple[Ground, str]:
        group, number = divmod(next(numbers), GROUP)
        return ground(f"planted{group}", [f"d{each}" for each in range(GROUP)]), f"d{number}"

    return fresh


def find(fresh: Fresh, scene: str, *bugs: str) -> str:
    """What the scene finds wrong, and in which try."""
    for number in range(1, TRIES + 1):
        with stage(*fresh(), *bugs, settle_s=6.0, patience=1.0) as on:
            try:
                SCENES[scene](on)
            except Wrong as wrong:
                return f"try {number}: {wrong}"
    raise AssertionError(f"not found in {TRIES} tries")


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_found_in_the_runtime_as_it_is(fresh: Fresh, scene: str) -> None:
    with stage(*fresh()) as on:
        verified = SCENES[scene](on)
    assert all(partition.events for partition in verified)


@pytest.mark.parametrize("bug", FOUND_BY)
def test_a_planted_bug_is_found(fresh: Fresh, bug: str) -> None:
    sys.stdout.write(f"{bug}: {find(fresh, FOUND_BY[bug], bug)}\n")


def test_every_bug_is_looked_for() -> None:
    assert FOUND_BY.keys() == BUGS.keys()


def test_a_view_that_ignores_markers_is_found(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_seq_alone(lineage: Lineage, message: Any) -> tuple[Verdict, Lineage]:
        if isinstance(message, Marker):
            return Verdict.MARKER, lineage
        assert isinstance(message, Stamp)
        if message.seq <= lineage.seq:
            return Verdict.REPEATED, lineage
        verdict = Verdict.TAKE if message.seq == lineage.seq + 1 else Verdict.GAP
        return verdict, lineage._replace(seq=message.seq)

    monkeypatch.setattr(checker, "judge", by_seq_alone)
    sys.stdout.write(f"marker ignored: {find(fresh, 'cut_off')}\n")
