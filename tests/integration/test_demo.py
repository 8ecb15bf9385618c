"""The demo as a stranger runs it: from nothing to predictions, once more over what stands, and all of it down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pulsar_pipeline.local import processes
from tests.support.project import REPOSITORY
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

ROWS = 400
_TIMEOUT_S = 400


class Demo:
    """`pulsar-pipeline demo`, run in a folder that has nothing to do with the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local = folder / "local"

    def run(self, *arguments: str) -> str:
        """Its standard output; fails unless it exits with 0."""
        done = subprocess.run(
            [sys.executable, "-m", "pulsar_pipeline.cli", "demo", *arguments],
            cwd=self.folder,
            env=os.environ | self._settings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def processes(self) -> dict[int, str]:
        """All that runs of it: every command line names its folder."""
        return {each.pid: each.command for each in processes.everything() if str(self.local) in each.command}

    def _settings(self) -> dict[str, str]:
        places = {
            "LOCAL": self.local,
            "PLATFORM": self.local / "platform.yaml",
            "TENANTS": REPOSITORY / "tenants",
            "FUNCTIONS": REPOSITORY / "functions",
        }
        return {f"PULSAR_PIPELINE_{name}": str(path) for name, path in places.items()}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    try:
        yield demo
    finally:
        for pid in demo.processes():
            processes.signal_one(pid, signal.SIGKILL)


@pytest.mark.timeout(1000)
def test_the_demo_from_nothing_and_again_and_down(demo: Demo) -> None:
    first = json.loads(demo.run("--rows", str(ROWS), "--json"))
    _check(first)
    running = demo.processes()
    assert len([command for command in running.values() if "java.args" in command]) == 2
    assert len([command for command in running.values() if "runtime/main.py" in command]) == 2
    _check_by_hand(demo, first)

    second = json.loads(demo.run("--rows", str(ROWS), "--json"))
    _check(second)
    assert second["urls"] == first["urls"]
    assert demo.processes().keys() == running.keys(), "what stands is used again"

    demo.run("--down")
    wait_until(lambda: not demo.processes(), 10, "nothing is left running")
    for url in first["urls"].values():
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz", trust_env=False)
    assert (demo.local / "clusters" / "west" / "data").is_dir(), "data stay"


def _check(results: dict[str, Any]) -> None:
    assert results["equal"] is True
    west, east = (results["predictions"][cluster] for cluster in ("west", "east"))
    assert west.keys() == east.keys()
    assert len(west) >= 4
    assert all(west[entity]["prediction"] == east[entity]["prediction"] for entity in west)
    assert max(each["prediction"]["reading_id"] for each in west.values()) == ROWS
    assert results["events"] == 2 * ROWS
    assert [each["failed"] for each in results["quality"]] == [0, 0]
    assert all(0 <= each["roc_auc"] <= 1 for each in results["quality"])
    assert results["end_to_end_ms"]["p50"] > 0
    for latency in (results["end_to_end_ms"], results["replication_ms"]["east"]):
        assert latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]


def _check_by_hand(demo: Demo, results: dict[str, Any]) -> None:
    """The files and URLs that the demo leaves are enough to go on with."""
    token = (demo.local / "secrets" / "acme-app.token").read_text().strip()
    entity, answer = next(iter(results["predictions"]["east"].items()))
    path = f"/v1/tenants/acme/models/failure-risk/predictions/{entity}"
    for url in results["urls"].values():
        asked = httpx.get(url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert asked.json()["prediction"] == answer["prediction"]
        assert httpx.get(url + path, trust_env=False).status_code == 401
