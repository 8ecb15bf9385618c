"""Plan and apply on two real clusters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.apply.execute import Outcome, execute
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state import (
    BacklogQuota,
    NamespaceName,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
    TenantInfo,
)
from pulsar_pipeline.errors import ClusterRefused, ClusterUnreachable, PlanError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.plan.steps import GrowTopic, Plan, SetPermission, SetPolicy, Step, UploadSchema
from pulsar_pipeline.spec.model import Auth, Platform, Tenant
from tests.support.clusters import Tokens
from tests.support.remove import remove_tenant
from tests.support.tenants import namespace, tenant, write_schema

pytestmark = pytest.mark.cluster

Clusters = dict[str, AdminCluster]


@pytest.fixture(scope="module")
def clusters(platform: Platform) -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield {
            name: AdminCluster(stack.enter_context(AdminHttp(name, cluster)))
            for name, cluster in platform.clusters.items()
        }


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schema(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def name(platform: Platform, unique: str) -> Iterator[str]:
    """A tenant that is applied once and changed by each test in turn."""
    yield f"apply-{unique}"
    remove_tenant(platform, f"apply-{unique}")


@pytest.fixture
def spec(platform: Platform, clusters: Clusters, schema: Path, name: str) -> Tenant:
    """The tenant's spec, applied."""
    spec = tenant(schema, name)
    applied(platform, spec, clusters)
    return spec


def take(plan: Plan, clusters: Clusters) -> Outcome:
    return execute(plan, clusters, lambda step, error: None)


def applied(platform: Platform, spec: Tenant, clusters: Clusters) -> Plan:
    """Plan and apply; the second plan is empty."""
    plan = make_plan(platform, [spec], clusters)
    outcome = take(plan, clusters)
    assert outcome.error is None
    assert make_plan(platform, [spec], clusters).steps == ()
    return plan


def test_an_applied_tenant_needs_no_second_plan(platform: Platform, clusters: Clusters, spec: Tenant) -> None:
    assert make_plan(platform, [spec], clusters).steps == ()
    for cluster in clusters.values():
        dead_letters = TopicName(spec.tenant, "models", "risk-dead-letters")
        assert cluster.partitions(dead_letters) == 4
        assert cluster.schemas(dead_letters) == ()
        assert len(cluster.schemas(TopicName(spec.tenant, "sensors", "readings"))) == 1


CHANGES: list[tuple[dict[str, Any], Policy, PolicyValue]] = [
    ({"retention": {"time": "90s", "size": "unlimited"}}, Policy.RETENTION, Retention(2, -1)),
    ({"ttl": "unlimited"}, Policy.TTL, 0),
    (
        {"backlog_quota": {"size": "2GB", "policy": "consumer_backlog_eviction"}},
        Policy.BACKLOG_QUOTA,
        BacklogQuota(2 << 30, -1, "consumer_backlog_eviction"),
    ),
    ({"compaction_threshold": "unlimited"}, Policy.COMPACTION_THRESHOLD, 0),
    ({"deduplication": False}, Policy.DEDUPLICATION, False),
    ({"schema": {"compatibility": "always_compatible"}}, Policy.SCHEMA_COMPATIBILITY, "ALWAYS_COMPATIBLE"),
    ({"schema": {"enforce": False}}, Policy.SCHEMA_ENFORCED, False),
    ({"publish_rate": {"size": "1MB"}}, Policy.PUBLISH_RATE, PublishRate(-1, 1 << 20)),
]


@pytest.mark.parametrize(("change", "policy", "after"), CHANGES, ids=[policy.value for _, policy, _ in CHANGES])
def test_one_changed_policy_is_one_step_in_each_cluster(
    platform: Platform,
    clusters: Clusters,
    spec: Tenant,
    schema: Path,
    change: dict[str, Any],
    policy: Policy,
    after: PolicyValue,
) -> None:
    changed = tenant(schema, spec.tenant, namespaces={"sensors": namespace(**change), "models": {}})
    steps = applied(platform, changed, clusters).steps
    assert [(step.cluster, step.policy, step.after) for step in steps if isinstance(step, SetPolicy)] == [
        (cluster, policy, after) for cluster in ("east", "west")
    ]
    assert len(steps) == 2
    applied(platform, spec, clusters)


def test_drift_is_found_and_taken_back(platform: Platform, clusters: Clusters, spec: Tenant) -> None:
    sensors = NamespaceName(spec.tenant, "sensors")
    clusters["east"].set_policy(sensors, Policy.AUTO_TOPIC_CREATION, True)
    clusters["west"].set_permission(sensors, "app", frozenset({"produce", "consume"}))
    clusters["west"].set_permission(sensors, "stranger", frozenset({"consume"}))
    plan = applied(platform, spec, clusters)
    assert plan.steps == (
        SetPolicy("east", sensors, Policy.AUTO_TOPIC_CREATION, True, False),
        SetPermission("west", sensors, "app", frozenset({"produce", "consume"}), frozenset({"produce"})),
    )
    assert len(plan.notes) == 1
    left = clusters["west"].policies(sensors)
    assert left is not None
    assert "stranger" in left.permissions


def test_a_new_schema_version_and_an_incompatible_one(
    platform: Platform, clusters: Clusters, spec: Tenant, tmp_path: Path
) -> None:
    extra = {"name": "unit", "type": ["null", "string"], "default": None}
    second = write_schema(tmp_path, "reading.v2", extra)
    plan = applied(platform, tenant(second, spec.tenant), clusters)
    assert {type(step) for step in plan.steps} == {UploadSchema}
    assert len(plan.steps) == 4
    third = write_schema(tmp_path, "reading.v3", {"name": "unit", "type": "int"})
    with pytest.raises(PlanError, match=r"schema reading\.v3 is not full_transitive compatible"):
        make_plan(platform, [tenant(third, spec.tenant)], clusters)


def test_topics_grow_in_every_cluster(platform: Platform, clusters: Clusters, schema: Path, unique: str) -> None:
    name = f"grow-{unique}"
    try:
        small = tenant(schema, name, deployments={}, views={})
        applied(platform, small, clusters)
        topics = {ref: topic.model_copy(update={"partitions": 6}) for ref, topic in small.topics.items()}
        steps = applied(platform, small.model_copy(update={"topics": topics}), clusters).steps
        assert [(type(step), step.cluster) for step in steps] == [
            (GrowTopic, cluster) for cluster in ("east", "east", "west", "west")
        ]
        with pytest.raises(PlanError, match="cannot shrink"):
            make_plan(platform, [small], clusters)
    finally:
        remove_tenant(platform, name)


class CutHttp(AdminHttp):
    """Lets some changes pass, then answers no more."""

    left = 0

    def request(self, method: str, path: str, **options: Any) -> Any:
        if method != "GET":
            if self.left == 0:
                raise ClusterUnreachable("no answer", where=f"cluster {self.name}")
            self.left -= 1
        return super().request(method, path, **options)


def test_a_cluster_lost_in_the_middle_is_taken_up_again(
    platform: Platform, clusters: Clusters, schema: Path, unique: str
) -> None:
    name = f"cut-{unique}"
    spec = tenant(schema, name)
    try:
        done: tuple[Step, ...] = ()
        plan = make_plan(platform, [spec], clusters)
        for passes in (0, 3, 9):
            with CutHttp("east", platform.clusters["east"]) as http:
                http.left = passes
                outcome = take(make_plan(platform, [spec], clusters), clusters | {"east": AdminCluster(http)})
            assert outcome.error is not None
            assert outcome.error.where == "cluster east"
            rest = make_plan(platform, [spec], clusters)
            assert rest.steps == outcome.remaining
            done += outcome.done
        assert done + rest.steps == plan.steps
        applied(platform, spec, clusters)
    finally:
        remove_tenant(platform, name)


def test_a_cluster_that_is_down_is_named_and_nothing_is_done(
    platform: Platform, clusters: Clusters, schema: Path, unique: str
) -> None:
    dead = platform.clusters["east"].model_copy(update={"admin_url": "http://127.0.0.1:9"})
    with AdminHttp("east", dead) as http, pytest.raises(ClusterUnreachable) as caught:
        make_plan(platform, [tenant(schema, f"down-{unique}")], clusters | {"east": AdminCluster(http)})
    assert caught.value.where == "cluster east"
    assert clusters["west"].tenant(f"down-{unique}") is None


def test_a_tenants_admin_plans_its_own_tenant_and_no_other(
    platform: Platform, clusters: Clusters, spec: Tenant, schema: Path, tokens: Tokens, tmp_path: Path, unique: str
) -> None:
    other = tenant(schema, f"other-{unique}", deployments={}, views={})
    auth = Auth(token_file=tokens.file_of(f"{spec.tenant}-admin", tmp_path))
    try:
        applied(platform, other, clusters)
        with ExitStack() as stack:
            own = {
                name: AdminCluster(
                    stack.enter_context(AdminHttp(name, platform.clusters[name].model_copy(update={"auth": auth})))
                )
                for name in spec.clusters
            }
            plan = make_plan(platform, [spec], own)
            assert plan.steps == ()
            assert len(plan.notes) >= 2, "that the registries could not be compared is said"

            with pytest.raises(ClusterRefused) as caught:
                make_plan(platform, [other], own)
            assert caught.value.where in {"cluster west", "cluster east"}
            assert auth.token_file.read_text() not in str(caught.value)

            shorter = other.model_copy(update={"admin_roles": (f"{spec.tenant}-admin",)})
            outcome = take(make_plan(platform, [shorter], clusters), own)
            assert isinstance(outcome.error, ClusterRefused)
            assert outcome.done == ()
        both = frozenset({"west", "east"})
        assert clusters["west"].tenant(other.tenant) == TenantInfo(frozenset({f"{other.tenant}-admin"}), both)
    finally:
        remove_tenant(platform, other.tenant)


def test_a_plan_of_fifty_topics_in_two_clusters_is_a_matter_of_seconds(
    platform: Platform, clusters: Clusters, schema: Path, unique: str
) -> None:
    name = f"many-{unique}"
    topics = {f"sensors/t{number}": {"partitions": 1, "schema": str(schema)} for number in range(50)}
    spec = tenant(schema, name, topics=topics, deployments={}, views={})
    try:
        applied(platform, spec, clusters)
        took = []
        for _ in range(3):  # a busy machine is no finding
            started = time.monotonic()
            assert make_plan(platform, [spec], clusters).steps == ()
            took.append(time.monotonic() - started)
        assert min(took) < 5
    finally:
        remove_tenant(platform, name)
