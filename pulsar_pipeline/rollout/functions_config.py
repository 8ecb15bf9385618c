"""A deployment of a tenant spec → the FunctionConfig that the functions worker takes. Pure.

The worker stores it and hands it to every instance. What Pulsar has no field for travels in the user config, under the
reserved key `pulsar_pipeline` (see `instance_config`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulsar_pipeline.errors import RolloutError
from pulsar_pipeline.names import TopicName, dead_letter_topic, logs_topic, state_topic, subscription
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY, InstanceConfig, TopicBinding
from pulsar_pipeline.spec.model import Deployment, Tenant

FunctionConfig = dict[str, Any]
"""JSON of `org.apache.pulsar.common.functions.FunctionConfig`."""

ALTERABLE = frozenset({"parallelism", "userConfig", "logTopic", "className", "py", "output"})
"""Keys of the ones written here that the worker lets an update change. The others (inputs, subscription, guarantee,
…) belong to a Pulsar function for life: changing one means deleting it and deploying anew."""


def function_config(tenant: Tenant, name: str, manifest: Manifest, digest: str) -> FunctionConfig:
    """For deployment `name` of `tenant`, with the package of `manifest` and content `digest`.

    Raises RolloutError if the package is not one of the deployment's function.
    """
    deployment = tenant.deployments[name]
    _check_package(tenant, name, manifest)
    inputs = {port: _input_binding(tenant, ref) for port, ref in deployment.inputs.items()}
    config: FunctionConfig = {
        "tenant": tenant.tenant,
        "namespace": deployment.namespace,
        "name": name,
        "runtime": "PYTHON",
        "py": package_file_name(manifest),
        "className": manifest.class_name,
        "inputSpecs": {binding.topic: {} for binding in inputs.values()},
        "subName": subscription(name),
        "subscriptionPosition": "Earliest",  # events sent before the first deployment count too
        "cleanupSubscription": True,
        "processingGuarantees": "ATLEAST_ONCE",  # Python has no more; what is stronger is the runtime's own
        "retainOrdering": True,
        "autoAck": True,
        "parallelism": deployment.parallelism,
        "userConfig": _user_config(tenant, name, manifest, digest, inputs),
    }
    if deployment.output is not None:
        config["output"] = str(tenant.topic_name(deployment.output))
    if deployment.logs:
        config["logTopic"] = str(logs_topic(tenant.tenant, deployment.namespace, name))
    return config


def package_file_name(manifest: Manifest) -> str:
    """The worker keeps a package under the name it is uploaded with, and unpacks the folder of that name."""
    return f"{manifest.name}.zip"


def topics_of(tenant: Tenant, name: str) -> dict[TopicName, int]:
    """Every topic that must be there before deployment `name` runs → its partitions."""
    deployment = tenant.deployments[name]
    refs = [*deployment.inputs.values(), *(ref for ref in (deployment.output, deployment.late) if ref)]
    topics = {tenant.topic_name(ref): tenant.topics[ref].partitions for ref in refs}
    topics[dead_letter_topic(tenant.tenant, deployment.namespace, name)] = input_partitions(tenant, deployment)
    if deployment.logs:
        topics[logs_topic(tenant.tenant, deployment.namespace, name)] = 1
    if name in tenant.exactly_once:
        topics[state_topic(tenant.tenant, name)] = input_partitions(tenant, deployment)
    return topics


def input_partitions(tenant: Tenant, deployment: Deployment) -> int:
    """All inputs have the same number (the spec's check holds them to it)."""
    return tenant.topics[next(iter(deployment.inputs.values()))].partitions


def digest_of(config: Mapping[str, Any]) -> str | None:
    """The package a FunctionConfig deploys; None for a function that this product did not deploy."""
    own = (config.get("userConfig") or {}).get(USER_CONFIG_KEY)
    return own.get("digest") if isinstance(own, Mapping) else None


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> frozenset[str]:
    """Keys of `wanted` that a worker's answer has otherwise. What the worker adds by itself is not compared."""
    return frozenset(
        key for key, value in wanted.items() if _comparable(key, value) != _comparable(key, found.get(key))
    )


def _comparable(key: str, value: Any) -> Any:
    match key:
        case "inputSpecs":
            return frozenset(value or ())
        case "py":
            return None  # the worker answers with where it keeps the file
        case "subscriptionPosition":
            return str(value).lower()
        case "userConfig":
            return _without_nulls(value)  # the worker drops them
        case _:
            return value


def _without_nulls(value: Any) -> Any:
    """Members of objects that are null left out, at any depth."""
    match value:
        case Mapping():
            return {key: _without_nulls(member) for key, member in value.items() if member is not None}
        case list() | tuple():
            return [_without_nulls(member) for member in value]
        case _:
            return value


def _check_package(tenant: Tenant, name: str, manifest: Manifest) -> None:
    function = tenant.deployments[name].function
    if manifest.name != function:
        raise RolloutError(
            f"the package holds {manifest.name!r}, the deployment runs {function!r}",
            where=f"{tenant.tenant}/{name}",
            mend=f"pulsar-pipeline functions package {function}",
        )


def _binding(tenant: Tenant, ref: str) -> TopicBinding:
    return TopicBinding(topic=str(tenant.topic_name(ref)), partitions=tenant.topics[ref].partitions)


def _input_binding(tenant: Tenant, ref: str) -> TopicBinding:
    outputs = {deployment.output for deployment in tenant.exactly_once.values()}
    return _binding(tenant, ref).model_copy(update={"stamped": ref in outputs})


def _user_config(
    tenant: Tenant, name: str, manifest: Manifest, digest: str, inputs: dict[str, TopicBinding]
) -> dict[str, Any]:
    deployment = tenant.deployments[name]
    own = InstanceConfig(
        deployment=name,
        digest=digest,
        inputs=inputs,
        output=None if deployment.output is None else _binding(tenant, deployment.output),
        late=None if deployment.late is None else _binding(tenant, deployment.late),
        dead_letter_topic=str(dead_letter_topic(tenant.tenant, deployment.namespace, name)),
        subscription=subscription(name),
        guarantee=deployment.guarantee,
        state_topic=str(state_topic(tenant.tenant, name)) if name in tenant.exactly_once else None,
        event_timeout_s=deployment.event_timeout,
        retry=deployment.retry,
        on_error=deployment.on_error,
        concurrency=deployment.concurrency,
        log_topic=str(logs_topic(tenant.tenant, deployment.namespace, name)) if deployment.logs else None,
    )
    return {**manifest.config, **deployment.config, USER_CONFIG_KEY: own.model_dump(mode="json")}
