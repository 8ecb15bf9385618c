from __future__ import annotations

import json

import pytest

from pulsar_pipeline.cluster.state import (
    BacklogQuota,
    ClusterRecord,
    NamespaceName,
    Policy,
    PolicyValue,
    PublishRate,
    Retention,
    TenantInfo,
)
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.plan.explain import digest, explain, plan_document, summary
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
    Step,
    UploadSchema,
)

SPACE = NamespaceName("acme", "in")
TOPIC = TopicName("acme", "in", "readings")
BOTH, WEST = frozenset({"west", "east"}), frozenset({"west"})
NO_ROLES: frozenset[str] = frozenset()


def told(*steps: Step) -> list[str]:
    return [line.plain for line in explain(Plan(("acme",), steps))]


STEPS: list[tuple[Step, str]] = [
    (
        RegisterCluster("west", "east", None, ClusterRecord("http://e", None, "pulsar://e", None)),
        "  + cluster east: http://e pulsar://e",
    ),
    (
        SetTenant("west", "acme", None, TenantInfo(frozenset({"acme-admin"}), BOTH)),
        "  + tenant acme: admins acme-admin; in east, west",
    ),
    (
        SetTenant("west", "acme", TenantInfo(NO_ROLES, WEST), TenantInfo(NO_ROLES, BOTH)),
        "  ~ tenant acme: admins none; in west → admins none; in east, west",
    ),
    (CreateNamespace("west", SPACE, BOTH), "  + namespace acme/in: in east, west"),
    (CreateTopic("west", TOPIC, 4), "  + topic acme/in/readings: 4 partitions"),
    (
        HoldMessages("west", TOPIC, "dead-letters"),
        "  + subscription acme/in/readings dead-letters: holds readings until acknowledged",
    ),
    (UploadSchema("west", TOPIC, "reading.v1", None, "{}"), "  + schema acme/in/readings: reading.v1"),
    (
        UploadSchema("west", TOPIC, "reading.v2", 0, "{}"),
        "  ~ schema acme/in/readings: reading.v2 (latest there: version 0)",
    ),
    (
        SetPermission("west", SPACE, "app", NO_ROLES, frozenset({"produce", "consume"})),
        "  + permission acme/in app: consume, produce",
    ),
    (
        SetPermission("west", SPACE, "app", frozenset({"produce"}), NO_ROLES),
        "  ~ permission acme/in app: produce → none",
    ),
]


@pytest.mark.parametrize(("step", "line"), STEPS, ids=[type(step).__name__ for step, _ in STEPS])
def test_a_step_is_one_line(step: Step, line: str) -> None:
    assert told(step)[:2] == ["in west", line]


POLICIES: list[tuple[Policy, PolicyValue | None, PolicyValue, str]] = [
    (Policy.RETENTION, None, Retention(1440, 1024), "+ policy acme/in retention: 1d, 1GB"),
    (Policy.RETENTION, Retention(0, 0), Retention(-1, -1), "~ policy acme/in retention: none → unlimited, unlimited"),
    (Policy.TTL, 3600, 0, "~ policy acme/in ttl: 1h → never"),
    (Policy.COMPACTION_THRESHOLD, 0, 1 << 20, "~ policy acme/in compaction threshold: never → 1MB"),
    (Policy.DEDUPLICATION, None, False, "+ policy acme/in deduplication: off"),
    (Policy.AUTO_TOPIC_CREATION, True, False, "~ policy acme/in auto topic creation: on → off"),
    (Policy.SCHEMA_COMPATIBILITY, None, "FULL", "+ policy acme/in schema compatibility: full"),
    (Policy.PUBLISH_RATE, None, PublishRate(-1, 1000), "+ policy acme/in publish rate: unlimited messages/s, 1000B/s"),
    (
        Policy.BACKLOG_QUOTA,
        BacklogQuota(1 << 30, -2, "producer_exception"),
        BacklogQuota(1 << 30, -1, "producer_exception"),
        "~ policy acme/in backlog quota: "
        "1GB, not set, then producer_exception → 1GB, unlimited, then producer_exception",
    ),
    (Policy.REPLICATION, WEST, BOTH, "~ policy acme/in replication: west → east, west"),
]


@pytest.mark.parametrize(("policy", "before", "after", "line"), POLICIES)
def test_policies_in_words(policy: Policy, before: PolicyValue | None, after: PolicyValue, line: str) -> None:
    assert told(SetPolicy("west", SPACE, policy, before, after))[1] == f"  {line}"


def test_what_is_the_same_in_several_clusters_is_told_once() -> None:
    steps = [CreateTopic(cluster, TOPIC, 4) for cluster in ("east", "west")]
    assert told(*steps, SetPolicy("east", SPACE, Policy.TTL, None, 60)) == [
        "in east",
        "  + policy acme/in ttl: 1m",
        "in east, west",
        "  + topic acme/in/readings: 4 partitions",
        "Plan: 3 to create, 0 to update, 0 to delete, in 2 clusters.",
    ]


def test_growth_and_deletion_warn() -> None:
    lines = told(GrowTopic("west", TOPIC, 4, 8), LeaveCluster("west", SPACE, BOTH, frozenset({"east"}), 3))
    assert lines[1] == "  ~ topic acme/in/readings: partitions 4 → 8"
    assert "keys move" in lines[2]
    assert lines[3] == "  - namespace acme/in: leaves west: east, west → east"
    assert lines[4] == "      ! deletes 3 topics of acme/in in west; needs --allow-delete"


def test_nothing_to_do_is_said_and_notes_are_told() -> None:
    plan = Plan(("acme",), (), ("west: something is left alone",))
    assert [line.plain for line in explain(plan)] == ["note: west: something is left alone", summary(plan)]
    assert summary(plan) == "Nothing to do: the clusters are as declared."


def test_the_document_tells_every_step_and_is_json() -> None:
    steps = tuple(step for step, _ in STEPS)
    document = json.loads(json.dumps(plan_document(Plan(("acme",), steps))))
    assert len(document["steps"]) == len(steps)
    assert document["changes"] is True
    assert document["counts"] == {"create": 7, "update": 3, "delete": 0}
    assert document["steps"][2] == {
        "cluster": "west",
        "action": "update",
        "kind": "tenant",
        "object": "acme",
        "before": {"admin_roles": [], "allowed_clusters": ["west"]},
        "after": {"admin_roles": [], "allowed_clusters": ["east", "west"]},
        "warning": None,
    }
    assert document["digest"] == digest(Plan(("other",), steps))
    assert document["digest"] != digest(Plan(("acme",), steps[1:]))
