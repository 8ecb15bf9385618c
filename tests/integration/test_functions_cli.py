"""`functions …` against a real functions worker, from deployment to deletion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Platform
from tests.support.cli import Ran, run
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, apply_tenant, build, home
from tests.support.remove import remove_tenant
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

COUNTER = FUNCTIONS / "counter" / "schemas"


class Verbs:
    """Runs `functions` verbs for one tenant whose spec tests may rewrite."""

    def __init__(self, name: str, folder: Path, platform_file: Path) -> None:
        self.name, self.folder = name, folder
        self._files = ("--platform", platform_file, "--tenants", folder)
        self.declare()

    @property
    def deployment(self) -> str:
        return f"{self.name}/counts"

    def declare(self, **options: Any) -> None:
        spec = {
            "tenant": self.name,
            "clusters": ["west"],
            "home": "west",
            "namespaces": {"n": {"schema": {"enforce": False}, "retention": {"time": "1h", "size": "100MB"}}},
            "topics": {
                "n/events": {"partitions": 2, "schema": str(COUNTER / "event.v1.avsc"), "key": "id"},
                "n/others": {"partitions": 2, "schema": str(COUNTER / "event.v1.avsc"), "key": "id"},
                "n/results": {"partitions": 2, "schema": str(COUNTER / "result.v1.avsc"), "key": "id"},
            },
            "deployments": {
                "counts": {
                    "function": "counter",
                    "namespace": "n",
                    "inputs": {"events": "n/events"},
                    "output": "n/results",
                }
                | options
            },
        }
        (self.folder / "tenant.yaml").write_text(yaml.safe_dump(spec))

    def __call__(self, capsys: pytest.CaptureFixture[str], verb: str, *options: Any) -> Ran:
        target = self.name if verb == "list" else self.deployment
        return run(capsys, "functions", verb, target, *options, *self._files)

    def send(self, capsys: pytest.CaptureFixture[str], file: Path) -> Ran:
        return run(capsys, "events", "send", self.name, "n/events", file, *self._files)


@pytest.fixture(scope="module")
def verbs(
    platform: Platform,
    platform_file: Path,
    tokens: Tokens,
    unique: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Verbs]:
    name = f"verbs-{unique}"
    made = Verbs(name, tmp_path_factory.mktemp("tenants"), platform_file)
    tenant = load_tenant(made.folder / "tenant.yaml")
    apply_tenant(platform, tenant)
    tokens.give_to_functions(name)
    yield made
    with home(platform, tenant) as at_home:
        if "counts" in at_home.worker.functions(name, "n"):
            at_home.delete("counts")
    remove_tenant(platform, name)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> BuiltPackage:
    return build("counter", tmp_path_factory.mktemp("package"))


def test_from_deployment_to_deletion(
    verbs: Verbs, package: BuiltPackage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def deploy(*options: str) -> Ran:
        return verbs(capsys, "deploy", "--functions", FUNCTIONS, "--package", package.path, *options)

    def listed() -> dict[str, Any]:
        (row,) = json.loads(verbs(capsys, "list", "--json").out)
        return dict(row)

    def instances() -> list[dict[str, Any]]:
        """As the worker tells of them; none while it cannot."""
        return list(json.loads(verbs(capsys, "status", "--json").out).get("instances", ()))

    assert listed()["state"] == "not deployed"
    assert verbs(capsys, "status").code == ExitCode.ERROR

    first = deploy("--json")
    assert first.code == ExitCode.OK, first.err
    assert json.loads(first.out)["step"] == "registered"
    assert (listed()["state"], listed()["running"]) == ("running", "1/1")
    assert package.digest.startswith(listed()["package"])
    assert json.loads(deploy("--json").out)["step"] == "unchanged"

    verbs.declare(parallelism=2, config={"fail_every": 5})
    changed = deploy("--json")
    assert changed.code == ExitCode.OK, changed.err
    assert (json.loads(changed.out)["step"], json.loads(changed.out)["changed"]) == (
        "updated",
        ["parallelism", "userConfig"],
    )
    assert listed()["running"] == "2/2"

    events = tmp_path / "events.csv"
    events.write_text("id,n\n" + "".join(f"k{n},{n}\n" for n in range(1, 51)))
    assert verbs.send(capsys, events).code == ExitCode.OK
    wait_until(lambda: sum(each["received"] for each in instances()) == 50, 30, "50 events received")
    assert sum(each["user_failures"] for each in instances()) == 10
    assert "ValueError: cannot take" in verbs(capsys, "status").out
    stats = json.loads(verbs(capsys, "stats", "--json").out)
    assert (stats["total"]["received"], stats["total"]["processed"]) == (50, 40)
    assert max(each["metrics"]["largest"] for each in stats["instances"]) == 49
    assert "largest" in verbs(capsys, "stats").out

    def logged(*options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in verbs(capsys, "logs", "--json", *options).out.splitlines()]

    def at_work() -> set[str]:
        return {line["instance"] for line in logged("--since", "1h") if line["message"].startswith("running with")}

    wait_until(lambda: at_work() == {"0", "1"}, 30, "both tell that they run")
    assert len(logged("--lines", "2")) == 2
    times = [line["time_ms"] for line in logged("--since", "1h")]
    assert times == sorted(times)

    assert verbs(capsys, "restart").code == ExitCode.OK
    wait_until(lambda: [each["received"] for each in instances()] == [0, 0], 30, "new processes")
    wait_until(lambda: [each["running"] for each in instances()] == [True, True], 60, "running again")

    verbs.declare(config={"refuse_to_start": True})
    refused = deploy()
    assert refused.code == ExitCode.ERROR
    assert "RuntimeError: the model file is missing" in refused.err

    verbs.declare(inputs={"events": "n/others"})
    bound = deploy()
    assert bound.code == ExitCode.ERROR
    assert "the worker cannot change inputSpecs" in bound.err

    verbs.declare()
    assert verbs(capsys, "delete", "--yes").code == ExitCode.OK
    assert listed()["state"] == "not deployed"
    assert deploy("--no-wait").code == ExitCode.OK
    assert verbs(capsys, "delete", "--yes").code == ExitCode.OK


def test_a_deployment_without_its_topics_is_refused(
    verbs: Verbs, package: BuiltPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = yaml.safe_load((verbs.folder / "tenant.yaml").read_text())
    spec["topics"]["n/later"] = spec["topics"]["n/results"]
    spec["deployments"]["counts"]["output"] = "n/later"
    (verbs.folder / "tenant.yaml").write_text(yaml.safe_dump(spec))
    ran = verbs(capsys, "deploy", "--functions", FUNCTIONS, "--package", package.path)
    assert ran.code == ExitCode.ERROR
    assert "n/later (missing)" in ran.err
    assert "mend: pulsar-pipeline apply" in ran.err
