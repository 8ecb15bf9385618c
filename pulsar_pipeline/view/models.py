"""Which views a cluster serves, and to whom: tenant specs in, plain descriptions out. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from pulsar_pipeline.names import TopicName
from pulsar_pipeline.spec.model import Tenant


class ServedView(BaseModel):
    """One view of one tenant, as the materialiser and the query API need it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    name: str
    """Name of the view, which the API calls the model."""
    deployment: str
    topic: TopicName
    """The deployment's output topic."""
    partitions: int
    """As declared; the topic may have grown since."""
    roles: frozenset[str]
    """Roles that may read it: those that may consume the topic."""

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


class ServedTenant(BaseModel):
    """A tenant as the query API knows it: who may see that it exists, and its views in this cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    roles: frozenset[str]
    """Roles that read every view of the tenant."""
    views: tuple[ServedView, ...]


def served_tenants(tenants: Iterable[Tenant], cluster: str) -> tuple[ServedTenant, ...]:
    """The tenants that use `cluster`, each with the views whose output topic is held there, by name.
    Raises SpecError for a view of nothing."""
    return tuple(
        _served(tenant, cluster)
        for tenant in sorted(tenants, key=lambda tenant: tenant.tenant)
        if cluster in tenant.clusters
    )


def _served(tenant: Tenant, cluster: str) -> ServedTenant:
    roles = frozenset({*tenant.admin_roles, *tenant.api.roles, tenant.functions_role})
    views = (_view(tenant, name, roles) for name in sorted(tenant.views))
    held = (view for view in views if view is not None and cluster in tenant.clusters_of(view.topic.namespace))
    return ServedTenant(name=tenant.tenant, roles=roles, views=tuple(held))


def _view(tenant: Tenant, name: str, roles: frozenset[str]) -> ServedView | None:
    deployment = tenant.views[name].deployment
    if deployment not in tenant.deployments:
        raise tenant.source.error(f"there is no deployment {deployment!r}", "views", name, "deployment")
    output = tenant.deployments[deployment].output
    if output is None:
        return None
    if output not in tenant.topics:
        raise tenant.source.error(f"there is no topic {output!r}", "deployments", deployment, "output")
    topic = tenant.topic_name(output)
    consumers = (
        role for role, actions in tenant.namespaces[topic.namespace].permissions.items() if "consume" in actions
    )
    return ServedView(
        tenant=tenant.tenant,
        name=name,
        deployment=deployment,
        topic=topic,
        partitions=tenant.topics[output].partitions,
        roles=roles | frozenset(consumers),
    )
