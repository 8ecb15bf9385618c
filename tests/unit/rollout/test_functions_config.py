from __future__ import annotations

from typing import Any

import pytest

from pulsar_pipeline.errors import RolloutError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.rollout.functions_config import (
    ALTERABLE,
    differences,
    digest_of,
    function_config,
    topics_of,
)
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY, InstanceConfig, TopicBinding
from pulsar_pipeline.spec.model import Tenant

MANIFEST = Manifest(
    name="risk",
    class_name="function.Risk",
    inputs={"readings": "reading.v1.avsc", "labels": "label.v1.avsc"},
    output="risk.v1.avsc",
    output_key="machine",
    config={"model": "forest", "seed": 7},
    product_version="0",
)


def tenant(**changes: Any) -> Tenant:
    topic = {"partitions": 4, "schema": "x.v1.avsc"}
    return Tenant.model_validate(
        {
            "tenant": "acme",
            "clusters": ["west"],
            "home": "west",
            "namespaces": {"in": {}, "out": {}},
            "topics": {
                "in/readings": topic,
                "in/labels": topic,
                "in/late": topic,
                "out/risks": topic,
            },
            "deployments": {
                "machine-risk": {
                    "function": "risk",
                    "namespace": "out",
                    "inputs": {"readings": "in/readings", "labels": "in/labels"},
                    "output": "out/risks",
                    "parallelism": 2,
                    "config": {"seed": 8},
                    "event_timeout": "10s",
                }
                | changes
            },
        }
    )


def config(**changes: Any) -> dict[str, Any]:
    return function_config(tenant(**changes), "machine-risk", MANIFEST, "sha256:aa")


def test_the_function_is_called_like_its_deployment_and_lives_in_its_namespace() -> None:
    made = config()
    assert (made["tenant"], made["namespace"], made["name"]) == ("acme", "out", "machine-risk")
    assert made["runtime"] == "PYTHON"
    assert made["className"] == "function.Risk"
    assert made["py"] == "risk.zip"
    assert made["parallelism"] == 2


def test_topics_are_named_in_full() -> None:
    made = config()
    assert made["inputSpecs"] == {"persistent://acme/in/readings": {}, "persistent://acme/in/labels": {}}
    assert made["output"] == "persistent://acme/out/risks"
    assert made["logTopic"] == "persistent://acme/out/machine-risk-logs"


def test_without_output_and_logs_the_keys_are_absent() -> None:
    assert not config(output=None, logs=False).keys() & {"output", "logTopic", "outputSchemaType"}


def test_python_gets_no_more_than_the_worker_accepts() -> None:
    made = config()
    assert made["processingGuarantees"] == "ATLEAST_ONCE"
    assert made["autoAck"] is True
    assert made["retainOrdering"] is True
    assert made["subName"] == "function-machine-risk"
    assert made["subscriptionPosition"] == "Earliest"


def test_the_deployments_config_goes_over_the_functions_defaults() -> None:
    user = config()["userConfig"]
    assert (user["model"], user["seed"]) == ("forest", 8)


def test_the_reserved_entry_tells_an_instance_all_it_needs() -> None:
    own = InstanceConfig.model_validate(config()["userConfig"][USER_CONFIG_KEY])
    assert own == InstanceConfig(
        deployment="machine-risk",
        digest="sha256:aa",
        inputs={
            "readings": TopicBinding(topic="persistent://acme/in/readings", partitions=4),
            "labels": TopicBinding(topic="persistent://acme/in/labels", partitions=4),
        },
        output=TopicBinding(topic="persistent://acme/out/risks", partitions=4),
        dead_letter_topic="persistent://acme/out/machine-risk-dead-letters",
        subscription="function-machine-risk",
        guarantee="exactly_once",
        event_timeout_s=10,
        log_topic="persistent://acme/out/machine-risk-logs",
        state_topic="persistent://acme/_state/machine-risk-state",
        epoch=1,
    )


def test_a_late_topic_is_one_that_the_deployment_needs() -> None:
    own = InstanceConfig.model_validate(config(late="in/late")["userConfig"][USER_CONFIG_KEY])
    assert own.late == TopicBinding(topic="persistent://acme/in/late", partitions=4)
    assert topics_of(tenant(late="in/late"), "machine-risk")[TopicName("acme", "in", "late")] == 4


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_only_an_exactly_once_deployment_has_a_state_log(guarantee: str) -> None:
    own = InstanceConfig.model_validate(config(guarantee=guarantee)["userConfig"][USER_CONFIG_KEY])
    assert (own.guarantee, own.state_topic) == (guarantee, None)
    assert not any(topic.namespace == "_state" for topic in topics_of(tenant(guarantee=guarantee), "machine-risk"))


def test_another_guarantee_is_one_the_worker_can_change() -> None:
    assert differences(config(guarantee="at_least_once"), answered(config())) == {"userConfig"}
    assert "userConfig" in ALTERABLE


def test_a_package_of_another_function_is_refused() -> None:
    with pytest.raises(RolloutError, match="holds 'risk', the deployment runs 'other'"):
        config(function="other")


def test_the_topics_a_deployment_needs() -> None:
    assert topics_of(tenant(), "machine-risk") == {
        TopicName("acme", "in", "readings"): 4,
        TopicName("acme", "in", "labels"): 4,
        TopicName("acme", "out", "risks"): 4,
        TopicName("acme", "out", "machine-risk-logs"): 1,
        TopicName("acme", "out", "machine-risk-dead-letters"): 4,
        TopicName("acme", "_state", "machine-risk-state"): 4,
    }


def answered(made: dict[str, Any]) -> dict[str, Any]:
    """As a worker gives it back: where it keeps the file, every setting of the inputs, its own defaults."""
    return made | {
        "py": "/tmp/functions/risk.zip",
        "inputSpecs": {topic: {"regexPattern": False, "poolMessages": False} for topic in made["inputSpecs"]},
        "exposePulsarAdminClientEnabled": False,
        "resources": {"cpu": 1.0},
    }


def test_what_the_worker_adds_is_no_difference() -> None:
    assert differences(config(), answered(config())) == frozenset()


def test_nulls_that_the_worker_drops_are_no_difference() -> None:
    wanted = config(logs=False, config={"note": None, "steps": [{"at": None, "by": 1}]})
    assert wanted["userConfig"][USER_CONFIG_KEY]["log_topic"] is None
    found = answered(wanted) | {"userConfig": dict(wanted["userConfig"])}
    found["userConfig"][USER_CONFIG_KEY] = {
        key: value for key, value in wanted["userConfig"][USER_CONFIG_KEY].items() if value is not None
    }
    del found["userConfig"]["note"]
    found["userConfig"]["steps"] = [{"by": 1.0}]
    assert differences(wanted, found) == frozenset()


def test_differences_are_told_by_key() -> None:
    assert differences(config(parallelism=3), answered(config())) == {"parallelism"}
    assert differences(config(config={"seed": 9}), answered(config())) == {"userConfig"}
    other_input = config(inputs={"readings": "in/labels", "labels": "in/readings"})
    assert differences(other_input, answered(config())) == {"userConfig"}
    fewer = differences(config(inputs={"readings": "in/readings"}), answered(config()))
    assert fewer - ALTERABLE == {"inputSpecs"}


def test_the_digest_is_found_again_and_only_in_our_own_functions() -> None:
    assert digest_of(answered(config())) == "sha256:aa"
    assert digest_of({"userConfig": {"digest": "x"}}) is None
    assert digest_of({"userConfig": {USER_CONFIG_KEY: "x"}}) is None
    assert digest_of({}) is None
