from __future__ import annotations

import json

import pytest

from pulsar_pipeline.apply.execute import Outcome
from pulsar_pipeline.cli.apply import report
from pulsar_pipeline.cluster.state import TenantInfo
from pulsar_pipeline.errors import ClusterUnreachable
from pulsar_pipeline.plan.steps import Plan, SetTenant

STEP = SetTenant("west", "acme", None, TenantInfo(frozenset(), frozenset({"west"})))
PLAN = Plan(("acme",), (STEP, STEP, STEP))


def test_a_cut_apply_says_what_is_done_what_remains_and_how_to_go_on() -> None:
    error = ClusterUnreachable("no answer", where="cluster west", mend="is the cluster up?")
    with pytest.raises(ClusterUnreachable) as caught:
        report(PLAN, Outcome((STEP,), (STEP, STEP), error), as_json=False)
    assert caught.value.where == "cluster west"
    assert caught.value.mend == "is the cluster up? 1 of 3 steps done, 2 remain: run apply again to go on"


def test_a_whole_apply_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    report(PLAN, Outcome(PLAN.steps, (), None), as_json=False)
    assert capsys.readouterr().out == "Applied: 3 steps.\n"
    report(PLAN, Outcome(PLAN.steps, (), None), as_json=True)
    assert json.loads(capsys.readouterr().out)["applied"] == 3
