"""The first function's real package: its wheels from the index, once; then everything without a network."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pulsar_pipeline.cli import functions
from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package import wheels
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.package.unpack import unpack
from pulsar_pipeline.package.verify import verify_package

SOURCE = Path(__file__).parents[2] / "functions" / "predictive_maintenance"


@dataclass(frozen=True)
class Full:
    built: BuiltPackage
    cache: Path


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    cache = tmp_path_factory.mktemp("cache")
    return Full(build_package(SOURCE, tmp_path_factory.mktemp("out"), cache=cache / "wheels"), cache)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PackageError("the network was asked")

    monkeypatch.setattr(wheels, "_pip_download", refuse)


def test_the_layout_is_what_the_stock_runtime_takes(full: Full) -> None:
    with zipfile.ZipFile(full.built.path) as archive:
        names = archive.namelist()
        lock = archive.read("predictive_maintenance/requirements.txt")
    assert {name.split("/")[1] for name in names} == {"src", "deps", "requirements.txt"}
    assert lock == b"", "it would install from the network what it names, at every start"
    module, _, _ = full.built.manifest.class_name.rpartition(".")
    assert f"predictive_maintenance/src/{module}.py" in names
    deps = {name for name in names if name.startswith("predictive_maintenance/deps/")}
    assert {Path(name).name for name in deps} == set(full.built.manifest.wheels)
    assert any(name.startswith("river-") for name in full.built.manifest.wheels)
    assert not any("/sample/" in name or "/data/" in name or "/tests/" in name for name in names)


def test_the_sample_gave_predictions(full: Full) -> None:
    assert full.built.trial.events > 0
    assert full.built.trial.outputs > 0


def test_a_second_build_needs_no_network_and_gives_the_same_bytes(full: Full, offline: None, tmp_path: Path) -> None:
    again = build_package(SOURCE, tmp_path, cache=full.cache / "wheels")
    assert again.digest == full.built.digest


def test_its_libraries_come_from_the_package_alone(full: Full, tmp_path: Path) -> None:
    verify_package(full.built.path)
    package = unpack(full.built.path, tmp_path)
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]; import river.metrics, numpy, json; "
        "print(json.dumps([river.__file__, numpy.__file__]))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(package.src), str(package.site)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(file.startswith(str(package.site)) for file in json.loads(done.stdout))


def test_a_slim_package_has_no_wheel_the_runtime_has(full: Full, offline: None, tmp_path: Path) -> None:
    slim = build_package(SOURCE, tmp_path, slim=True, provided=runtime_distributions(), cache=full.cache / "wheels")
    assert slim.manifest.wheels == {}
    assert slim.path.stat().st_size < 1_000_000
    assert slim.trial.outputs == full.built.trial.outputs


def test_the_command_line_prints_where_it_is(
    full: Full, offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSAR_PIPELINE_CACHE", str(full.cache))
    folder = str(SOURCE.parent)
    answer = json.loads(package_command("--functions", folder, "--json").stdout)
    assert answer["digest"] == full.built.digest
    short = full.built.digest.removeprefix("sha256:")[:12]
    assert Path(answer["path"]) == full.cache / "packages" / f"{SOURCE.name}-{short}" / f"{SOURCE.name}.zip"
    assert answer["size"] == Path(answer["path"]).stat().st_size
    text = package_command("--functions", folder, "--slim", "--out", str(tmp_path)).stdout
    assert text.startswith(str(tmp_path / f"{SOURCE.name}.zip"))
    assert "sha256:" in text


def package_command(*arguments: str) -> Result:
    import typer

    app = typer.Typer()
    functions.register(app)
    result = CliRunner().invoke(app, ["functions", "package", SOURCE.name, *arguments])
    assert result.exit_code == 0, result.output
    return result
