"""A built package run once on its sample, with nothing on the import path but itself and what every runtime has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.provided import BASE, expose
from pulsar_pipeline.package.unpack import UnpackedPackage, unpack

SERDE = "pulsar_pipeline.online.serde"
"""What the stock runtime needs besides, to leave bytes alone."""

REHEARSAL = "pulsar_pipeline.online.rehearsal"
"""Module of the package itself that runs the sample and writes the verdict."""

TIMEOUT_S = 300

_BOOT = """
import runpy, sys
sys.path[:0] = sys.argv.pop(1).split(":")
runpy.run_module({!r}, run_name="__main__")
"""


@dataclass(frozen=True)
class TrialReport:
    """What the sample run gave."""

    events: int
    outputs: int
    metrics: dict[str, float]


def run_trial(archive: Path, source: Path, sample: Path | None, provided: Iterable[str]) -> TrialReport:
    """Unpack the archive elsewhere and run it in a fresh, isolated interpreter without the environment's variables.

    `source` is the function's folder, for the places that errors name; `provided` are distributions that the archive
    leaves to its runtime. Raises PackageError with the function's own error and line.
    """
    with tempfile.TemporaryDirectory(prefix="pulsar-pipeline-trial-") as folder:
        package = unpack(archive, Path(folder) / "unpacked")
        runtime = Path(folder) / "runtime"
        expose([*BASE, *provided], runtime)
        verdict = _run(package, runtime, sample, Path(folder))
    if verdict["error"] is None:
        return TrialReport(verdict["events"], verdict["outputs"], verdict["metrics"])
    where = str(source / verdict["where"]) if verdict["where"] else str(source)
    raise PackageError(f"{verdict['stage']}: {verdict['error']}", where=where, mend=verdict["mend"] or _mend(verdict))


def _run(package: UnpackedPackage, runtime: Path, sample: Path | None, folder: Path) -> dict[str, Any]:
    paths = [package.src, *([package.site] if package.site else []), runtime]
    report = folder / "verdict.json"
    # -I: no PYTHON* variables, no user site, no current folder; -S: no site-packages of this environment.
    command = [sys.executable, "-I", "-S", "-B", "-c", _BOOT.format(REHEARSAL), os.pathsep.join(map(str, paths))]
    events = sample.read_bytes() if sample else b""
    try:
        done = subprocess.run(
            [*command, str(package.src), str(report)],
            input=events,
            capture_output=True,
            env={"PATH": os.defpath},
            cwd=folder,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"the sample was not done after {TIMEOUT_S} s", where=str(sample), mend="shorten the sample"
        ) from error
    if report.is_file():
        verdict: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return verdict
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    raise PackageError(f"the trial died with exit code {done.returncode}: {last}", where=str(package.manifest.name))


def _mend(verdict: dict[str, Any]) -> str | None:
    if verdict["error"].startswith("ModuleNotFoundError"):
        return "a package has its Python modules and what its requirements.txt locks; add the distribution there"
    return None
