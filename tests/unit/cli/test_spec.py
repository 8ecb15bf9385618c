"""`spec check` and `spec schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pulsar_pipeline.cli.spec import register
from pulsar_pipeline.errors import ExitCode, SpecError
from pulsar_pipeline.spec.json_schema import json_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(monkeypatch):
    """Runs `pulsar-pipeline spec …` in the repository, with no platform file."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PULSAR_PIPELINE_PLATFORM", "none.yaml")
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *arguments: CliRunner().invoke(app, ["spec", *map(str, arguments)])


def broken(folder: Path) -> Path:
    path = folder / "acme.yaml"
    path.write_text((ROOT / "tenants" / "acme.yaml").read_text().replace("../", f"{ROOT}/").replace("home:", "hom:"))
    return path


def problem_of(result: Result) -> SpecError:
    assert isinstance(result.exception, SpecError)
    return result.exception


def test_all_shipped_files_are_good(run):
    result = run("check")
    assert result.exit_code == ExitCode.OK
    assert "no mistakes in" in result.stderr


def test_each_kind_of_file_is_known_by_its_name(run):
    files = ("deploy/platform.example.yaml", "tenants/acme.yaml", "functions/predictive_maintenance/function.yaml")
    assert run("check", *files).exit_code == ExitCode.OK


def test_a_mistake_is_raised_with_its_line(run, tmp_path):
    problem = problem_of(run("check", broken(tmp_path)))
    assert (problem.file, problem.key) == (tmp_path / "acme.yaml", "hom")


def test_mistakes_of_several_files_are_told_together(run, tmp_path):
    (tmp_path / "platform.yaml").write_text("clusters: {}\n")
    problem = problem_of(run("check", broken(tmp_path), tmp_path / "platform.yaml", tmp_path / "none.yaml"))
    assert [entry.file.name for entry in problem.problems] == ["acme.yaml", "platform.yaml", "none.yaml"]


def test_mistakes_as_json(run, tmp_path):
    result = run("check", "--json", broken(tmp_path))
    assert result.exit_code == ExitCode.ERROR
    (document,) = json.loads(result.stdout)
    assert document["key"] == "hom"
    assert document["mend"] == "did you mean `home`?"
    assert set(document) == {"file", "line", "key", "what", "mend"}


def test_nothing_wrong_as_json(run):
    result = run("check", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (ExitCode.OK, [])


def test_the_platform_is_taken_into_account(run, tmp_path):
    text = "clusters:\n  north: {admin_url: http://h, broker_url: pulsar://h}\n"
    (tmp_path / "platform.yaml").write_text(text)
    problem = problem_of(run("check", "--platform", tmp_path / "platform.yaml", "tenants/acme.yaml"))
    assert "the platform has no cluster 'west'" in str(problem)


def test_a_schema_is_printed_or_written(run, tmp_path):
    assert json.loads(run("schema", "tenant").stdout) == json_schema("tenant")
    assert run("schema", "platform", "--out", tmp_path / "p.json").stdout == ""
    assert json.loads((tmp_path / "p.json").read_text()) == json_schema("platform")
