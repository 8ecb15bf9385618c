"""A consumer that shares nothing with this product: Pulsar's Java client, which reads by the topic's own schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.package.build import build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Tokens
from tests.support.deployed import Home, apply_tenant, decoder, home, read_all
from tests.support.javac import run_java
from tests.support.project import REPOSITORY, Project, spec_of
from tests.support.remove import remove_tenant
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

DEPLOYMENT, OUTPUT = "failure-risk", "predictions/failure-risk"
FUNCTION = REPOSITORY / "functions" / "predictive_maintenance"
READER = Path(__file__).parents[1] / "support" / "java" / "ReadPredictions.java"
READINGS = 60


@pytest.fixture(scope="module")
def predicted(
    platform: Platform, platform_file: Path, tokens: Tokens, tmp_path_factory: pytest.TempPathFactory, unique: str
) -> Iterator[Home]:
    """The demo's function, deployed, with predictions in its output."""
    folder = tmp_path_factory.mktemp("java")
    project = Project(folder, platform_file, FUNCTION)
    tenant = project.add_tenant(spec_of("acme", name=f"java-{unique}"))
    apply_tenant(platform, tenant)
    tokens.give_to_functions(tenant.tenant)
    package = build_package(FUNCTION, folder, slim=True, provided=runtime_distributions())
    with home(platform, tenant) as at_home:
        at_home.deploy(DEPLOYMENT, package)
        at_home.send("sensors/readings", [_reading(n) for n in range(READINGS)], event_timestamp=1_600_000_000_123)
        for cluster in tenant.clusters:
            wait_until(lambda cluster=cluster: len(_read(platform, at_home, cluster)) == READINGS, 30, "predictions")
        yield at_home
        at_home.delete(DEPLOYMENT)
    remove_tenant(platform, tenant.tenant)


def _reading(n: int) -> dict[str, Any]:
    return {
        "machine_id": f"Fräse {n % 7}",
        "reading_id": 2**40 + n,
        "at": 1_600_000_000_000 + n,
        "product_type": "LMH"[n % 3],
        "air_temperature_k": 298.1,
        "process_temperature_k": 308.6,
        "rotational_speed_rpm": 1400.0 + n,
        "torque_nm": 42.8,
        "tool_wear_min": float(n),
    }


@pytest.mark.parametrize("cluster", ["west", "east"])
def test_javas_client_reads_predictions_by_the_topics_own_schema(
    predicted: Home, platform: Platform, tokens: Tokens, tmp_path: Path, cluster: str
) -> None:
    tenant = predicted.tenant
    token, out = tokens.file_of(f"{tenant.tenant}-app", tmp_path), tmp_path / "predictions.jsonl"
    broker, topic = platform.clusters[cluster].broker_url, str(tenant.topic_name(OUTPUT))
    run_java(READER, [broker, topic, str(token), str(out)], tmp_path)

    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    ours = _read(platform, predicted, "west")
    assert len(found) == READINGS
    assert sorted(found, key=_identity) == sorted(ours, key=_identity)
    assert {each["event_time"] for each in found} == {1_600_000_000_123}
    assert {each["key"] for each in found} == {f"Fräse {n}" for n in range(7)}


def _identity(message: dict[str, Any]) -> Any:
    return message["record"]["reading_id"]


def _read(platform: Platform, at_home: Home, cluster: str) -> list[dict[str, Any]]:
    """What Python reads, in the form that Java prints."""
    topic = str(at_home.tenant.topic_name(OUTPUT))
    with closing(open_client(platform.clusters[cluster])) as client:
        decode = decoder(client, topic)
        return [
            {
                "key": message.partition_key(),
                "event_time": message.event_timestamp(),
                "record": _plain(decode(message.data(), message._message.int_schema_version())),
            }
            for message in read_all(client, topic, at_home.tenant.topics[OUTPUT].partitions)
        ]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Times as Avro stores them."""
    return {
        name: round(value.timestamp() * 1000) if isinstance(value, datetime) else value
        for name, value in record.items()
    }
