"""Takes a plan's steps, in order, and stops at the first that fails. What is left, the next plan shows again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from pulsar_pipeline.cluster.protocol import ClusterWriter
from pulsar_pipeline.cluster.state import Policy
from pulsar_pipeline.errors import PipelineError, PlanError
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

Progress = Callable[[Step, PipelineError | None], None]
"""Hears of every step right after it, with its error if it failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a plan came. `error` is None when all of it is done."""

    done: tuple[Step, ...]
    remaining: tuple[Step, ...]
    """The step that failed first among them."""
    error: PipelineError | None


def check_deletes(plan: Plan, *, allow_delete: bool) -> None:
    """Raises PlanError if the plan deletes something and nobody said it may."""
    if plan.deletes and not allow_delete:
        lost = ", ".join(f"{step.topics} topics of {step.namespace} in {step.cluster}" for step in plan.deletes)
        raise PlanError(
            f"the plan deletes {lost}; nothing was changed",
            mend="run apply with --allow-delete if that is what you want",
        )


def execute(plan: Plan, writers: Mapping[str, ClusterWriter], progress: Progress) -> Outcome:
    """Take the steps. Each is idempotent, so a plan that was cut short may be taken anew from its start.

    `writers` holds every cluster of the plan. An expected failure ends up in the outcome, not as an exception.
    """
    for number, step in enumerate(plan.steps):
        try:
            take(step, writers[step.cluster])
        except PipelineError as error:
            progress(step, error)
            return Outcome(plan.steps[:number], plan.steps[number:], error)
        progress(step, None)
    return Outcome(plan.steps, (), None)


def take(step: Step, writer: ClusterWriter) -> None:
    """One step."""
    match step:
        case RegisterCluster():
            writer.put_cluster(step.peer, step.after)
        case SetTenant():
            writer.put_tenant(step.tenant, step.after)
        case CreateNamespace():
            writer.create_namespace(step.namespace, step.replication)
        case SetPolicy():
            writer.set_policy(step.namespace, step.policy, step.after)
        case LeaveCluster():
            writer.set_policy(step.namespace, Policy.REPLICATION, step.after)
        case SetPermission():
            writer.set_permission(step.namespace, step.role, step.after)
        case CreateTopic():
            writer.create_topic(step.topic, step.partitions)
        case GrowTopic():
            writer.grow_topic(step.topic, step.after)
        case HoldMessages():
            writer.hold_messages(step.topic, step.subscription)
        case UploadSchema():
            writer.upload_schema(step.topic, step.text)
        case _:
            assert_never(step)
