from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.rollout.instance_arguments import Launch
from pulsar_pipeline.runtime.arguments import parse
from pulsar_pipeline.spec.model import Cluster
from tests.support.tenants import tenant, write_schema
from tests.unit.rollout.test_functions_config import MANIFEST

CLUSTER = Cluster.model_validate(
    {
        "admin_url": "http://west:8080",
        "broker_url": "pulsar://west:6650",
        "auth": {"token_file": "/secrets/admin.token"},
    }
)


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    spec = tenant(write_schema(tmp_path))
    config = function_config(spec, "risk", MANIFEST, "sha256:abc")
    return Launch(config, Path("/packages/risk.zip"), "west", CLUSTER, 2, Path("/logs"))


def test_an_instance_reads_what_a_functions_worker_would_tell_it(launch: Launch) -> None:
    told = parse(launch.arguments(1))
    assert (told.instance_id, told.details.parallelism, told.cluster) == (1, 2, "west")
    assert told.details.fully_qualified_name == "acme/models/risk"
    assert (told.package, told.service_url) == (Path("/packages/risk.zip"), "pulsar://west:6650")
    assert told.config.inputs["readings"].topic == "persistent://acme/sensors/readings"
    assert told.config.digest == "sha256:abc"
    assert told.user_config.keys() == launch.config["userConfig"].keys()
    assert told.log_path == Path("/logs/acme/models/risk/risk-1.log")
    assert (told.metrics_port, told.use_tls) == (0, False)
    assert told.healthcheck_interval_s < 0, "nobody asks, so nobody is missed"


def test_the_platforms_own_credentials_stay_with_the_platform(launch: Launch) -> None:
    told = parse(launch.arguments(0))
    assert (told.auth_plugin, told.auth_params) == (None, None)
    assert not any("admin" in argument for argument in launch.arguments(0))


def test_each_instance_has_a_metrics_port_of_its_own(launch: Launch) -> None:
    measured = replace(launch, metrics_port=9100)
    assert [parse(measured.arguments(number)).metrics_port for number in range(2)] == [9100, 9101]


def test_transport_security_is_that_of_the_platform_file(launch: Launch) -> None:
    tls = {"trust_certs_file": "/certs/ca.pem", "verify_hostname": False}
    cluster = Cluster.model_validate(
        {"admin_url": "https://west:8443", "broker_url": "pulsar+ssl://west:6651", "tls": tls}
    )
    told = parse(replace(launch, cluster=cluster).arguments(0))
    assert (told.use_tls, told.tls_trust_certs, told.verify_hostname) == (True, Path("/certs/ca.pem"), False)
