from __future__ import annotations

from typing import Any

import pytest

from pulsar_pipeline.rollout.status import Failure, Health, health, parse_stats, parse_status

# As Pulsar 4.0.7 answers.
RUNNING = {
    "running": True,
    "error": "",
    "numRestarts": 1,
    "numReceived": 10,
    "numSuccessfullyProcessed": 8,
    "numUserExceptions": 2,
    "latestUserExceptions": [{"exceptionString": "ValueError: x", "timestampMs": 20}],
    "numSystemExceptions": 1,
    "latestSystemExceptions": [{"exceptionString": "Timeout", "timestampMs": 10}],
    "averageLatency": 0.5,
    "lastInvocationTime": 30,
    "workerId": "w",
}


def status(*instances: dict[str, Any]) -> Any:
    entries = [{"instanceId": number, "status": each} for number, each in enumerate(instances)]
    return parse_status({"numInstances": len(entries), "instances": entries[::-1]})


def test_an_instance_is_read_whole() -> None:
    (found,) = status(RUNNING).instances
    assert found.running
    assert (found.restarts, found.received, found.processed) == (1, 10, 8)
    assert (found.user_failures, found.system_failures) == (2, 1)
    assert found.last_failures == (Failure("Timeout", 10), Failure("ValueError: x", 20))
    assert (found.mean_latency_ms, found.last_event_ms, found.worker) == (0.5, 30, "w")


def test_instances_are_in_order_and_nulls_are_nothing() -> None:
    found = status(RUNNING, {"running": False, "error": None, "latestUserExceptions": None})
    assert [each.instance for each in found.instances] == [0, 1]
    assert found.instances[1].error == ""
    assert found.instances[1].last_failures == ()


@pytest.mark.parametrize(
    ("instances", "parallelism", "expected"),
    [
        ([], 1, Health.STARTING),
        ([{"running": True}], 1, Health.RUNNING),
        ([{"running": True}], 2, Health.STARTING),
        ([{"running": True}, {"running": True}], 1, Health.STARTING),
        ([{"running": True}, {"running": False}], 2, Health.STARTING),
        ([{"running": False, "error": "UNAVAILABLE: io exception"}], 1, Health.STARTING),
        ([{"running": False, "error": "starting"}], 1, Health.STARTING),
        ([{"running": False, "error": "Function has not been scheduled"}], 1, Health.STARTING),
        ([{"running": True}, {"running": False, "error": "of an instance too many"}], 1, Health.STARTING),
        ([{"running": False, "error": "waiting for its partitions: ConsumerBusy"}], 1, Health.STARTING),
        ([{"running": True}, {"running": False, "error": "Risk cannot be constructed: x"}], 2, Health.FAILED),
    ],
)
def test_health(instances: list[dict[str, Any]], parallelism: int, expected: Health) -> None:
    assert health(status(*instances), parallelism) is expected


def test_stats_of_all_and_of_each() -> None:
    counts = {"receivedTotal": 60, "processedSuccessfullyTotal": 50, "userExceptionsTotal": 10}
    minute = {"1min": {"receivedTotal": 6, "avgProcessLatency": 1.5}}
    metrics = counts | minute | {"avgProcessLatency": 2.0, "lastInvocation": 9, "userMetrics": {"auc": 0.9}}
    stats = parse_stats(counts | {"instances": [{"instanceId": 0, "metrics": metrics}]})
    assert (stats.total.instance, stats.total.received, stats.total.mean_latency_ms) == (None, 60, None)
    (each,) = stats.instances
    assert (each.received_last_minute, each.mean_latency_last_minute_ms) == (6, 1.5)
    assert (each.processed, each.user_failures, each.last_event_ms) == (50, 10, 9)
    assert each.metrics == {"auc": 0.9}
