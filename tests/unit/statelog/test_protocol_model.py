"""Histories of starts, pauses, crashes and late sends against the protocol's model, which must find planted bugs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pulsar_pipeline.errors import StateLogError
from tests.support.protocol import BUGS, EVENTS, Violation, World, serial

MAX_OWNERS = 5
which = st.integers(0, MAX_OWNERS - 1)
choices = st.lists(st.integers(0, 31), min_size=1, max_size=14)
some = st.integers(0, 4)

ALL, NONE = (1000, 1000), (0, 0)
arriving = st.sampled_from([ALL, ALL, (1000, 0), (0, 1000), NONE])
"""How many outputs and records arrive at each step: an owner's connections fail one by one."""


class Histories(RuleBasedStateMachine):
    """Any owner may run, stand still, or crash at any step; several may believe that the partition is theirs."""

    bugs: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.bugs)

    @precondition(lambda self: len(self.world.owners) < MAX_OWNERS)
    @rule(choices=choices, arriving=arriving)
    def start(self, choices, arriving):
        run(self.world.start(), choices, arriving)

    @precondition(lambda self: len(self.world.owners) < MAX_OWNERS - 1)
    @rule(choices=choices, rival_choices=choices)
    def start_two_at_once(self, choices, rival_choices):
        owners = self.world.start(), self.world.start()
        for owner in owners:
            run(owner, [0], NONE)
        for owner, steps in zip(owners, (choices, rival_choices), strict=True):
            run(owner, steps)

    @precondition(lambda self: self.world.owners)
    @rule(which=which, choices=choices, arriving=arriving)
    def run(self, which, choices, arriving):
        run(self._owner(which), choices, arriving)

    @precondition(lambda self: self.world.owners)
    @rule(which=which, outputs=some, records=some)
    def deliver(self, which, outputs, records):
        self._owner(which).deliver(outputs, records)

    @precondition(lambda self: self.world.owners)
    @rule(which=which, outputs=some, records=some)
    def crash(self, which, outputs, records):
        owner = self._owner(which)
        owner.deliver(outputs, records)
        owner.crash()

    @invariant()
    def what_counts_is_that_of_a_serial_run(self):
        self.world.check()

    def teardown(self):
        """A last owner, left in peace, finishes; then all that is still under way arrives."""
        last = self.world.start()
        for choice in range(600):
            if last.idle:
                break
            run(last, [choice])
        assert last.idle
        self.world.check_complete()
        for owner in self.world.owners:
            run(owner, range(40))
        self.world.check_complete()

    def _owner(self, which):
        return self.world.owners[-1 - which % len(self.world.owners)]


def run(owner, choices, arriving=ALL):
    """Some steps of an owner, of whose sends so many arrive at each."""
    for choice in choices:
        owner.deliver(*arriving)
        owner.advance(choice)
    owner.deliver(*arriving)


def explore(bugs: frozenset[str], examples: int) -> None:
    machine = type("Histories", (Histories,), {"bugs": bugs})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_protocol_holds_in_every_history():
    explore(frozenset(), 200)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug):
    with pytest.raises((Violation, StateLogError)):
        explore(frozenset({bug}), 4000)


def test_the_models_function_tells_orders_apart():
    ends = {tuple(serial(order)[1]) for order in ([0, 0, 1], [0, 1, 0], [1, 0, 0])}
    assert len(ends) == 3
    _, outputs, taken = serial([0] * EVENTS[0] + [1] * EVENTS[1])
    assert tuple(taken) == EVENTS
    assert len(outputs) == len(set(outputs))
