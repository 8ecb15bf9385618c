"""Which topics need a new schema version, and whether they may have it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pulsar_pipeline.cluster.state import NamespaceName, RegisteredSchema
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.plan.desired import DesiredState
from pulsar_pipeline.plan.observe import Snapshot
from pulsar_pipeline.plan.steps import UploadSchema
from pulsar_pipeline.schemas.compatibility import incompatibilities, same_schema
from pulsar_pipeline.schemas.schema import Schema, schema_from_text

_AVRO = "AVRO"


def schema_steps(desired: DesiredState, observed: Snapshot) -> Iterator[UploadSchema]:
    """Uploads of schemas that their topics do not have in any version."""
    for topic, schema, there in _missing(desired, observed):
        latest = there[-1].version if there else None
        yield UploadSchema(desired.cluster, topic, schema_title(schema), latest, schema.text)


def schema_problems(desired: DesiredState, observed: Snapshot) -> Iterator[str]:
    """Uploads that the broker would refuse."""
    for topic, schema, there in _missing(desired, observed):
        place = f"cluster {desired.cluster}: topic {topic.path}: schema {schema_title(schema)}"
        foreign = sorted({version.type for version in there} - {_AVRO})
        if foreign:
            yield f"{place} is Avro, but the topic has a schema of type {', '.join(foreign)}"
            continue
        strategy = _strategy(desired, topic)
        known = [_schema(version, topic) for version in there]
        for reason in incompatibilities(strategy, schema, known):
            yield f"{place} is not {strategy} compatible: {reason}"


def schema_title(schema: Schema) -> str:
    """`reading.v2`, as its file is named."""
    return schema.name if schema.version is None else f"{schema.name}.v{schema.version}"


def _missing(
    desired: DesiredState, observed: Snapshot
) -> Iterator[tuple[TopicName, Schema, tuple[RegisteredSchema, ...]]]:
    for topic, wanted in desired.topics.items():
        state = observed.topics.get(topic)
        there = state.schemas if state is not None else observed.early_schemas.get(topic, ())
        if wanted.schema is not None and not any(_same(wanted.schema, version, topic) for version in there):
            yield topic, wanted.schema, there


def _same(schema: Schema, version: RegisteredSchema, topic: TopicName) -> bool:
    return version.type == _AVRO and same_schema(schema, _schema(version, topic))


def _schema(version: RegisteredSchema, topic: TopicName) -> Schema:
    return replace(schema_from_text(version.text, f"{topic} version {version.version}"), version=version.version)


def _strategy(desired: DesiredState, topic: TopicName) -> str:
    declared = desired.namespaces[NamespaceName(topic.tenant, topic.namespace)].schema_compatibility
    return (declared or "full").lower()
