from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from pulsar_pipeline.apply.audit import Audit, audit_file, role_of
from pulsar_pipeline.apply.execute import Outcome
from pulsar_pipeline.cluster.state import TenantInfo
from pulsar_pipeline.errors import ClusterUnreachable, PlanError
from pulsar_pipeline.plan.explain import digest
from pulsar_pipeline.plan.steps import Plan, SetTenant
from pulsar_pipeline.spec.model import Cluster

STEP = SetTenant("west", "acme", None, TenantInfo(frozenset({"acme-admin"}), frozenset({"west"})))
PLAN = Plan(("acme",), (STEP, STEP))


class FixedClock:
    def now_ms(self) -> int:
        return 1_700_000_000_123

    def monotonic(self) -> float:
        return 0.0


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_apply_is_written_down_step_by_step(tmp_path: Path) -> None:
    path = audit_file(tmp_path / "platform.yaml")
    audit = Audit(path, FixedClock())
    error = ClusterUnreachable("no answer", where="cluster west")
    audit.start(PLAN, {"west": "admin"})
    audit.step(STEP, None)
    audit.step(STEP, error)
    audit.end(Outcome((STEP,), (STEP,), error))
    start, done, failed, end = lines(path)
    assert (start["event"], start["roles"], start["steps"]) == ("apply", {"west": "admin"}, 2)
    assert start["plan"] == digest(PLAN)
    assert start["at"] == "2023-11-14T22:13:20.123+00:00"
    assert start["user"]
    assert (done["number"], done["outcome"], done["step"]["object"]) == (1, "done", "acme")
    assert (failed["outcome"], failed["error"]) == ("failed", "cluster west: no answer")
    assert (end["done"], end["remaining"]) == (1, 1)
    assert {entry["id"] for entry in (start, done, failed, end)} == {start["id"]}


def test_applies_are_appended(tmp_path: Path) -> None:
    for _ in range(2):
        Audit(tmp_path / "apply.jsonl", FixedClock()).start(PLAN, {})
    first, second = lines(tmp_path / "apply.jsonl")
    assert first["id"] != second["id"]


def test_without_a_record_nothing_is_applied(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(PlanError, match="cannot write the audit record"):
        Audit(audit_file(tmp_path / "platform.yaml"), FixedClock()).start(PLAN, {})


def cluster(token_file: Path | None, **more: Any) -> Cluster:
    auth = {"token_file": token_file} if token_file else None
    return Cluster.model_validate({"admin_url": "http://w", "broker_url": "pulsar://w", "auth": auth, **more})


def test_the_role_comes_from_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(jwt.encode({"sub": "admin", "role": "boss"}, "k" * 32))
    assert role_of(cluster(token)) == "admin"
    assert role_of(cluster(token, tokens={"secret_key_file": "key", "role_claim": "role"})) == "boss"
    token.write_text("opaque")
    assert role_of(cluster(token)) is None
    assert role_of(cluster(None)) is None
