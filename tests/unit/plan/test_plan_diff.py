"""Every kind of difference gives its step, against the fake; order, refusals, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.apply.execute import execute, take
from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.cluster.state import (
    ClusterRecord,
    NamespaceName,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
    TenantInfo,
)
from pulsar_pipeline.errors import ClusterRefused, ClusterUnreachable, PlanError
from pulsar_pipeline.names import (
    DEAD_LETTERS_SUBSCRIPTION,
    STATE_NAMESPACE,
    STATE_SUBSCRIPTION,
    TopicName,
    dead_letter_topic,
    state_topic,
)
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.plan.steps import (
    CreateNamespace,
    CreateTopic,
    GrowTopic,
    HoldMessages,
    LeaveCluster,
    Plan,
    RegisterCluster,
    SetPermission,
    SetPolicy,
    SetTenant,
    UploadSchema,
)
from pulsar_pipeline.spec.model import Tenant
from tests.support.tenants import PLATFORM, namespace, tenant, write_schema

SENSORS = NamespaceName("acme", "sensors")
READINGS = TopicName("acme", "sensors", "readings")

Clusters = dict[str, FakeCluster]


@pytest.fixture
def clusters() -> Clusters:
    return {name: FakeCluster(name) for name in PLATFORM.clusters}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return write_schema(tmp_path)


def plan(spec: Tenant, clusters: Clusters) -> Plan:
    return make_plan(PLATFORM, [spec], clusters)


def apply(spec: Tenant, clusters: Clusters) -> Plan:
    made = plan(spec, clusters)
    outcome = execute(made, clusters, lambda step, error: None)
    assert outcome.error is None
    return made


def sensors(**policies: Any) -> dict[str, Any]:
    return {"sensors": namespace(**policies), "models": {}}


def test_an_empty_platform_gets_everything_in_order(schema: Path, clusters: Clusters) -> None:
    steps = plan(tenant(schema), clusters).steps
    kinds = list(dict.fromkeys(type(step) for step in steps))
    assert kinds == [
        RegisterCluster,
        SetTenant,
        CreateNamespace,
        SetPolicy,
        SetPermission,
        UploadSchema,
        CreateTopic,
        HoldMessages,
    ]
    assert {step.cluster for step in steps} == {"west", "east"}


def test_a_plan_changes_nothing(schema: Path, clusters: Clusters) -> None:
    plan(tenant(schema), clusters)
    assert [cluster.writes for cluster in clusters.values()] == [0, 0, 0]


def test_the_second_plan_is_empty(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    second = plan(tenant(schema), clusters)
    assert second.steps == ()
    assert second.notes == ()


CHANGES: list[tuple[dict[str, Any], Policy, PolicyValue]] = [
    ({"retention": {"time": "8d", "size": "10GB"}}, Policy.RETENTION, Retention(8 * 1440, 10240)),
    ({"ttl": "2d"}, Policy.TTL, 172800),
    ({"compaction_threshold": "1MB"}, Policy.COMPACTION_THRESHOLD, 1 << 20),
    ({"deduplication": False}, Policy.DEDUPLICATION, False),
    ({"schema": {"compatibility": "backward"}}, Policy.SCHEMA_COMPATIBILITY, "BACKWARD"),
    ({"schema": {"enforce": False}}, Policy.SCHEMA_ENFORCED, False),
    ({"publish_rate": {"messages": 5, "size": "10MB"}}, Policy.PUBLISH_RATE, PublishRate(5, 10 << 20)),
]


@pytest.mark.parametrize(("change", "policy", "after"), CHANGES, ids=[policy.value for _, policy, _ in CHANGES])
def test_one_changed_policy_is_one_step_per_cluster(
    schema: Path, clusters: Clusters, change: dict[str, Any], policy: Policy, after: PolicyValue
) -> None:
    apply(tenant(schema), clusters)
    steps = plan(tenant(schema, namespaces=sensors(**change)), clusters).steps
    assert [(type(step), step.cluster) for step in steps] == [(SetPolicy, "east"), (SetPolicy, "west")]
    assert all(isinstance(step, SetPolicy) and (step.policy, step.after) == (policy, after) for step in steps)


def test_a_policy_that_is_no_longer_declared_is_left_alone(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    undeclared = dict.fromkeys(("ttl", "backlog_quota", "compaction_threshold", "publish_rate"))
    assert plan(tenant(schema, namespaces=sensors(**undeclared)), clusters).steps == ()


def test_drift_is_taken_back(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    clusters["east"].set_policy(SENSORS, Policy.AUTO_TOPIC_CREATION, True)
    assert plan(tenant(schema), clusters).steps == (
        SetPolicy("east", SENSORS, Policy.AUTO_TOPIC_CREATION, True, False),
    )
    apply(tenant(schema), clusters)
    assert plan(tenant(schema), clusters).steps == ()


def test_raised_quota_and_retention_begin_with_the_retention(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    up = sensors(retention={"time": "7d", "size": "100GB"}, backlog_quota={"size": "50GB", "time": "2h"})
    order = [
        step.policy for step in apply(tenant(schema, namespaces=up), clusters).steps if isinstance(step, SetPolicy)
    ]
    assert order[:2] == [Policy.RETENTION, Policy.BACKLOG_QUOTA]
    down = [step.policy for step in plan(tenant(schema), clusters).steps if isinstance(step, SetPolicy)]
    assert down[:2] == [Policy.BACKLOG_QUOTA, Policy.RETENTION]


def test_admin_roles_are_declared_state(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    both = frozenset({"west", "east"})
    clusters["west"].put_tenant("acme", TenantInfo(frozenset({"intruder"}), both))
    (step,) = plan(tenant(schema), clusters).steps
    assert isinstance(step, SetTenant)
    assert step.after == TenantInfo(frozenset({"acme-admin"}), both)


def test_a_declared_roles_grant_is_revoked_and_a_strangers_is_left_and_noted(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    clusters["west"].set_permission(SENSORS, "app", frozenset({"produce", "consume"}))
    clusters["west"].set_permission(SENSORS, "stranger", frozenset({"consume"}))
    made = plan(tenant(schema), clusters)
    assert made.steps == (
        SetPermission("west", SENSORS, "app", frozenset({"produce", "consume"}), frozenset({"produce"})),
    )
    assert made.notes == ("west: acme/sensors grants consume to stranger, which is not declared: left alone",)


def test_topics_that_are_not_declared_are_left_alone(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    clusters["west"].create_topic(TopicName("acme", "sensors", "other"), 1)
    assert plan(tenant(schema), clusters).steps == ()


def test_state_is_for_nobody_but_the_functions(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    state = NamespaceName("acme", STATE_NAMESPACE)
    clusters["west"].set_permission(state, "stranger", frozenset({"produce"}))
    made = apply(tenant(schema), clusters)
    assert made.steps == (SetPermission("west", state, "stranger", frozenset({"produce"}), frozenset()),)
    assert made.notes == ()
    assert plan(tenant(schema), clusters).steps == ()


def test_state_stays_when_no_deployment_needs_it_any_more(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    deployment = tenant(schema).deployments["risk"].model_copy(update={"guarantee": "at_least_once"})
    weaker = tenant(schema).model_copy(update={"deployments": {"risk": deployment}})
    models = NamespaceName("acme", "models")
    assert apply(weaker, clusters).steps == tuple(
        SetPolicy(cluster, models, Policy.DEDUPLICATION, True, False) for cluster in ("east", "west")
    )
    assert clusters["west"].partitions(state_topic("acme", "risk")) == 4


def test_partitions_grow_with_their_dead_letters_and_a_warning(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    topics = {name: topic.model_copy(update={"partitions": 8}) for name, topic in tenant(schema).topics.items()}
    grown = tenant(schema).model_copy(update={"topics": topics})
    steps = apply(grown, clusters).steps
    assert {(type(step), step.topic.topic) for step in steps if isinstance(step, GrowTopic)} == {
        (GrowTopic, "readings"),
        (GrowTopic, "risk"),
        (GrowTopic, "risk-dead-letters"),
        (GrowTopic, "risk-state"),
    }
    assert plan(grown, clusters).steps == ()
    with pytest.raises(PlanError, match="has 8 partitions and cannot shrink to 4") as caught:
        plan(tenant(schema), clusters)
    assert caught.value.what.count("\n") == 7, "every topic in every cluster is named"


def test_dead_letters_wait_where_the_functions_run(schema: Path, clusters: Clusters) -> None:
    letters = dead_letter_topic("acme", "models", "risk")
    held = [step for step in apply(tenant(schema), clusters).steps if isinstance(step, HoldMessages)]
    held = [step for step in held if step.topic.namespace != STATE_NAMESPACE]
    assert held == [HoldMessages("west", letters, DEAD_LETTERS_SUBSCRIPTION)]
    assert clusters["west"].subscriptions(letters) == {DEAD_LETTERS_SUBSCRIPTION}
    moved = tenant(schema, home="east")
    assert apply(moved, clusters).steps == (HoldMessages("east", letters, DEAD_LETTERS_SUBSCRIPTION),)


def test_state_logs_may_be_trimmed_once_a_subscription_keeps_them_and_not_before(
    schema: Path, clusters: Clusters
) -> None:
    apply(tenant(schema), clusters)
    logs, namespace = state_topic("acme", "risk"), NamespaceName("acme", STATE_NAMESPACE)
    unlimited = Retention(-1, -1)
    for cluster in (clusters["west"], clusters["east"]):  # as an older version left them
        cluster.set_policy(namespace, Policy.RETENTION, unlimited)
        cluster.release(logs)
    assert apply(tenant(schema), clusters).steps == (
        HoldMessages("east", logs, STATE_SUBSCRIPTION),
        HoldMessages("west", logs, STATE_SUBSCRIPTION),
        SetPolicy("east", namespace, Policy.RETENTION, unlimited, Retention(0, 0)),
        SetPolicy("west", namespace, Policy.RETENTION, unlimited, Retention(0, 0)),
    )
    assert plan(tenant(schema), clusters).steps == ()


def test_a_topic_without_partitions_is_refused(schema: Path, clusters: Clusters) -> None:
    clusters["west"].add_unpartitioned_topic(READINGS)
    apply_up_to_namespaces(schema, clusters)
    with pytest.raises(PlanError, match="exists without partitions"):
        plan(tenant(schema), clusters)


def apply_up_to_namespaces(schema: Path, clusters: Clusters) -> None:
    for step in plan(tenant(schema, topics={}, deployments={}, views={}), clusters).steps:
        take(step, clusters[step.cluster])


def test_a_new_schema_is_uploaded_everywhere(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    extra = {"name": "unit", "type": ["null", "string"], "default": None}
    second = write_schema(schema.parent, "reading.v2", extra)
    steps = apply(tenant(second), clusters).steps
    assert {(type(step), step.cluster) for step in steps} == {(UploadSchema, "west"), (UploadSchema, "east")}
    assert all(isinstance(step, UploadSchema) and (step.schema, step.before) == ("reading.v2", 0) for step in steps)
    assert plan(tenant(schema), clusters).steps == (), "the older version is there, too"


def test_an_incompatible_schema_is_refused_before_anything_is_done(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    second = write_schema(schema.parent, "reading.v2", {"name": "unit", "type": "string"})
    with pytest.raises(PlanError, match=r"topic acme/sensors/readings: schema reading\.v2 is not full_transitive"):
        plan(tenant(second), clusters)


def test_a_namespace_leaves_a_cluster_only_as_a_deletion(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    spec = tenant(schema, namespaces=sensors(replicate_to=["west"]))
    made = plan(spec, clusters)
    both, west = frozenset({"west", "east"}), frozenset({"west"})
    assert made.steps == (
        SetPolicy("west", SENSORS, Policy.REPLICATION, both, west),
        LeaveCluster("east", SENSORS, both, west, 1),
    )
    assert made.deletes == made.steps[1:]
    apply(spec, clusters)
    assert plan(spec, clusters).steps == ()
    assert clusters["east"].topics(SENSORS) == {}
    back = apply(tenant(schema), clusters)
    assert back.steps[0] == SetPolicy("east", SENSORS, Policy.REPLICATION, west, both)
    assert back.steps[-1] == SetPolicy("west", SENSORS, Policy.REPLICATION, west, both)
    assert plan(tenant(schema), clusters).steps == ()


def test_a_cluster_that_joins_has_its_topics_before_others_send_to_it(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    steps = apply(tenant(schema, clusters=["west", "east", "north"]), clusters).steps
    positions = [number for number, step in enumerate(steps) if isinstance(step, SetPolicy) and step.cluster != "north"]
    assert min(positions) > max(number for number, step in enumerate(steps) if step.cluster == "north")


def test_a_cluster_that_is_given_up_is_noted(schema: Path, clusters: Clusters) -> None:
    apply(tenant(schema), clusters)
    made = plan(tenant(schema, clusters=["west"]), clusters)
    assert made.notes == ("west: tenant acme gives up cluster east; what it has there is left alone",)


def test_a_cluster_that_is_down_is_named_and_nothing_is_done(schema: Path, clusters: Clusters) -> None:
    clusters["east"].down = True
    with pytest.raises(ClusterUnreachable) as caught:
        plan(tenant(schema), clusters)
    assert caught.value.where == "cluster east"
    assert clusters["west"].writes == 0


def test_a_cluster_by_another_name_is_refused(schema: Path, clusters: Clusters) -> None:
    class Misnamed(FakeCluster):
        @property
        def name(self) -> str:
            return "west"

    with pytest.raises(PlanError, match="does not call itself west: it knows standalone"):
        plan(tenant(schema), clusters | {"west": Misnamed("standalone")})


def test_a_registry_that_may_not_be_seen_is_noted_not_refused(schema: Path, clusters: Clusters) -> None:
    class Shy(FakeCluster):
        def cluster_record(self, name: str) -> ClusterRecord | None:
            raise ClusterRefused("only a superuser may", where="cluster west")

    shy = Shy("west")
    shy.put_cluster("east", ClusterRecord())
    made = plan(tenant(schema), clusters | {"west": shy})
    assert [step.cluster for step in made.steps if isinstance(step, RegisterCluster)] == ["east"]
    assert made.notes == ("west: how it reaches east was not compared: only the platform's superuser may see it",)


def test_urls_of_a_peer_are_updated_and_what_is_not_declared_stays(schema: Path, clusters: Clusters) -> None:
    clusters["west"].put_cluster("east", ClusterRecord("http://old:1", "https://old:2", "pulsar://east:6650", None))
    (step,) = [step for step in apply(tenant(schema), clusters).steps if isinstance(step, RegisterCluster)][1:]
    assert step.after == ClusterRecord("http://east:8080", "https://old:2", "pulsar://east:6650", None)
    assert plan(tenant(schema), clusters).steps == ()
