from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.apply.execute import check_deletes, execute
from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.cluster.state import ClusterRecord, NamespaceName, TenantInfo
from pulsar_pipeline.errors import ClusterUnreachable, PipelineError, PlanError
from pulsar_pipeline.plan.steps import LeaveCluster, Plan, RegisterCluster, SetTenant, Step

RECORD = ClusterRecord("http://east", None, "pulsar://east", None)
INFO = TenantInfo(frozenset(), frozenset({"west"}))
STEPS: tuple[Step, ...] = (
    RegisterCluster("west", "east", None, RECORD),
    SetTenant("west", "acme", None, INFO),
    SetTenant("west", "other", None, INFO),
)


def test_every_step_is_told_right_after_it() -> None:
    cluster = FakeCluster("west")
    told: list[tuple[Step, PipelineError | None]] = []
    outcome = execute(Plan(("acme",), STEPS), {"west": cluster}, lambda step, error: told.append((step, error)))
    assert outcome.done == STEPS
    assert outcome.remaining == ()
    assert told == [(step, None) for step in STEPS]
    assert cluster.tenant("acme") == INFO


def test_the_first_failure_stops_and_says_what_remains() -> None:
    cluster = FakeCluster("west")
    cluster.writes_left = 1
    told: list[PipelineError | None] = []
    outcome = execute(Plan(("acme",), STEPS), {"west": cluster}, lambda step, error: told.append(error))
    assert outcome.done == STEPS[:1]
    assert outcome.remaining == STEPS[1:]
    assert isinstance(outcome.error, ClusterUnreachable)
    assert [type(error) for error in told] == [type(None), ClusterUnreachable]


def test_deletion_needs_the_word() -> None:
    step = LeaveCluster("east", NamespaceName("acme", "a"), frozenset({"west", "east"}), frozenset({"west"}), 3)
    plan = Plan(("acme",), (*STEPS, step))
    with pytest.raises(PlanError, match="deletes 3 topics of acme/a in east") as caught:
        check_deletes(plan, allow_delete=False)
    assert "--allow-delete" in (caught.value.mend or "")
    check_deletes(plan, allow_delete=True)
    check_deletes(Plan(("acme",), STEPS), allow_delete=False)
    assert plan.deletes == (step,)


def test_a_bug_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        execute(Plan(("acme",), STEPS), {}, lambda step, error: None)
