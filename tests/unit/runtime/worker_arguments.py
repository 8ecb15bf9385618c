"""The argument list a functions worker would start an instance with."""

from __future__ import annotations

import json
from typing import Any


def config(**changes: Any) -> dict[str, Any]:
    """The reserved entry of a deployment's user config."""
    return {
        "deployment": "failure-risk",
        "digest": "sha256:0",
        "inputs": {"readings": {"topic": "persistent://acme/sensors/readings", "partitions": 4}},
        "output": {"topic": "persistent://acme/predictions/failure-risk", "partitions": 4},
        "dead_letter_topic": "persistent://acme/predictions/failure-risk-dead-letters",
        "subscription": "function-failure-risk",
        "guarantee": "at_least_once",
        "event_timeout_s": 30,
    } | changes


def details(**changes: Any) -> dict[str, Any]:
    return {
        "tenant": "acme",
        "namespace": "predictions",
        "name": "failure-risk",
        "className": "function.FailureRisk",
        "userConfig": json.dumps({"model": "forest", "pulsar_pipeline": config()}),
        "parallelism": 2,
        "autoAck": True,
        "source": {"inputSpecs": {"persistent://acme/sensors/readings": {}}},
        "sink": {"topic": "persistent://acme/predictions/failure-risk"},
        "somethingNew": {"of": "a later Pulsar"},
    } | changes


def argv(function_details: dict[str, Any] | None = None, **flags: str) -> list[str]:
    values = {
        "py": "/packages/predictive_maintenance.zip",
        "logging_directory": "/logs",
        "logging_file": "failure-risk",
        "logging_config_file": "/conf/logging.ini",
        "instance_id": "1",
        "function_id": "0a1b",
        "function_version": "2",
        "function_details": f"'{json.dumps(function_details or details())}'",
        "pulsar_serviceurl": "pulsar://localhost:6650",
        "max_buffered_tuples": "1024",
        "port": "9001",
        "metrics_port": "9002",
        "expected_healthcheck_interval": "30",
        "secrets_provider": "secretsprovider.ClearTextSecretsProvider",
        "cluster_name": "west",
    } | flags
    return [part for name, value in values.items() for part in (f"--{name}", value)]
