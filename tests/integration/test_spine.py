"""The whole job on two real clusters: declared, applied, deployed, learning, served from both, through faults."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pulsar_pipeline.local import processes
from pulsar_pipeline.spec.model import Platform
from tests.support.remove import remove_tenant
from tests.support.scenario import LATER_READINGS, READINGS, Provider, run_scenario

pytestmark = pytest.mark.cluster


def local(platform_file: Path) -> Provider:
    """Clusters on this machine: their instances are processes of it."""
    return Provider(
        platform_file=platform_file,
        function_tokens=platform_file.parent / "secrets" / "functions",
        instances=_instances,
        kill=lambda pid: os.kill(pid, signal.SIGKILL),
    )


def _instances(tenant: str) -> list[int]:
    return [
        process.pid
        for process in processes.everything()
        if "runtime/main.py" in process.command and f'"tenant":"{tenant}"' in process.command
    ]


def test_from_a_spec_to_the_same_predictions_from_both_clusters(
    platform_file: Path, platform: Platform, tmp_path: Path, unique: str
) -> None:
    name = f"spine-{unique}"
    try:
        found = run_scenario(local(platform_file), tmp_path, name)
    finally:
        remove_tenant(platform, name)

    assert found.planned > 0
    assert found.deploy_steps == ["registered", "unchanged"]

    assert found.predictions["west"] == found.predictions["east"]
    last = {entity: prediction["reading_id"] for entity, prediction in found.predictions["west"].items()}
    assert last == found.expected
    risks = [prediction["risk"] for prediction in found.predictions["west"].values()]
    assert all(0 <= risk <= 1 for risk in risks)
    assert len(set(risks)) > 1, "the machines are not alike"
    assert any(prediction["learned"] > 0 for prediction in found.predictions["west"].values())

    assert found.stats["total"]["received"] == found.stats["total"]["processed"] == 2 * READINGS
    assert found.stats["total"]["user_failures"] == found.stats["total"]["system_failures"] == 0
    qualities = [instance["metrics"]["roc_auc"] for instance in found.stats["instances"]]
    assert len(qualities) == 2
    assert all(0 < quality <= 1 for quality in qualities)

    assert found.status["state"] == "running"
    assert [instance["running"] for instance in found.status["instances"]] == [True, True]
    assert sum(instance["received"] for instance in found.status["instances"]) == 2 * READINGS

    assert (found.report["sent"], found.report["left_out"]) == (2, 3)
    assert [each["line"] for each in found.report["rejects"]] == [2, 3, 4]
    assert "torque_nm" in found.report["rejects"][0]["reason"]
    assert "line 2: " in found.told_rejects

    assert found.after_kills["west"] == found.after_kills["east"]
    last = {entity: prediction["reading_id"] for entity, prediction in found.after_kills["west"].items()}
    assert last == found.expected_after_kills
    assert max(last.values()) == READINGS + LATER_READINGS, "the last of all"
    assert sum(instance["restarts"] for instance in found.status_after_kills["instances"]) == 1
