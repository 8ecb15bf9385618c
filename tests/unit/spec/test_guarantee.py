"""What an exactly-once deployment rules out, and that a weaker guarantee allows it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.guarantee import MAX_INPUTS, guarantee_problems
from pulsar_pipeline.spec.model import Tenant

KEPT = {"time": "7d", "size": "10GB"}


def tenant(
    *,
    guarantee: str | None = None,
    sensors: dict[str, Any] | None = None,
    models: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    inputs: int = 1,
) -> Tenant:
    topics = {f"sensors/t{number}": {"partitions": 1, "schema": "x.v1.avsc"} for number in range(inputs)}
    deployment: dict[str, Any] = {
        "function": "risk",
        "namespace": "jobs",
        "inputs": {f"i{number}": ref for number, ref in enumerate(topics)},
        "output": "models/risk",
    }
    if guarantee is not None:
        deployment["guarantee"] = guarantee
    return Tenant.model_validate(
        {
            "tenant": "acme",
            "clusters": ["west", "east"],
            "home": "west",
            "namespaces": {"sensors": sensors or {}, "models": {"retention": KEPT} | (models or {}), "jobs": {}},
            "topics": topics | {"models/risk": {"partitions": 1, "schema": "x.v1.avsc"}},
            "deployments": {"risk": deployment, **(more or {})},
        }
    )


def problems(spec: Tenant) -> list[SpecError]:
    return list(guarantee_problems(spec))


def test_exactly_once_is_the_default() -> None:
    spec = tenant()
    assert spec.deployments["risk"].guarantee == "exactly_once"
    assert spec.written_exactly_once == {"models": ("risk",)}
    assert problems(spec) == []


def test_no_other_guarantee_is_known() -> None:
    with pytest.raises(ValidationError, match="exactly_once"):
        tenant(guarantee="effectively_once")


def test_the_namespace_of_state_cannot_be_declared() -> None:
    spec = tenant().model_dump(by_alias=True)
    spec["namespaces"]["_state"] = {}
    with pytest.raises(ValidationError, match="_state"):
        Tenant.model_validate(spec)


EVICTION = {"backlog_quota": {"size": "1GB", "policy": "consumer_backlog_eviction"}}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"models": {"deduplication": False}}, "namespaces.models.deduplication", "needs deduplication"),
    ({"models": {"retention": {}}}, "namespaces.models.retention", "nothing is retained"),
    ({"models": {"permissions": {"app": ["produce"]}}}, "namespaces.models.permissions.app", "'app' may write"),
    ({"models": {"ttl": "1d"}}, "namespaces.models.ttl", "dropped unread"),
    ({"models": EVICTION}, "namespaces.models.backlog_quota.policy", "dropped unread"),
    ({"sensors": {"ttl": "1d"}}, "namespaces.sensors.ttl", "dropped unread"),
    ({"sensors": EVICTION}, "namespaces.sensors.backlog_quota.policy", "dropped unread"),
    ({"inputs": MAX_INPUTS + 1}, "deployments.risk.inputs", "at most 25 inputs, not 26"),
]


@pytest.mark.parametrize(("change", "key", "fragment"), REFUSED, ids=[key for _, key, _ in REFUSED])
def test_what_exactly_once_rules_out(change: dict[str, Any], key: str, fragment: str) -> None:
    (problem,) = problems(tenant(**change))
    assert problem.key == key
    assert fragment in problem.what
    assert "guarantee: " in (problem.mend or "") or key.endswith("retention")


@pytest.mark.parametrize(("change", "key", "fragment"), REFUSED, ids=[key for _, key, _ in REFUSED])
@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_a_weaker_guarantee_allows_it(guarantee: str, change: dict[str, Any], key: str, fragment: str) -> None:
    assert problems(tenant(guarantee=guarantee, **change)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"models": {"deduplication": True}},
        {"models": {"permissions": {"app": ["consume"], "acme-functions": ["produce"]}}},
        {"models": {"ttl": "1d", "replicate_to": ["west"]}},
        {"models": {"ttl": "0s"}},
        {"sensors": {"permissions": {"app": ["produce"]}}},
        {"sensors": {"deduplication": False}},
        {"sensors": {"backlog_quota": {"size": "1GB", "policy": "producer_exception"}}},
        {"inputs": MAX_INPUTS},
    ],
)
def test_what_stays_allowed(change: dict[str, Any]) -> None:
    assert problems(tenant(**change)) == []


def test_one_thing_in_the_way_of_several_deployments_is_told_once() -> None:
    alarm = {"function": "alarm", "namespace": "jobs", "inputs": {"risks": "models/risk"}, "output": "models/alarms"}
    spec = tenant(more={"alarm": alarm}, models={"deduplication": False, "ttl": "1d"})
    told = {problem.key: problem.what for problem in problems(spec)}
    assert set(told) == {"namespaces.models.deduplication", "namespaces.models.ttl"}
    assert all("'risk'" in what and what.count("'alarm'") == 1 for what in told.values())


def test_an_unknown_namespace_is_left_to_the_rule_for_it() -> None:
    lost = {"function": "lost", "namespace": "jobs", "inputs": {"in": "nowhere/in"}, "output": "nowhere/out"}
    assert problems(tenant(more={"lost": lost})) == []
