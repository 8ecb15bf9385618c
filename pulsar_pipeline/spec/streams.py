"""What a spec must not hold between its deployments: who writes which topic, and who reads it. Part of the rules of
`check.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.model import Tenant


def stream_problems(tenant: Tenant) -> Iterator[SpecError]:
    """In no order."""
    yield from _outputs_once(tenant)
    yield from _late_apart(tenant)
    yield from _circles(tenant)


def _outputs_once(tenant: Tenant) -> Iterator[SpecError]:
    owners: dict[str, str] = {}
    for name, deployment in tenant.deployments.items():
        if deployment.output is None:
            continue
        first = owners.setdefault(deployment.output, name)
        if first != name:
            what = f"{deployment.output} is the output of deployment {first!r} already"
            mend = "give each deployment an output topic of its own"
            yield tenant.source.error(what, "deployments", name, "output", mend=mend)


def _late_apart(tenant: Tenant) -> Iterator[SpecError]:
    """Late events are no outputs: who reads an output counts on what stands in it."""
    owners = {deployment.output: name for name, deployment in tenant.deployments.items() if deployment.output}
    for name, deployment in tenant.deployments.items():
        if deployment.late in owners:
            what = f"{deployment.late} is the output of deployment {owners[deployment.late]!r}"
            mend = "give late events a topic of their own"
            yield tenant.source.error(what, "deployments", name, "late", mend=mend)


def _circles(tenant: Tenant) -> Iterator[SpecError]:
    """A chain of deployments is welcome; one that feeds itself would run for ever on one event."""
    outputs: dict[str, list[str]] = {}
    everything: dict[str, list[str]] = {}
    for name, deployment in tenant.deployments.items():
        if deployment.output is not None:
            outputs.setdefault(deployment.output, []).append(name)
            everything.setdefault(deployment.output, []).append(name)
        if deployment.late is not None:
            everything.setdefault(deployment.late, []).append(name)
    for name, deployment in tenant.deployments.items():
        if name in _feeders(tenant, name, outputs):
            what = f"the output {deployment.output} comes back to the deployment's own inputs"
            yield tenant.source.error(what, "deployments", name, "output", mend="break the circle")
        elif deployment.late is not None and name in _feeders(tenant, name, everything):
            what = f"late events in {deployment.late} come back to the deployment's own inputs, and are late again"
            yield tenant.source.error(what, "deployments", name, "late", mend="break the circle")


def _feeders(tenant: Tenant, name: str, makers: Mapping[str, list[str]]) -> set[str]:
    """The deployments whose work reaches deployment `name`, on whatever way. `makers`: topic → who writes it."""
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        feeders = {maker for ref in tenant.deployments[ahead.pop()].inputs.values() for maker in makers.get(ref, ())}
        ahead += feeders - seen
        seen |= feeders
    return seen
