"""`bench/runtime.py` on a real broker, with few events: it measures, tells, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.local import processes
from pulsar_pipeline.spec.model import Platform
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {"messages_per_s", "cpu_us_per_message", "p50_ms", "p99_ms", "rss_mb"}


@contextmanager
def benchmark(platform_file: Path, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The script, with all that it writes in `folder`."""
    command = [sys.executable, str(ROOT / "bench" / "runtime.py"), "--platform", str(platform_file), *options]
    with (folder / "told").open("w") as told:
        process = subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        processes.signal_group(process.pid, signal.SIGKILL)  # its own processes hold the pipe, too
        process.communicate()


def left_behind(folder: Path) -> list[str]:
    """Processes with the folder on their command line, and temporary folders."""
    running = [
        process.command for process in processes.everything() if str(folder / "bench-runtime") in process.command
    ]
    return running + [str(path) for path in folder.glob("bench-runtime-*")]


def tenants(platform: Platform) -> set[str]:
    name = next(iter(platform.clusters))
    with AdminHttp(name, platform.clusters[name]) as http:
        return {tenant for tenant in http.get("/admin/v2/tenants") if tenant.startswith("bench-")}


def test_everything_is_measured_and_told(platform_file: Path, platform: Platform, tmp_path: Path) -> None:
    before, out = tenants(platform), tmp_path / "out" / "runtime.json"
    counts = ["--messages", "3000", "--rate", "500", "--seconds", "2", "--partitions", "2"]
    with benchmark(platform_file, tmp_path, *counts, "--cases", "avro_logreg", "--parts", "--out", str(out)) as process:
        table, _ = process.communicate(timeout=500)
    assert process.returncode == 0, (tmp_path / "told").read_text()

    answer = json.loads(out.read_text())
    found = {(case["case"], case["guarantee"], case["instance"]): case for case in answer["cases"]}
    guarantees = {"at_least_once": ("client", "ours"), "exactly_once": ("ours",)}
    expected = [("avro_logreg", guarantee, name) for guarantee, names in guarantees.items() for name in names]
    assert sorted(found) == sorted(expected)
    for case in answer["cases"]:
        assert all(case[figure] > 0 for figure in FIGURES), case
        assert case["p50_ms"] <= case["p99_ms"]
    assert answer["machine"]["cores"] == os.cpu_count()
    assert set(answer["parts"]["us"]) == {"receive+publish", "decode", "encode", "river"}
    assert set(answer["parts"]["ratio"]) == {"at_least_once", "exactly_once"}
    assert len(table.splitlines()) == 1 + len(expected) + 1, "a heading, the lines, the parts"
    assert left_behind(tmp_path) == []
    assert tenants(platform) - before == set()


def test_an_interrupted_run_leaves_nothing(platform_file: Path, platform: Platform, tmp_path: Path) -> None:
    before = tenants(platform)
    options = ["--cases", "identity_100b", "--guarantees", "exactly_once", "--out", str(tmp_path / "none.json")]
    with benchmark(platform_file, tmp_path, "--messages", "1000", "--seconds", "600", *options) as process:
        wait_until(lambda: left_behind(tmp_path)[1:], 60, "an instance runs")
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 130, (tmp_path / "told").read_text()
    assert left_behind(tmp_path) == []
    assert tenants(platform) - before == set()
    assert not (tmp_path / "none.json").exists()
    assert (tmp_path / "told").read_text().splitlines()[-1] == "interrupted; what was started is stopped"


def test_an_instance_that_ends_by_itself_is_told_and_the_others_are_measured(
    platform_file: Path, tmp_path: Path
) -> None:
    broken, out = tmp_path / "broken.py", tmp_path / "runtime.json"
    broken.write_text("raise SystemExit('no such thing here')\n")
    options = ["--cases", "identity_1kb", "--guarantees", "at_least_once", "--instance", f"odd={broken}"]
    with benchmark(
        platform_file, tmp_path, "--messages", "1000", "--seconds", "0", *options, "--out", str(out)
    ) as process:
        process.communicate(timeout=400)
    assert process.returncode == 1
    assert [case["instance"] for case in json.loads(out.read_text())["cases"]] == ["ours"]
    assert "identity_1kb at_least_once odd: the instance ended with 1" in (tmp_path / "told").read_text()
    assert "no such thing here" in (tmp_path / "told").read_text()
