"""What a plan leaves alone although somebody may expect otherwise: remarks, no steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulsar_pipeline.names import STATE_NAMESPACE
from pulsar_pipeline.plan.desired import DesiredState
from pulsar_pipeline.plan.observe import Snapshot


def notes(desired: Mapping[str, DesiredState], observed: Mapping[str, Snapshot]) -> Iterator[str]:
    """One line each."""
    for name in sorted(desired):
        yield from _undeclared_roles(desired[name], observed[name])
        yield from _clusters_left(desired[name], observed[name])
        for peer in sorted(observed[name].hidden_records):
            yield f"{name}: how it reaches {peer} was not compared: only the platform's superuser may see it"


def _undeclared_roles(desired: DesiredState, observed: Snapshot) -> Iterator[str]:
    for namespace, wanted in desired.namespaces.items():
        if namespace.namespace == STATE_NAMESPACE:
            continue  # there they are taken away
        there = observed.namespaces.get(namespace)
        for role, actions in there.permissions.items() if there else ():
            if role not in wanted.permissions:
                granted = ", ".join(sorted(actions))
                yield f"{desired.cluster}: {namespace} grants {granted} to {role}, which is not declared: left alone"


def _clusters_left(desired: DesiredState, observed: Snapshot) -> Iterator[str]:
    for tenant, info in desired.tenants.items():
        there = observed.tenants.get(tenant)
        for cluster in sorted(there.allowed_clusters - info.allowed_clusters) if there else ():
            yield f"{desired.cluster}: tenant {tenant} gives up cluster {cluster}; what it has there is left alone"
