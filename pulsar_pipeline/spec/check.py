"""The rules across a tenant's parts, the platform and the functions: what YAML types cannot say.

Rules are small generators of problems; all of them run, and all problems are told together. Rules that need to read
Avro schemas are in `schemas/check.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.names import PARTITION_SUFFIX, TopicName, dead_letter_topic, logs_topic
from pulsar_pipeline.spec.guarantee import guarantee_problems
from pulsar_pipeline.spec.model import Deployment, FunctionDefinition, Platform, Tenant
from pulsar_pipeline.spec.problems import nearest, raise_all
from pulsar_pipeline.spec.source import Key
from pulsar_pipeline.spec.streams import stream_problems

RESERVED_CONFIG = "pulsar_pipeline"
"""The key of a function's user config in which this product hands its own settings to instances."""

_PARTITION = re.compile(rf"{PARTITION_SUFFIX}\d+$")


def check_tenant(tenant: Tenant, platform: Platform | None, functions: Mapping[str, FunctionDefinition]) -> None:
    """Every rule. Without a platform, cluster names are only compared with each other.

    Raises one SpecError for all problems (`problems` holds each, with file, line, key and mend).
    """
    raise_all(tenant_problems(tenant, platform, functions))


def tenant_problems(
    tenant: Tenant, platform: Platform | None, functions: Mapping[str, FunctionDefinition]
) -> list[SpecError]:
    """As `check_tenant`, as a list in the order of the file."""
    spec = _Spec(tenant, platform, functions)
    found = [problem for rule in _RULES for problem in rule(spec)]
    return sorted(found, key=lambda problem: problem.line or 0)


@dataclass(frozen=True)
class _Spec:
    """What every rule sees."""

    tenant: Tenant
    platform: Platform | None
    functions: Mapping[str, FunctionDefinition]

    def error(self, what: str, *path: Key, mend: str | None = None) -> SpecError:
        return self.tenant.source.error(what, *path, mend=mend)

    def partitions(self, ref: str) -> int | None:
        topic = self.tenant.topics.get(ref)
        return topic.partitions if topic else None


# ── clusters and namespaces ───────────────────────────────────────────────────────────────────


def _clusters(spec: _Spec) -> Iterator[SpecError]:
    tenant = spec.tenant
    yield from _repeated(spec, tenant.clusters, "clusters")
    if spec.platform is not None:
        known = spec.platform.clusters
        for index, cluster in enumerate(tenant.clusters):
            if cluster not in known:
                yield spec.error(
                    f"the platform has no cluster {cluster!r}", "clusters", index, mend=nearest(cluster, known)
                )
    if tenant.home not in tenant.clusters:
        yield spec.error(
            f"the home cluster {tenant.home!r} is not one of the tenant's clusters",
            "home",
            mend=f"use one of {', '.join(tenant.clusters)}, or add it to `clusters`",
        )


def _replication(spec: _Spec) -> Iterator[SpecError]:
    for name, namespace in spec.tenant.namespaces.items():
        if namespace.replicate_to is None:
            continue
        path = ("namespaces", name, "replicate_to")
        yield from _repeated(spec, namespace.replicate_to, *path)
        if not namespace.replicate_to:
            yield spec.error(
                "the namespace is in no cluster", *path, mend="name a cluster, or leave the key out for all"
            )
        for index, cluster in enumerate(namespace.replicate_to):
            if cluster not in spec.tenant.clusters:
                yield spec.error(
                    f"{cluster!r} is not one of the tenant's clusters",
                    *path,
                    index,
                    mend=nearest(cluster, spec.tenant.clusters),
                )


def _repeated(spec: _Spec, names: tuple[str, ...], *path: Key) -> Iterator[SpecError]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield spec.error(f"{name!r} stands twice", *path, index, mend="remove one")


def _retention(spec: _Spec) -> Iterator[SpecError]:
    for name, namespace in spec.tenant.namespaces.items():
        kept, quota = namespace.retention, namespace.backlog_quota
        if (kept.time == 0) != (kept.size == 0):
            yield spec.error(
                "retention by time alone or by size alone keeps nothing: Pulsar wants both, or neither",
                "namespaces",
                name,
                "retention",
                mend="write both `time` and `size`; `unlimited` is a value",
            )
        if quota is None:
            continue
        if kept.size > 0 and quota.size >= kept.size:
            yield spec.error(
                "the backlog quota's size must be below the retention's, or Pulsar refuses it",
                "namespaces",
                name,
                "backlog_quota",
                "size",
                mend="raise retention.size, or lower this",
            )


def _limits(spec: _Spec) -> Iterator[SpecError]:
    """`unlimited` where Pulsar has no such thing."""
    for name, namespace in spec.tenant.namespaces.items():
        for key, value in (("ttl", namespace.ttl), ("compaction_threshold", namespace.compaction_threshold)):
            if value is not None and value < 0:
                yield spec.error(f"{key} cannot be unlimited", "namespaces", name, key, mend="leave it out for none")
    for name, deployment in spec.tenant.deployments.items():
        if deployment.event_timeout <= 0:
            what = "an event needs a time after which it counts as hung"
            yield spec.error(what, "deployments", name, "event_timeout", mend="for example 30s")


# ── topics ────────────────────────────────────────────────────────────────────────────────────


def _topics(spec: _Spec) -> Iterator[SpecError]:
    tenant = spec.tenant
    derived = _derived_topics(tenant)
    for ref in tenant.topics:
        yield from _namespace(spec, ref.partition("/")[0], "topics", ref)
        if _PARTITION.search(ref):
            what = f"a topic's name cannot end like a partition's ({PARTITION_SUFFIX}N)"
            yield spec.error(what, "topics", ref, mend="give it another name")
        taken = derived.get(tenant.topic_name(ref))
        if taken is not None:
            what = f"this is the name of the {taken}, which is made by itself"
            yield spec.error(what, "topics", ref, mend="give it another name, or remove it")


def _derived_topics(tenant: Tenant) -> dict[TopicName, str]:
    """Topics that deployments bring with them → what they are. A log topic's name is taken even while it is off."""
    found: dict[TopicName, str] = {}
    for name, deployment in tenant.deployments.items():
        for kind, topic_of in (("dead-letter", dead_letter_topic), ("log", logs_topic)):
            found[topic_of(tenant.tenant, deployment.namespace, name)] = f"{kind} topic of deployment {name!r}"
    return found


def _namespace(spec: _Spec, name: str, *path: Key) -> Iterator[SpecError]:
    if name not in spec.tenant.namespaces:
        yield spec.error(f"no namespace {name!r} is declared", *path, mend=nearest(name, spec.tenant.namespaces))


def _topic(spec: _Spec, ref: str, *path: Key) -> Iterator[SpecError]:
    if ref not in spec.tenant.topics:
        yield spec.error(f"no topic {ref!r} is declared", *path, mend=nearest(ref, spec.tenant.topics))


# ── deployments ───────────────────────────────────────────────────────────────────────────────


def _each_deployment(rule: Callable[[_Spec, str, Deployment], Iterator[SpecError]]) -> _Rule:
    """Run a rule for every deployment; it gets the deployment's name and body."""

    def run(spec: _Spec) -> Iterator[SpecError]:
        for name, deployment in spec.tenant.deployments.items():
            yield from rule(spec, name, deployment)

    return run


def _references(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    path = ("deployments", name)
    yield from _namespace(spec, deployment.namespace, *path, "namespace")
    for input_name, ref in deployment.inputs.items():
        yield from _topic(spec, ref, *path, "inputs", input_name)
    if deployment.output is not None:
        yield from _topic(spec, deployment.output, *path, "output")
    if deployment.late is not None:
        yield from _topic(spec, deployment.late, *path, "late")
    if deployment.function not in spec.functions:
        what = f"there is no function {deployment.function!r}"
        yield spec.error(what, *path, "function", mend=nearest(deployment.function, spec.functions))


def _interface(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    """The deployment connects exactly what the function has."""
    function = spec.functions.get(deployment.function)
    if function is None:
        return
    path = ("deployments", name)
    for given in deployment.inputs.keys() - function.inputs.keys():
        what = f"the function {function.name!r} has no input {given!r}"
        yield spec.error(what, *path, "inputs", given, mend=nearest(given, function.inputs))
    for wanted in function.inputs.keys() - deployment.inputs.keys():
        what = f"the function {function.name!r} has an input {wanted!r}, which is not connected"
        yield spec.error(what, *path, "inputs", mend=f"add `{wanted}: NAMESPACE/TOPIC`")
    if function.output is not None and deployment.output is None:
        what = f"the function {function.name!r} has an output, which goes nowhere"
        yield spec.error(what, *path, mend="add `output: NAMESPACE/TOPIC`")
    if function.output is None and deployment.output is not None:
        yield spec.error(f"the function {function.name!r} has no output", *path, "output", mend="remove this line")


def _partitions(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    """One instance owns the same partitions of every input and of the output, so their numbers must be equal."""
    path = ("deployments", name)
    (first_name, first), *others = deployment.inputs.items()
    expected = spec.partitions(first)
    if expected is None:
        return
    ends: list[tuple[tuple[Key, ...], str]] = [((*path, "inputs", key), ref) for key, ref in others]
    if deployment.output is not None:
        ends.append(((*path, "output"), deployment.output))
    if deployment.late is not None:
        ends.append(((*path, "late"), deployment.late))
    for end, ref in ends:
        partitions = spec.partitions(ref)
        if partitions is not None and partitions != expected:
            yield spec.error(
                f"partition mismatch: {ref} has {partitions} partitions, {first} (input {first_name!r}) has {expected}",
                *end,
                mend="give all topics of a deployment the same number of partitions",
            )
    if deployment.parallelism > expected:
        yield spec.error(
            f"parallelism {deployment.parallelism} is more than the {expected} partitions there are to share",
            *path,
            "parallelism",
            mend=f"at most {expected}, or give the topics more partitions",
        )


def _input_once(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    seen: dict[str, str] = {}
    for input_name, ref in deployment.inputs.items():
        first = seen.setdefault(ref, input_name)
        if first != input_name:
            what = f"{ref} is the input {first!r} already"
            yield spec.error(what, "deployments", name, "inputs", input_name, mend="connect another topic")


def _at_home(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    """Functions run in the home cluster, so all they touch must be there."""
    tenant = spec.tenant
    ends: list[tuple[tuple[Key, ...], str]] = [(("namespace",), deployment.namespace)]
    ends += [(("inputs", key), ref.partition("/")[0]) for key, ref in deployment.inputs.items()]
    if deployment.output is not None:
        ends.append((("output",), deployment.output.partition("/")[0]))
    if deployment.late is not None:
        ends.append((("late",), deployment.late.partition("/")[0]))
    for end, namespace in ends:
        if namespace in tenant.namespaces and tenant.home not in tenant.clusters_of(namespace):
            yield spec.error(
                f"namespace {namespace!r} is not in the home cluster {tenant.home!r}, where the function runs",
                "deployments",
                name,
                *end,
                mend=f"add {tenant.home} to namespaces.{namespace}.replicate_to",
            )


def _config(spec: _Spec, name: str, deployment: Deployment) -> Iterator[SpecError]:
    path = ("deployments", name, "config")
    if RESERVED_CONFIG in deployment.config:
        yield spec.error("this key is kept for the product itself", *path, RESERVED_CONFIG, mend="use another")
    for key, value in deployment.config.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            what = f"a {type(value).__name__} cannot be sent to the function, whose config is JSON"
            yield spec.error(what, *path, key, mend="write dates in quotes; use text, numbers, lists and mappings")


def _streams(spec: _Spec) -> Iterator[SpecError]:
    yield from stream_problems(spec.tenant)


def _guarantees(spec: _Spec) -> Iterator[SpecError]:
    yield from guarantee_problems(spec.tenant)


# ── views ─────────────────────────────────────────────────────────────────────────────────────


def _views(spec: _Spec) -> Iterator[SpecError]:
    tenant = spec.tenant
    for name, view in tenant.views.items():
        path = ("views", name, "deployment")
        deployment = tenant.deployments.get(view.deployment)
        if deployment is None:
            mend = nearest(view.deployment, tenant.deployments)
            yield spec.error(f"no deployment {view.deployment!r} is declared", *path, mend=mend)
        elif deployment.output is None:
            what = f"deployment {view.deployment!r} has no output to serve"
            yield spec.error(what, *path, mend="give the deployment an output, or remove the view")
        else:
            yield from _view_namespace(spec, deployment.output.partition("/")[0], *path)


def _view_namespace(spec: _Spec, name: str, *path: Key) -> Iterator[SpecError]:
    """A view reads its topic from the start, in every cluster of the tenant."""
    namespace = spec.tenant.namespaces.get(name)
    if namespace is None:
        return
    if namespace.retention.time == 0:
        yield spec.error(
            f"namespace {name!r} retains nothing, so a view of its topics could not be built anew",
            *path,
            mend=f"set namespaces.{name}.retention, for example {{time: 7d, size: 10GB}}",
        )
    missing = [cluster for cluster in spec.tenant.clusters if cluster not in spec.tenant.clusters_of(name)]
    if missing:
        yield spec.error(
            f"namespace {name!r} is not in {', '.join(missing)}, and a view is served in every cluster of the tenant",
            *path,
            mend=f"leave out namespaces.{name}.replicate_to, or add them",
        )


_Rule = Callable[[_Spec], Iterator[SpecError]]

_RULES: tuple[_Rule, ...] = (
    _clusters,
    _replication,
    _retention,
    _limits,
    _topics,
    *map(_each_deployment, (_references, _interface, _partitions, _input_once, _at_home, _config)),
    _streams,
    _guarantees,
    _views,
)
