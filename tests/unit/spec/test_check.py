"""The rules across a tenant's parts, the platform and the functions, each broken once."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.check import check_tenant
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import FunctionDefinition, Platform

GOOD = dedent("""\
    tenant: acme
    clusters: [west, east]
    home: west
    namespaces:
      sensors:
        replicate_to: [west]
        retention: {time: 7d, size: 10GB}
        backlog_quota: {size: 5GB, time: 1d}
      models:
        retention: {time: 7d, size: 10GB}
    topics:
      sensors/readings:
        partitions: 4
        schema: reading.v1.avsc
      sensors/labels:
        partitions: 4
        schema: label.v1.avsc
      models/risk:
        partitions: 4
        schema: risk.v1.avsc
      models/alarms:
        partitions: 4
        schema: alarm.v1.avsc
    deployments:
      risk:
        function: risk
        namespace: models
        inputs:
          readings: sensors/readings
          labels: sensors/labels
        output: models/risk
        parallelism: 2
      alarm:
        function: alarm
        namespace: models
        inputs:
          risks: models/risk
        output: models/alarms
      sink:
        function: sink
        namespace: models
        inputs:
          alarms: models/alarms
    views:
      risk:
        deployment: risk
    """)

PLATFORM = Platform.model_validate(
    {
        "clusters": {
            name: {"admin_url": "http://h:1", "broker_url": "pulsar://h:2"} for name in ("west", "east", "north")
        }
    }
)


def function(name: str, *inputs: str, output: bool = True) -> FunctionDefinition:
    return FunctionDefinition.model_validate(
        {
            "name": name,
            "description": "",
            "class": "function.F",
            "inputs": {key: {"schema": "x.v1.avsc"} for key in inputs},
            "output": {"schema": "x.v1.avsc"} if output else None,
        }
    )


FUNCTIONS = {
    "risk": function("risk", "readings", "labels"),
    "alarm": function("alarm", "risks"),
    "sink": function("sink", "alarms", output=False),
}


def check(folder: Path, text: str, platform: Platform | None = PLATFORM) -> None:
    path = folder / "acme.yaml"
    path.write_text(text)
    check_tenant(load_tenant(path), platform, FUNCTIONS)


def text_of(problem: SpecError) -> str:
    return f"{problem.what} | {problem.mend}"


def test_a_good_tenant(tmp_path):
    check(tmp_path, GOOD)
    check(tmp_path, GOOD, None)
    assert load_tenant(tmp_path / "acme.yaml").tenant == "acme"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "fragment"),
    [
        # clusters
        (
            "[west, east]",
            "[west, east, noth]",
            2,
            "clusters[2]",
            "the platform has no cluster 'noth' | did you mean `north`?",
        ),
        ("[west, east]", "[west, east, west]", 2, "clusters[2]", "'west' stands twice | remove one"),
        ("home: west", "home: north", 3, "home", "'north' is not one of the tenant's clusters | use one of west, east"),
        (
            "replicate_to: [west]",
            "replicate_to: [west, north]",
            6,
            "namespaces.sensors.replicate_to[1]",
            "'north' is not one of",
        ),
        (
            "replicate_to: [west]",
            "replicate_to: []",
            6,
            "namespaces.sensors.replicate_to",
            "the namespace is in no cluster",
        ),
        # policies
        ("{time: 7d, size: 10GB}", "{time: 7d}", 7, "namespaces.sensors.retention", "Pulsar wants both, or neither"),
        ("size: 5GB", "size: 10GB", 8, "namespaces.sensors.backlog_quota.size", "must be below the retention's"),
        ("replicate_to: [west]", "ttl: unlimited", 6, "namespaces.sensors.ttl", "ttl cannot be unlimited"),
        ("parallelism: 2", "event_timeout: 0s", 32, "deployments.risk.event_timeout", "an event needs a time"),
        # topics
        (
            "  sensors/labels:\n",
            "  sensor/labels:\n",
            15,
            "topics.sensor/labels",
            "no namespace 'sensor' is declared | did you mean `sensors`?",
        ),
        (
            "  models/alarms:\n",
            "  models/x-partition-3:\n",
            21,
            "topics.models/x-partition-3",
            "cannot end like a partition's",
        ),
        (
            "  models/alarms:\n",
            "  models/risk-dead-letters:\n",
            21,
            "topics.models/risk-dead-letters",
            "dead-letter topic of deployment 'risk'",
        ),
        (
            "  models/alarms:\n",
            "  models/risk-logs:\n",
            21,
            "topics.models/risk-logs",
            "log topic of deployment 'risk'",
        ),
        # references of deployments
        (
            "function: risk",
            "function: risk2",
            26,
            "deployments.risk.function",
            "there is no function 'risk2' | did you mean `risk`?",
        ),
        (
            "namespace: models",
            "namespace: model",
            27,
            "deployments.risk.namespace",
            "no namespace 'model' is declared | did you mean `models`?",
        ),
        (
            "labels: sensors/labels",
            "labels: sensors/label",
            30,
            "deployments.risk.inputs.labels",
            "no topic 'sensors/label' is declared | did you mean `sensors/labels`?",
        ),
        (
            "output: models/risk",
            "output: models/rsk",
            31,
            "deployments.risk.output",
            "no topic 'models/rsk' is declared",
        ),
        # the function's interface
        (
            "      labels: sensors/labels\n",
            "",
            28,
            "deployments.risk.inputs",
            "has an input 'labels', which is not connected | add `labels",
        ),
        (
            "labels: sensors/labels",
            "label: sensors/labels",
            30,
            "deployments.risk.inputs.label",
            "has no input 'label' | did you mean `labels`?",
        ),
        ("    output: models/alarms\n", "", 33, "deployments.alarm", "has an output, which goes nowhere"),
        (
            "      alarms: models/alarms\n",
            "      alarms: models/alarms\n    output: sensors/labels\n",
            44,
            "deployments.sink.output",
            "has no output",
        ),
        (
            "labels: sensors/labels",
            "labels: sensors/readings",
            30,
            "deployments.risk.inputs.labels",
            "is the input 'readings' already",
        ),
        # partitions
        (
            "    partitions: 4\n    schema: label",
            "    partitions: 8\n    schema: label",
            30,
            "deployments.risk.inputs.labels",
            "partition mismatch: sensors/labels has 8 partitions, sensors/readings (input 'readings') has 4",
        ),
        (
            "    partitions: 4\n    schema: alarm",
            "    partitions: 8\n    schema: alarm",
            38,
            "deployments.alarm.output",
            "partition mismatch: models/alarms has 8",
        ),
        (
            "parallelism: 2",
            "parallelism: 5",
            32,
            "deployments.risk.parallelism",
            "parallelism 5 is more than the 4 partitions",
        ),
        # where things are
        (
            "replicate_to: [west]",
            "replicate_to: [east]",
            29,
            "deployments.risk.inputs.readings",
            "namespace 'sensors' is not in the home cluster 'west'",
        ),
        # config
        ("parallelism: 2", "config: {since: 2026-01-01}", 32, "deployments.risk.config.since", "a date cannot be sent"),
        (
            "parallelism: 2",
            "config: {pulsar_pipeline: {}}",
            32,
            "deployments.risk.config.pulsar_pipeline",
            "kept for the product",
        ),
        # between deployments
        (
            "output: models/alarms",
            "output: models/risk",
            38,
            "deployments.alarm.output",
            "is the output of deployment 'risk' already",
        ),
        (
            "output: models/alarms",
            "output: sensors/readings",
            31,
            "deployments.risk.output",
            "comes back to the deployment's own inputs",
        ),
        # late events
        (
            "output: models/alarms",
            "output: models/alarms\n    late: models/lte",
            39,
            "deployments.alarm.late",
            "no topic 'models/lte' is declared",
        ),
        (
            "parallelism: 2",
            "late: models/alarms",
            32,
            "deployments.risk.late",
            "models/alarms is the output of deployment 'alarm' | give late events a topic of their own",
        ),
        (
            "parallelism: 2",
            "late: sensors/labels",
            32,
            "deployments.risk.late",
            "come back to the deployment's own inputs, and are late again",
        ),
        # guarantees
        (
            "  models:\n    retention: {time: 7d, size: 10GB}",
            "  models:\n    retention: {time: 7d, size: 10GB}\n    permissions:\n      app: [produce]",
            12,
            "namespaces.models.permissions.app",
            "into what 'risk', 'alarm' writes exactly once | give outputs a namespace of their own",
        ),
        # views
        (
            "deployment: risk",
            "deployment: rsk",
            46,
            "views.risk.deployment",
            "no deployment 'rsk' is declared | did you mean `risk`?",
        ),
        (
            "deployment: risk",
            "deployment: sink",
            46,
            "views.risk.deployment",
            "deployment 'sink' has no output to serve",
        ),
        (
            "  models:\n    retention: {time: 7d, size: 10GB}",
            "  models:\n    ttl: 1h",
            46,
            "views.risk.deployment",
            "retains nothing",
        ),
        (
            "  models:\n",
            "  models:\n    replicate_to: [west]\n",
            47,
            "views.risk.deployment",
            "namespace 'models' is not in east",
        ),
    ],
)
def test_a_broken_rule(tmp_path, old, new, line, key, fragment):
    assert old in GOOD
    with pytest.raises(SpecError) as caught:
        check(tmp_path, GOOD.replace(old, new, 1))
    problems = caught.value.problems or (caught.value,)
    assert all(problem.mend for problem in problems)
    told = [(problem.file, problem.line, problem.key) for problem in problems if fragment in text_of(problem)]
    assert (tmp_path / "acme.yaml", line, key) in told


LATE = GOOD.replace("topics:\n", "topics:\n  late/readings:\n    partitions: 4\n    schema: reading.v1.avsc\n", 1)
LATE = LATE.replace("namespaces:\n", "namespaces:\n  late: {}\n", 1)
LATE = LATE.replace("    output: models/risk\n", "    output: models/risk\n    late: late/readings\n", 1)


def test_late_events_have_a_topic_of_their_own(tmp_path):
    check(tmp_path, LATE)


@pytest.mark.parametrize(
    ("old", "new", "fragment"),
    [
        ("partitions: 4", "partitions: 8", "partition mismatch: late/readings has 8"),
        ("late: {}", "late: {replicate_to: [east]}", "namespace 'late' is not in the home cluster 'west'"),
    ],
)
def test_a_late_topic_stands_beside_the_inputs(tmp_path, old, new, fragment):
    with pytest.raises(SpecError, match=fragment) as caught:
        check(tmp_path, LATE.replace(old, new, 1))
    assert caught.value.key == "deployments.risk.late"
    assert (caught.value.line or 0) > 30
    assert caught.value.mend


def test_without_a_platform_any_cluster_will_do(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD.replace("east", "mars"))
    tenant = load_tenant(path)
    check_tenant(tenant, None, FUNCTIONS)
    with pytest.raises(SpecError, match="the platform has no cluster 'mars'"):
        check_tenant(tenant, PLATFORM, FUNCTIONS)


def test_all_broken_rules_are_told(tmp_path):
    text = GOOD.replace("home: west", "home: north").replace("parallelism: 2", "parallelism: 9")
    with pytest.raises(SpecError) as caught:
        check(tmp_path, text.replace("deployment: risk", "deployment: rsk"))
    keys = [problem.key for problem in caught.value.problems]
    assert keys[0] == "home"
    assert {"deployments.risk.parallelism", "views.risk.deployment"} <= set(keys)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines)


def test_a_tenant_built_in_code_is_told_by_key(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD)
    tenant = load_tenant(path).model_copy(update={"home": "north"})
    built = type(tenant).model_validate(tenant.model_dump(by_alias=True))
    with pytest.raises(SpecError) as caught:
        check_tenant(built, None, FUNCTIONS)
    assert (caught.value.file, caught.value.line, caught.value.key) == (None, None, "home")
