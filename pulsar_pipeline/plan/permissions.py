"""Who may do what in a tenant's namespaces: what the spec grants, and what its deployments and views need."""

from __future__ import annotations

from pulsar_pipeline.names import STATE_NAMESPACE
from pulsar_pipeline.spec.model import Tenant

_FUNCTIONS_ACTIONS = frozenset({"produce", "consume", "functions"})
_STATE_ACTIONS = frozenset({"produce", "consume"})
_API_ACTIONS = frozenset({"consume"})


def permissions_of(tenant: Tenant) -> dict[str, dict[str, frozenset[str]]]:
    """Namespace → role → actions, for every role the spec speaks of: its own for functions, the API's, those granted.

    The namespace of state logs is among them where a deployment needs it; it is for the functions alone.

    A role that may do nothing in a namespace is there with no actions, so that an older grant is revoked. Roles the
    spec does not speak of are absent: theirs is not touched.
    """
    declared = {role for namespace in tenant.namespaces.values() for role in namespace.permissions}
    roles = {tenant.functions_role, *tenant.api.roles, *declared}
    used, served = _namespaces_used(tenant), _namespaces_served(tenant)
    granted: dict[str, dict[str, frozenset[str]]] = {}
    for name, namespace in tenant.namespaces.items():
        granted[name] = {role: frozenset(namespace.permissions.get(role, ())) for role in sorted(roles)}
        if name in used:
            granted[name][tenant.functions_role] |= _FUNCTIONS_ACTIONS
        for role in tenant.api.roles if name in served else ():
            granted[name][role] |= _API_ACTIONS
    if tenant.exactly_once:
        granted[STATE_NAMESPACE] = dict.fromkeys(sorted(roles), frozenset())
        granted[STATE_NAMESPACE][tenant.functions_role] = _STATE_ACTIONS
    return granted


def _namespaces_used(tenant: Tenant) -> set[str]:
    """Namespaces that deployments live in, read from or write to."""
    used: set[str] = set()
    for deployment in tenant.deployments.values():
        refs = [*deployment.inputs.values(), deployment.output, deployment.late]
        used |= {deployment.namespace} | {_namespace(ref) for ref in refs if ref is not None}
    return used


def _namespaces_served(tenant: Tenant) -> set[str]:
    """Namespaces that hold the predictions of a view."""
    outputs = (tenant.deployments[view.deployment].output for view in tenant.views.values())
    return {_namespace(output) for output in outputs if output is not None}


def _namespace(ref: str) -> str:
    return ref.partition("/")[0]
