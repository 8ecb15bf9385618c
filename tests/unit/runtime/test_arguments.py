from __future__ import annotations

import json
from pathlib import Path

import pytest

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.arguments import parse
from tests.unit.runtime.worker_arguments import argv, config, details


def test_everything_the_worker_says_is_understood() -> None:
    arguments = parse(argv())
    assert arguments.details.fully_qualified_name == "acme/predictions/failure-risk"
    assert arguments.details.parallelism == 2
    assert arguments.instance_id == 1
    assert (arguments.control_port, arguments.metrics_port) == (9001, 9002)
    assert arguments.cluster == "west"
    assert arguments.user_config["model"] == "forest"
    assert arguments.config.inputs["readings"].partitions == 4
    assert arguments.log_path == Path("/logs/acme/predictions/failure-risk/failure-risk-1.log")


def test_flags_of_a_later_pulsar_are_ignored() -> None:
    assert parse([*argv(), "--something_new", "1"]).instance_id == 1


def test_tls_and_authentication() -> None:
    arguments = parse(
        argv(
            use_tls="true",
            tls_trust_cert_path="/ca.pem",
            hostname_verification_enabled="false",
            client_auth_plugin="org.apache.pulsar.client.impl.auth.AuthenticationToken",
            client_auth_params="file:///secrets/worker.token",
        )
    )
    assert arguments.use_tls
    assert arguments.tls_trust_certs == Path("/ca.pem")
    assert not arguments.verify_hostname
    assert "worker.token" not in repr(arguments), "authentication parameters may be a token: keep them out of logs"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (details(userConfig="{}"), "no 'pulsar_pipeline' entry"),
        (details(userConfig="not json"), "the user config is not JSON"),
        (details(userConfig="[1]"), "the user config is not a JSON object"),
        (details(userConfig=json.dumps({"pulsar_pipeline": {"deployment": "x"}})), "bad function details"),
        ({"tenant": "acme"}, "bad function details"),
    ],
)
def test_a_broken_deployment_is_told(broken: dict[str, object], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        parse(argv(broken))


def test_missing_arguments_are_told() -> None:
    with pytest.raises(InstanceError, match="bad arguments"):
        parse(["--py", "x.zip"])


def test_unknown_keys_of_a_newer_config_are_ignored() -> None:
    newer = details(userConfig=json.dumps({"pulsar_pipeline": config(of_a_later_version=1)}))
    assert parse(argv(newer)).config.deployment == "failure-risk"
