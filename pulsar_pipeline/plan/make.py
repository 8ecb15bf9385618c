"""Specs and readers → a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pulsar_pipeline.cluster.protocol import ClusterReader
from pulsar_pipeline.plan.desired import desired_states
from pulsar_pipeline.plan.diff import diff
from pulsar_pipeline.plan.notes import notes
from pulsar_pipeline.plan.observe import observe
from pulsar_pipeline.plan.steps import Plan
from pulsar_pipeline.schemas.schema import Schema, load_schema
from pulsar_pipeline.spec.model import Platform, Tenant


def make_plan(platform: Platform, tenants: Sequence[Tenant], readers: Mapping[str, ClusterReader]) -> Plan:
    """Look at every cluster of the tenants and list what has to be done.

    `readers` holds every cluster of the platform file that a tenant names. Raises SchemaError for a schema file,
    ClusterError (with its name) for a cluster that cannot be read, PlanError for what cannot be done.
    """
    desired = desired_states(platform, tenants, _schemas(tenants))
    observed = observe(readers, desired)
    return Plan(
        tenants=tuple(sorted(tenant.tenant for tenant in tenants)),
        steps=diff(desired, observed),
        notes=tuple(notes(desired, observed)),
    )


def clusters_of(platform: Platform, tenants: Sequence[Tenant]) -> tuple[str, ...]:
    """The platform's clusters that the tenants use: those a plan looks at."""
    used = {name for tenant in tenants for name in tenant.clusters}
    return tuple(sorted(used & set(platform.clusters)))


def _schemas(tenants: Sequence[Tenant]) -> dict[Path, Schema]:
    paths = {topic.schema_file for tenant in tenants for topic in tenant.topics.values()}
    return {path: load_schema(path) for path in sorted(paths)}
