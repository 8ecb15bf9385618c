from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulsar_pipeline.cli import functions_deploy, lookup
from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.errors import ExitCode
from tests.support.cli import Ran, run
from tests.support.functions_api import FunctionsApi
from tests.unit.rollout.test_functions_config import MANIFEST

SECRET = "eyJhbGciOiJIUzI1NiJ9.secret"
NAME = "acme/machine-risk"
PATH = "acme/out/machine-risk"
FUNCTION = {
    "name": "risk",
    "description": "A test's.",
    "class": "function.Risk",
    "inputs": {"readings": {"schema": "s.v1.avsc"}},
    "config": {},
}
TENANT = {
    "tenant": "acme",
    "clusters": ["west"],
    "home": "west",
    "namespaces": {"in": {}, "out": {}},
    "topics": {"in/readings": {"partitions": 2, "schema": "s.v1.avsc"}},
    "deployments": {
        "machine-risk": {"function": "risk", "namespace": "out", "inputs": {"readings": "in/readings"}},
    },
}


class Topics(FakeCluster):
    """Every topic is there."""

    def partitions(self, topic: Any) -> int:
        return 1 if topic.topic.endswith("-logs") else 2


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionsApi:
    """The files of a platform with one tenant, and its home's functions worker in this process."""
    api = FunctionsApi()
    (tmp_path / "token").write_text(SECRET)
    cluster = {
        "admin_url": "http://west:8080",
        "broker_url": "pulsar://west:6650",
        "auth": {"token_file": "token"},
    }
    write(tmp_path / "platform.yaml", {"clusters": {"west": cluster}})
    write(tmp_path / "tenants" / "acme.yaml", TENANT)
    write(tmp_path / "functions" / "risk" / "function.yaml", FUNCTION)
    for folder in (tmp_path / "tenants", tmp_path / "functions" / "risk"):
        (folder / "s.v1.avsc").write_text('{"type": "record", "name": "S", "fields": []}')
    for name, path in (("PLATFORM", "platform.yaml"), ("TENANTS", "tenants"), ("FUNCTIONS", "functions")):
        monkeypatch.setenv(f"PULSAR_PIPELINE_{name}", str(tmp_path / path))
    monkeypatch.setattr(lookup, "AdminHttp", lambda _name, _cluster: api.http())
    monkeypatch.setattr(lookup, "AdminCluster", lambda _http: Topics("west"))
    monkeypatch.setattr(functions_deploy, "verify_package", lambda _path: MANIFEST)
    return api


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "risk.zip"
    path.write_bytes(b"package")
    return path


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))


def functions(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Ran:
    ran = run(capsys, "functions", *arguments)
    assert SECRET not in ran.out + ran.err
    return ran


def deploy(capsys: pytest.CaptureFixture[str], package: Path, *options: str) -> Ran:
    return functions(capsys, "deploy", NAME, "--package", package, *options)


def test_deploy_then_deploy_again(api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = deploy(capsys, package)
    assert first.code == ExitCode.OK
    assert first.out.startswith(f"{NAME}: registered in west, 1 instance(s) running; package sha256:")
    again = deploy(capsys, package, "--json")
    assert json.loads(again.out)["step"] == "unchanged"
    assert api.packages[PATH] == ("risk.zip", b"package")


def test_deploy_without_waiting(api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.instances = []
    ran = deploy(capsys, package, "--no-wait", "--json")
    assert ran.code == ExitCode.OK
    document = json.loads(ran.out)
    assert (document["step"], document["instances"]) == ("registered", None)


def test_a_constructor_that_raises_ends_with_its_own_message(
    api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.instances = [{"error": "function.Risk cannot be constructed: ValueError: no model"}]
    ran = deploy(capsys, package)
    assert ran.code == ExitCode.ERROR
    assert "function.Risk cannot be constructed: ValueError: no model" in ran.err


def test_an_unknown_deployment_is_told_with_those_there_are(
    api: FunctionsApi, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = functions(capsys, "deploy", "acme/none")
    assert ran.code == ExitCode.ERROR
    assert "acme declares no deployment 'none'" in ran.err
    assert "there are: machine-risk" in ran.err
    assert "no spec of tenant 'other'" in functions(capsys, "status", "other/x").err


def test_list_shows_what_is_declared_and_what_is_there(
    api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = json.loads(functions(capsys, "list", "--json").out)
    assert (row["deployment"], row["state"]) == (NAME, "not deployed")
    deploy(capsys, package)
    api.configs["acme/in/old"] = {"parallelism": 1}
    rows = {row["deployment"]: row for row in json.loads(functions(capsys, "list", "acme", "--json").out)}
    assert rows[NAME]["state"] == "running"
    assert rows[NAME]["running"] == "1/1"
    assert rows["acme/old"]["state"] == "running, not declared"
    assert NAME in functions(capsys, "list").out


def test_status_shows_instances_and_their_last_failures(
    api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(capsys, package)
    api.instances = [
        {
            "running": True,
            "numRestarts": 3,
            "numReceived": 10,
            "latestUserExceptions": [{"exceptionString": "ValueError: x", "timestampMs": 1_700_000_000_000}],
        }
    ]
    text = functions(capsys, "status", NAME)
    assert text.code == ExitCode.OK
    assert "instance 0 at 2023-11-14 22:13:20Z: ValueError: x" in text.out
    document = json.loads(functions(capsys, "status", NAME, "--json").out)
    assert document["state"] == "running"
    assert document["instances"][0]["restarts"] == 3


def test_delete_asks_and_nobody_there_is_no(
    api: FunctionsApi, package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(capsys, package)
    monkeypatch.setattr("sys.stdin", (api_input := package.open()))
    refused = functions(capsys, "delete", NAME)
    api_input.close()
    assert refused.code == ExitCode.ERROR
    assert "nobody is there to agree" in refused.err
    assert PATH in api.configs
    assert functions(capsys, "delete", NAME, "--yes").code == ExitCode.OK
    assert PATH not in api.configs


def test_restart_of_what_is_not_deployed(api: FunctionsApi, capsys: pytest.CaptureFixture[str]) -> None:
    ran = functions(capsys, "restart", NAME)
    assert ran.code == ExitCode.ERROR
    assert f"mend: pulsar-pipeline functions deploy {NAME}" in ran.err


def test_logs_that_are_switched_off_tell_the_mend(
    api: FunctionsApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = TENANT | {"deployments": {"machine-risk": TENANT["deployments"]["machine-risk"] | {"logs": False}}}
    write(tmp_path / "tenants" / "acme.yaml", quiet)
    ran = functions(capsys, "logs", NAME, "--since", "2d")
    assert ran.code == ExitCode.ERROR
    assert "remove `logs: false`" in ran.err
    assert functions(capsys, "logs", NAME, "--since", "soon").code == ExitCode.USAGE
