"""What a spec must not hold where a deployment is exactly-once: whatever lets events vanish or outputs mix.

Part of the rules of `check.py`. Two more that it needs hold for every guarantee and stand there: equal partitions of
inputs and output, and no output shared by two deployments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.model import Retention, Tenant

MAX_INPUTS = 25
"""The order in which events of several inputs were taken is recorded with one letter for each, and one for timers."""

_EVICTION = "consumer_backlog_eviction"


def guarantee_problems(tenant: Tenant) -> Iterator[SpecError]:
    """One for each thing in the way, however many deployments it stands in the way of."""
    yield from _inputs(tenant)
    for namespace, deployments in tenant.written_exactly_once.items():
        if namespace in tenant.namespaces:  # if not, another rule tells
            yield from _output_namespace(tenant, namespace, deployments)
    for namespace, deployments in _read_or_replicated(tenant).items():
        yield from _losses(tenant, namespace, deployments)


def _inputs(tenant: Tenant) -> Iterator[SpecError]:
    for name, deployment in tenant.exactly_once.items():
        if len(deployment.inputs) > MAX_INPUTS:
            yield tenant.source.error(
                f"an exactly-once deployment can have at most {MAX_INPUTS} inputs, not {len(deployment.inputs)}",
                "deployments",
                name,
                "inputs",
                mend="bring events together in fewer topics, or set `guarantee: at_least_once`",
            )


def _output_namespace(tenant: Tenant, name: str, deployments: tuple[str, ...]) -> Iterator[SpecError]:
    namespace, path, whose = tenant.namespaces[name], ("namespaces", name), _named(deployments)
    if namespace.deduplication is False:
        yield tenant.source.error(
            f"what {whose} writes here exactly once needs deduplication",
            *path,
            "deduplication",
            mend=f"leave this out, or set `guarantee: at_least_once` for {whose}",
        )
    if namespace.retention == Retention():
        yield tenant.source.error(
            f"{whose} looks its last outputs up here when it starts, but nothing is retained",
            *path,
            "retention",
            mend=f"set namespaces.{name}.retention, for example {{time: 7d, size: 10GB}}",
        )
    for role, actions in namespace.permissions.items():
        if "produce" in actions and role != tenant.functions_role:
            # Pulsar grants by namespace: a role that may write to one of its topics may write to all
            yield tenant.source.error(
                f"{role!r} may write to every topic here, and so into what {whose} writes exactly once",
                *path,
                "permissions",
                role,
                mend=f"give outputs a namespace of their own, or set `guarantee: at_least_once` for {whose}",
            )


def _read_or_replicated(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """Namespaces in which something waits to be taken up: by an exactly-once deployment, or by another cluster."""
    found: dict[str, tuple[str, ...]] = {}
    for name, deployment in tenant.exactly_once.items():
        for ref in deployment.inputs.values():
            namespace = ref.partition("/")[0]
            found[namespace] = (*found.get(namespace, ()), name)
    for namespace, deployments in tenant.written_exactly_once.items():
        if namespace in tenant.namespaces and len(tenant.clusters_of(namespace)) > 1:
            found[namespace] = (*found.get(namespace, ()), *deployments)
    return {name: deployments for name, deployments in found.items() if name in tenant.namespaces}


def _losses(tenant: Tenant, name: str, deployments: tuple[str, ...]) -> Iterator[SpecError]:
    namespace, path, whose = tenant.namespaces[name], ("namespaces", name), _named(deployments)
    if namespace.ttl is not None and namespace.ttl > 0:
        yield tenant.source.error(
            f"what waits longer than this is dropped unread, but {whose} is exactly-once",
            *path,
            "ttl",
            mend=f"leave this out, or set `guarantee: at_most_once` for {whose}",
        )
    if namespace.backlog_quota is not None and namespace.backlog_quota.policy == _EVICTION:
        yield tenant.source.error(
            f"what is over the quota is dropped unread, but {whose} is exactly-once",
            *path,
            "backlog_quota",
            "policy",
            mend=f"hold producers or refuse them instead, or set `guarantee: at_most_once` for {whose}",
        )


def _named(deployments: Iterable[str]) -> str:
    """`'risk'`, `'risk', 'alarm'`: each once, in the order of the spec."""
    return ", ".join(map(repr, dict.fromkeys(deployments)))
