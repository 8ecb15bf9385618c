"""The rules between a tenant spec and its Avro schemas, told at the line of the spec that breaks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pulsar_pipeline.errors import SchemaError, SpecError
from pulsar_pipeline.schemas.compatibility import can_read, same_schema
from pulsar_pipeline.schemas.schema import Schema, load_schema
from pulsar_pipeline.spec.model import Deployment, FunctionDefinition, Root, Tenant, Topic
from pulsar_pipeline.spec.problems import nearest, raise_all
from pulsar_pipeline.spec.source import Key


class _Use(NamedTuple):
    """What a field must be to serve as something."""

    kinds: frozenset[str]
    logical: frozenset[str]
    """Logical types that are welcome; values of all others decode to something else than the kind says."""
    nullable: bool


_KEY = _Use(frozenset({"string", "int", "long", "boolean", "enum"}), frozenset({"uuid"}), nullable=False)
_TIME = _Use(frozenset({"string", "long"}), frozenset({"timestamp-millis", "timestamp-micros"}), nullable=True)


def check_tenant_schemas(tenant: Tenant, functions: Mapping[str, FunctionDefinition]) -> None:
    """Schema files, key and event-time fields, and that functions and topics agree. Raises SpecError for all problems.

    Call it after `spec.check.check_tenant`: what is undeclared is passed over here.
    """
    raise_all(schema_problems(tenant, functions))


def schema_problems(tenant: Tenant, functions: Mapping[str, FunctionDefinition]) -> list[SpecError]:
    """As `check_tenant_schemas`, as a list in the order of the file."""
    check = _Check(tenant)
    found = [problem for ref, topic in tenant.topics.items() for problem in check.topic(ref, topic)]
    for name, deployment in tenant.deployments.items():
        if deployment.function in functions:
            found += check.deployment(name, deployment, functions[deployment.function])
    return sorted(found, key=lambda problem: problem.line or 0)


def function_problems(function: FunctionDefinition) -> list[SpecError]:
    """What is wrong with a function's own files: schemas, key, module and sample."""
    found: list[SpecError] = []
    loaded: dict[tuple[Key, ...], Path] = {
        ("inputs", name, "schema"): entry.schema_file for name, entry in function.inputs.items()
    }
    for path, file in loaded.items():
        found += _problems_of_file(function, file, *path)
    if function.output is not None:
        found += _problems_of_file(function, function.output.schema_file, "output", "schema")
        schema = _load(function.output.schema_file)
        if function.output.key is not None and schema is not None:
            found += _field(function, schema, function.output.key, _KEY, "output", "key")
    if function.sample is not None and not function.sample.is_file():
        found.append(function.source.error("there is no such file", "sample", mend="write it, or remove this line"))
    return found + _module_problems(function)


def _module_problems(function: FunctionDefinition) -> list[SpecError]:
    module = function.class_name.rpartition(".")[0].replace(".", "/")
    folder = function.source.file.parent if function.source.file else None
    if folder is None or (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file():
        return []
    what = f"there is no {module}.py in the function's folder"
    return [function.source.error(what, "class", mend="write `module.Class`, for example function.FailureRisk")]


class _Check:
    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def topic(self, ref: str, topic: Topic) -> Iterator[SpecError]:
        yield from _problems_of_file(self._tenant, topic.schema_file, "topics", ref, "schema")
        schema = _load(topic.schema_file)
        if schema is None:
            return
        if topic.key is not None:
            yield from _field(self._tenant, schema, topic.key, _KEY, "topics", ref, "key")
        if topic.event_time is not None:
            yield from _field(self._tenant, schema, topic.event_time, _TIME, "topics", ref, "event_time")

    def deployment(self, name: str, deployment: Deployment, function: FunctionDefinition) -> Iterator[SpecError]:
        for input_name, ref in deployment.inputs.items():
            if input_name in function.inputs:
                yield from self._input(function, input_name, ref, ("deployments", name, "inputs", input_name))
        if deployment.output is not None and function.output is not None:
            yield from self._output(function, deployment.output, ("deployments", name, "output"))
        if deployment.late is not None:
            yield from self._late(function, deployment.late, ("deployments", name, "late"))

    def _input(self, function: FunctionDefinition, name: str, ref: str, path: tuple[Key, ...]) -> Iterator[SpecError]:
        reader, writer = _load(function.inputs[name].schema_file), self._schema_of(ref)
        if reader is None or writer is None:
            return
        for problem in can_read(reader, writer):
            what = f"the function {function.name!r} cannot read {ref}: {problem}"
            yield self._tenant.source.error(what, *path, mend="make the schemas of the topic and the function agree")

    def _output(self, function: FunctionDefinition, ref: str, path: tuple[Key, ...]) -> Iterator[SpecError]:
        output, topic = function.output, self._tenant.topics.get(ref)
        if output is None or topic is None:
            return
        written, declared = _load(output.schema_file), self._schema_of(ref)
        if written is not None and declared is not None and not same_schema(written, declared):
            what = (
                f"the function {function.name!r} writes {written.name}, but {ref} has another schema, {declared.name}"
            )
            yield self._tenant.source.error(what, *path, mend="give the topic the function's output schema file")
        if output.key is not None and topic.key is not None and output.key != topic.key:
            what = f"the function keys its output by {output.key!r}, the topic by {topic.key!r}"
            yield self._tenant.source.error(what, "topics", ref, "key", mend="use one key")

    def _late(self, function: FunctionDefinition, ref: str, path: tuple[Key, ...]) -> Iterator[SpecError]:
        """Late events are written as the function has read them."""
        declared = self._schema_of(ref)
        read = {name: schema for name, each in function.inputs.items() if (schema := _load(each.schema_file))}
        if declared is None or len(read) < len(function.inputs):
            return
        if not any(same_schema(schema, declared) for schema in read.values()):
            names = ", ".join(f"{schema.name} ({name})" for name, schema in read.items())
            what = f"{ref} takes {declared.name}, but the function {function.name!r} reads {names}"
            yield self._tenant.source.error(what, *path, mend="give the topic the schema file of the function's input")

    def _schema_of(self, ref: str) -> Schema | None:
        topic = self._tenant.topics.get(ref)
        return None if topic is None else _load(topic.schema_file)


def _load(path: Path) -> Schema | None:
    """None for a file with problems, which are told once, where it is declared."""
    try:
        return load_schema(path)
    except SchemaError:
        return None


def _problems_of_file(root: Root, file: Path, *path: Key) -> list[SpecError]:
    try:
        load_schema(file)
    except SchemaError as error:
        return [root.source.error(str(error), *path, mend=None)]
    return []


def _field(root: Root, schema: Schema, name: str, use: _Use, *path: Key) -> Iterator[SpecError]:
    fields = schema.fields
    if name not in fields:
        what = f"the schema {schema.name} has no field {name!r}"
        yield root.source.error(what, *path, mend=nearest(name, fields))
    elif not all(_serves(branch, use) for branch in _branches(fields[name])):
        what = f"field {name!r} of {schema.name} cannot be the {path[-1]}: it is {_shown(fields[name])}"
        yield root.source.error(what, *path, mend=f"use a field of type {', '.join(sorted(use.kinds))}")


def _branches(definition: Any) -> list[Any]:
    return definition if isinstance(definition, list) else [definition]


def _serves(definition: Any, use: _Use) -> bool:
    if definition == "null":
        return use.nullable
    if isinstance(definition, dict):
        logical = definition.get("logicalType")
        return definition["type"] in use.kinds and (logical is None or logical in use.logical)
    return definition in use.kinds


def _shown(definition: Any) -> str:
    if isinstance(definition, list):
        return " or ".join(map(_shown, definition))
    if isinstance(definition, dict):
        return str(definition.get("logicalType", definition["type"]))
    return str(definition)
