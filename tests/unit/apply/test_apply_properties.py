"""For any spec: what apply leaves needs no second plan, and a cut anywhere can be taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsar_pipeline.apply.execute import execute
from pulsar_pipeline.cluster.fake import FakeCluster
from pulsar_pipeline.cluster.state import NamespaceName
from pulsar_pipeline.names import STATE_NAMESPACE
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.plan.steps import Plan
from pulsar_pipeline.spec.model import Namespace, Tenant
from tests.support.tenants import PLATFORM, tenant, write_schema

NAMES = ("one", "two", "three")
CLUSTERS = tuple(PLATFORM.clusters)

sizes = st.one_of(st.just("unlimited"), st.integers(1, 1 << 40))
retentions = st.one_of(st.just({}), st.fixed_dictionaries({"time": sizes, "size": sizes}))
actions = st.lists(st.sampled_from(["produce", "consume", "functions", "sources"]), unique=True)


@st.composite
def namespaces(draw: st.DrawFn, clusters: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "retention": draw(retentions),
        "deduplication": draw(st.sampled_from([True, False, None])),
        "schema": {"compatibility": draw(st.sampled_from(["full", "backward_transitive"]))},
        "permissions": draw(st.dictionaries(st.sampled_from(["app", "auditor", "acme-functions"]), actions)),
    }
    optional = {
        "replicate_to": st.lists(st.sampled_from(clusters), min_size=1, unique=True),
        "ttl": sizes,
        "compaction_threshold": sizes,
        "publish_rate": st.fixed_dictionaries({"messages": st.integers(-1, 1000), "size": sizes}),
        "backlog_quota": st.fixed_dictionaries({"time": sizes, "policy": st.just("producer_exception")}),
    }
    return spec | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def tenants(draw: st.DrawFn, schema: Path) -> Tenant:
    clusters = draw(st.lists(st.sampled_from(CLUSTERS), min_size=1, unique=True))
    spaces = draw(st.dictionaries(st.sampled_from(NAMES), namespaces(clusters), min_size=1))
    partitions = draw(st.integers(1, 4))
    topics = {
        f"{space}/{topic}": {"partitions": partitions, "schema": str(schema)}
        for space, topic in draw(st.sets(st.tuples(st.sampled_from(sorted(spaces)), st.sampled_from(["a", "b"]))))
    }
    deployments = {}
    if topics:
        source = draw(st.sampled_from(sorted(topics)))
        deployments["job"] = {
            "function": "job",
            "namespace": sorted(spaces)[0],
            "inputs": {"in": source},
            "output": draw(st.sampled_from([None, *sorted(topics)])),
            "guarantee": draw(st.sampled_from(["exactly_once", "at_least_once", "at_most_once"])),
        }
    return tenant(
        schema,
        clusters=clusters,
        home=clusters[0],
        namespaces=spaces,
        topics=topics,
        deployments=deployments,
        views={},
        api={"roles": draw(st.lists(st.sampled_from(["web", "app"]), unique=True))},
    )


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schema(tmp_path_factory.mktemp("schemas"))


def fakes() -> dict[str, FakeCluster]:
    return {name: FakeCluster(name) for name in CLUSTERS}


def plan(spec: Tenant, clusters: dict[str, FakeCluster]) -> Plan:
    return make_plan(PLATFORM, [spec], clusters)


def finish(spec: Tenant, clusters: dict[str, FakeCluster]) -> None:
    outcome = execute(plan(spec, clusters), clusters, lambda step, error: None)
    assert outcome.error is None


def contents(clusters: dict[str, FakeCluster]) -> dict[str, Any]:
    """All that the fakes hold, as readers see it."""
    found: dict[str, Any] = {}
    for name, cluster in clusters.items():
        spaces = [NamespaceName("acme", space) for space in (*NAMES, STATE_NAMESPACE)]
        topics = {topic: kind for space in spaces for topic, kind in cluster.topics(space).items()}
        found[name] = (
            {peer: cluster.cluster_record(peer) for peer in CLUSTERS},
            cluster.tenant("acme"),
            {space: cluster.policies(space) for space in spaces},
            {topic: (cluster.partitions(topic), cluster.schemas(topic)) for topic in topics},
        )
    return found


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nothing_is_left_to_do_after_an_apply(schema: Path, data: st.DataObject) -> None:
    clusters = fakes()
    spec = data.draw(tenants(schema))
    finish(spec, clusters)
    assert plan(spec, clusters).steps == ()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nothing_is_left_to_do_after_a_change_of_policies(schema: Path, data: st.DataObject) -> None:
    clusters = fakes()
    first = data.draw(tenants(schema))
    finish(first, clusters)
    changed = data.draw(namespaces(list(first.clusters)))
    space = data.draw(st.sampled_from(sorted(first.namespaces)))
    spaces = {**first.namespaces, space: Namespace.model_validate(changed)}
    second = first.model_copy(update={"namespaces": spaces})
    finish(second, clusters)
    assert plan(second, clusters).steps == ()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_cut_anywhere_is_taken_up_again(schema: Path, data: st.DataObject) -> None:
    spec = data.draw(tenants(schema))
    whole, cut = fakes(), fakes()
    finish(spec, whole)

    made = plan(spec, cut)
    victim = cut[data.draw(st.sampled_from(spec.clusters))]
    victim.writes_left = data.draw(st.integers(0, max(0, whole[victim.name].writes - 1)))
    outcome = execute(made, cut, lambda step, error: None)
    assert outcome.error is not None
    assert outcome.error.where == f"cluster {victim.name}"
    assert outcome.done + outcome.remaining == made.steps

    victim.writes_left = None
    rest = plan(spec, cut)
    assert set(rest.steps) <= set(made.steps)
    assert len(rest.steps) == len(outcome.remaining)
    finish(spec, cut)
    assert contents(cut) == contents(whole)
    assert plan(spec, cut).steps == ()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_plan_may_be_taken_twice(schema: Path, data: st.DataObject) -> None:
    clusters = fakes()
    made = plan(data.draw(tenants(schema)), clusters)
    assert execute(made, clusters, lambda step, error: None).error is None
    once = contents(clusters)
    assert execute(made, clusters, lambda step, error: None).error is None
    assert contents(clusters) == once
