"""`functions run` up to the point where an instance would start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from pulsar_pipeline.cli import functions_run, lookup
from pulsar_pipeline.cli.main import build
from pulsar_pipeline.cluster.state_keys import new_state_key
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.runtime.arguments import Arguments, parse
from tests.support.cli import Ran, run
from tests.support.functions_api import FunctionsApi
from tests.unit.cli.test_functions import NAME, PATH, SECRET, TENANT, Topics, write
from tests.unit.rollout.test_functions_config import MANIFEST

TOKEN = "eyJhbGciOiJIUzI1NiJ9.function"


class Started(Exception):
    """In place of the process that would go on as an instance."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__("started")
        self.arguments, self.environment = arguments, environment


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionsApi:
    api = FunctionsApi()
    cluster = {
        "admin_url": "http://west:8080",
        "broker_url": "pulsar://west:6650",
        "auth": {"token_file": "token"},
    }
    (tmp_path / "token").write_text(SECRET)
    write(tmp_path / "platform.yaml", {"clusters": {"west": cluster}})
    write(tmp_path / "tenants" / "acme.yaml", TENANT)
    (tmp_path / "tenants" / "s.v1.avsc").write_text('{"type": "record", "name": "S", "fields": []}')
    (tmp_path / "secrets" / "functions").mkdir(parents=True)
    (tmp_path / "secrets" / "functions" / "acme.token").write_text(TOKEN)
    (tmp_path / "secrets" / "functions" / "acme.key").write_bytes(new_state_key())
    (tmp_path / "risk.zip").write_bytes(b"package")
    for name, path in (("PLATFORM", "platform.yaml"), ("TENANTS", "tenants"), ("CACHE", "cache")):
        monkeypatch.setenv(f"PULSAR_PIPELINE_{name}", str(tmp_path / path))
    monkeypatch.delenv("PULSAR_PIPELINE_FUNCTION_TOKENS", raising=False)
    monkeypatch.setattr(lookup, "AdminHttp", lambda _name, _cluster: api.http())
    monkeypatch.setattr(lookup, "AdminCluster", lambda _http: Topics("west"))
    monkeypatch.setattr(functions_run, "verify_package", lambda _path: MANIFEST)

    def execve(_path: str, arguments: list[str], environment: dict[str, str]) -> None:
        raise Started(arguments, environment)

    monkeypatch.setattr("os.execve", execve)
    return api


def start(tmp_path: Path, *options: str) -> tuple[Arguments, Started]:
    """What the instance would be told."""
    arguments = ["functions", "run", NAME, "--package", str(tmp_path / "risk.zip"), "--instance", "0", *options]
    with pytest.raises(Started) as started:
        typed(arguments)
    assert started.value.arguments[1:3] == ["-m", functions_run.ENTRY]
    return parse(started.value.arguments[3:]), started.value


def typed(arguments: list[str]) -> None:
    build(["functions"])(arguments, prog_name="pulsar-pipeline", standalone_mode=False)


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *options: Any) -> Ran:
    ran = run(capsys, "functions", "run", NAME, "--package", tmp_path / "risk.zip", *options)
    assert ran.code == ExitCode.ERROR
    return ran


@pytest.mark.usefixtures("api")
def test_the_process_goes_on_as_the_instance_with_its_tenants_own_token(tmp_path: Path) -> None:
    told, started = start(tmp_path, "--metrics-port", "19100")
    assert (told.details.fully_qualified_name, told.instance_id) == (PATH, 0)
    assert told.package == tmp_path / "risk.zip"
    assert told.metrics_port == 19100
    assert started.environment["PULSAR_PIPELINE_FUNCTION_TOKENS"] == str(tmp_path / "secrets" / "functions")
    text = " ".join(started.arguments)
    assert SECRET not in text
    assert TOKEN not in text


def test_a_deployment_that_the_worker_runs_is_refused(
    api: FunctionsApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.configs[PATH] = {"name": "machine-risk"}
    assert "the functions worker of west runs it" in refused(capsys, tmp_path).err


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="Function worker service is not done initializing."),
        httpx.Response(401, json={"reason": "Client is not authorized"}),
        httpx.ConnectError("refused"),
    ],
)
def test_where_nobody_tells_whether_a_worker_runs_it_the_instance_finds_out(
    api: FunctionsApi, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Any
) -> None:
    api.answer = answer
    start(tmp_path)
    assert "note: not looked up whether a functions worker runs it" in capsys.readouterr().err


@pytest.mark.usefixtures("api")
def test_without_token_or_key_nothing_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "secrets" / "functions"
    (folder / "acme.key").unlink()
    assert "token state-key create --out" in refused(capsys, tmp_path).err
    (folder / "acme.token").unlink()
    assert "token create --role acme-functions --out" in refused(capsys, tmp_path).err
