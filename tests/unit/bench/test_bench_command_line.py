"""The command line of instances, ours and others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.speed.cases import CASES
from bench.speed.command_line import Job, loop_arguments, worker_arguments
from bench.speed.world import World, tenant_of
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.package.trial import TrialReport
from pulsar_pipeline.runtime import arguments
from pulsar_pipeline.spec.model import Cluster, Platform


def job(tmp_path: Path, case: str, guarantee: Any = "exactly_once", partitions: int = 2) -> Job:
    cluster = Cluster(admin_url="http://localhost:8080", broker_url="pulsar://localhost:6650")
    world = World(Platform(clusters={"west": cluster}), "west", tmp_path / "secrets", tmp_path, http=None, client=None)  # type: ignore[arg-type]
    function = CASES[case].function
    manifest = Manifest(
        name=function,
        class_name="function.It",
        inputs={CASES[case].input: "in.avsc"},
        output="out.avsc",
        output_key=None,
        config={},
        product_version="0",
        python="",
        platform="",
        wheels={},
        slim=True,
    )
    package = BuiltPackage(tmp_path / f"{function}.zip", "sha256:0", manifest, TrialReport(0, 0, {}))
    return Job(world, tenant_of("bench-1", "west", CASES[case], guarantee, partitions), CASES[case], package)


def flags(argv: list[str]) -> dict[str, str]:
    return dict(zip(argv[::2], argv[1::2], strict=True))


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_our_instance_understands_it(tmp_path: Path, guarantee: str) -> None:
    found = arguments.parse(worker_arguments(job(tmp_path, "avro_hoeffding", guarantee), tmp_path, ours=True))
    assert found.package == tmp_path / "risk.zip"
    assert found.config.guarantee == guarantee
    assert found.config.inputs["readings"].partitions == 2
    assert found.user_config["model"] == "hoeffding"
    assert found.auth_params is None, "it finds its token by itself"


def test_another_instance_is_told_its_token_its_serde_and_that_the_package_acknowledges(tmp_path: Path) -> None:
    given = flags(worker_arguments(job(tmp_path, "avro_logreg"), tmp_path, ours=False))
    details = json.loads(given["--function_details"].strip("'"))
    assert given["--client_auth_params"] == f"file://{tmp_path}/secrets/functions/bench-1.token"
    assert Path(given["--logging_config_file"]).is_file()
    (spec,) = details["source"]["inputSpecs"].values()
    assert spec == {"serdeClassName": "pulsar_pipeline.online.serde.BytesSerDe"}
    assert (details["autoAck"], details["className"]) == (False, "function.It")


def test_another_instance_runs_the_identity_as_a_plain_function(tmp_path: Path) -> None:
    given = flags(worker_arguments(job(tmp_path, "identity_1kb"), tmp_path, ours=False))
    details = json.loads(given["--function_details"].strip("'"))
    assert Path(given["--py"]).is_file()
    assert (details["autoAck"], details["className"]) == (True, "plain_identity.PlainIdentity")
    assert list(details["source"]["inputSpecs"].values()) == [{}]


def test_the_bare_loop_is_told_where_to_receive_and_send(tmp_path: Path) -> None:
    (text,) = loop_arguments(job(tmp_path, "identity_100b"))
    told = json.loads(text)
    assert (told["input"], told["output"]) == ("persistent://bench-1/events/in", "persistent://bench-1/results/out")
    assert told["partitions"] == 2
