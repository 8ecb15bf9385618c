"""What a tenant spec and function definitions say of their schemas, checked against the files."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.schemas.check import check_tenant_schemas, function_problems
from pulsar_pipeline.spec.load import load_function, load_functions, load_tenant, load_tenants
from tests.support.avro import record

TENANT = dedent("""\
    tenant: acme
    clusters: [west]
    home: west
    namespaces: {sensors: {}}
    topics:
      sensors/readings:
        partitions: 1
        schema: functions/risk/schemas/reading.v1.avsc
        key: machine
        event_time: at
      sensors/risk:
        partitions: 1
        schema: functions/risk/schemas/risk.v1.avsc
        key: machine
    deployments:
      risk:
        function: risk
        namespace: sensors
        inputs: {readings: sensors/readings}
        output: sensors/risk
    """)

FUNCTION = dedent("""\
    name: risk
    description: Risk of failure.
    class: function.Risk
    inputs:
      readings:
        schema: schemas/reading.v1.avsc
    output:
      schema: schemas/risk.v1.avsc
      key: machine
    sample: sample.jsonl
    """)

AT = {"type": "long", "logicalType": "timestamp-millis"}
FIELDS: tuple[Any, ...] = (("machine", "string"), ("at", AT), ("speed", "double"), ("note", ["null", "string"]))
READING = record(*FIELDS, name="Reading")
RISK = record(("machine", "string"), ("risk", "double"), name="Risk")


def project(folder: Path, files: dict[str, Any]) -> Path:
    """A tenant and a function on disk; `files` add to them or stand in for them (None: not there)."""
    standard: dict[str, Any] = {
        "acme.yaml": TENANT,
        "functions/risk/function.yaml": FUNCTION,
        "functions/risk/function.py": "",
        "functions/risk/sample.jsonl": "",
        "functions/risk/schemas/reading.v1.avsc": READING,
        "functions/risk/schemas/risk.v1.avsc": RISK,
    }
    for name, content in (standard | files).items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def problems(folder: Path) -> tuple[SpecError, ...]:
    tenant, functions = load_tenant(folder / "acme.yaml"), load_functions(folder / "functions")
    with pytest.raises(SpecError) as caught:
        check_tenant_schemas(tenant, functions)
    return caught.value.problems or (caught.value,)


def test_a_good_project(tmp_path):
    project(tmp_path, {})
    check_tenant_schemas(load_tenant(tmp_path / "acme.yaml"), load_functions(tmp_path / "functions"))
    assert function_problems(load_function(tmp_path / "functions" / "risk")) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "fragment"),
    [
        ("risk/schemas/reading", "risk/schemas/none", 8, "topics.sensors/readings.schema", "cannot read the schema"),
        ("reading.v1.avsc", "reading.json", 8, "topics.sensors/readings.schema", "NAME.vN.avsc"),
        (
            "key: machine",
            "key: machin",
            9,
            "topics.sensors/readings.key",
            "no field 'machin' | did you mean `machine`?",
        ),
        ("key: machine", "key: speed", 9, "topics.sensors/readings.key", "cannot be the key: it is double"),
        ("key: machine", "key: note", 9, "topics.sensors/readings.key", "cannot be the key: it is null or string"),
        ("key: machine", "key: at", 9, "topics.sensors/readings.key", "cannot be the key: it is timestamp-millis"),
        ("event_time: at", "event_time: speed", 10, "topics.sensors/readings.event_time", "it is double"),
        ("event_time: at", "event_time: when", 10, "topics.sensors/readings.event_time", "has no field 'when'"),
        (
            "v1.avsc\n    key: machine\n    event_time: at",
            "v2.avsc",
            16,
            "deployments.risk.inputs.readings",
            "cannot read sensors/readings: field speed: the data lacks it",
        ),
        (
            "risk/schemas/risk.v1",
            "risk/schemas/risk.v2",
            19,
            "deployments.risk.output",
            "writes risk, but sensors/risk has another",
        ),
        (
            "v1.avsc\ndeployments",
            "v1.avsc\n    key: other\ndeployments",
            14,
            "topics.sensors/risk.key",
            "has no field 'other'",
        ),
    ],
)
def test_a_mistake_in_a_tenant(tmp_path, old, new, line, key, fragment):
    text = TENANT.replace("risk.v1.avsc\n    key: machine\n", "risk.v1.avsc\n")
    assert old in text
    project(
        tmp_path,
        {
            "acme.yaml": text.replace(old, new, 1),
            "functions/risk/schemas/reading.v2.avsc": record(("machine", "string"), name="Reading"),
            "functions/risk/schemas/risk.v2.avsc": record(("machine", "string"), name="Risk"),
        },
    )
    told = [problem for problem in problems(tmp_path) if fragment in f"{problem.what} | {problem.mend}"]
    assert [(problem.file, problem.line, problem.key) for problem in told] == [(tmp_path / "acme.yaml", line, key)]


def test_late_events_are_written_as_the_function_reads_them(tmp_path):
    late = """\
  sensors/late:
    partitions: 1
    schema: functions/risk/schemas/reading.v1.avsc
deployments:
  risk:
    late: sensors/late
"""
    text = TENANT.replace("deployments:\n  risk:\n", late)
    project(tmp_path, {"acme.yaml": text})
    check_tenant_schemas(load_tenant(tmp_path / "acme.yaml"), load_functions(tmp_path / "functions"))
    other = text.replace("    schema: functions/risk/schemas/reading", "    schema: functions/risk/schemas/risk")
    project(tmp_path, {"acme.yaml": other.replace("schemas/risk.v1", "schemas/reading.v1", 1)})
    (problem,) = (each for each in problems(tmp_path) if each.key == "deployments.risk.late")
    assert problem.line == 20
    assert "sensors/late takes risk, but the function 'risk' reads reading (readings)" in problem.what
    assert problem.mend


def test_topic_and_function_key_an_output_alike(tmp_path):
    two = record(("machine", "string"), ("line", "string"), name="Risk")
    project(
        tmp_path,
        {
            "functions/risk/schemas/risk.v1.avsc": two,
            "acme.yaml": TENANT.replace("v1.avsc\n    key: machine\ndep", "v1.avsc\n    key: line\ndep"),
        },
    )
    assert "keys its output by 'machine', the topic by 'line'" in problems(tmp_path)[0].what


def test_nullable_event_times_and_uuid_keys_are_welcome(tmp_path):
    fields = (("machine", {"type": "string", "logicalType": "uuid"}), ("at", ["null", AT]))
    project(tmp_path, {"functions/risk/schemas/reading.v1.avsc": record(*fields, name="Reading")})
    check_tenant_schemas(load_tenant(tmp_path / "acme.yaml"), load_functions(tmp_path / "functions"))
    assert load_tenant(tmp_path / "acme.yaml").topics["sensors/readings"].key == "machine"


@pytest.mark.parametrize(
    ("files", "line", "key", "fragment"),
    [
        ({"functions/risk/schemas/reading.v1.avsc": "{"}, 6, "inputs.readings.schema", "not JSON"),
        ({"functions/risk/schemas/risk.v1.avsc": None}, 8, "output.schema", "No such file"),
        ({"functions/risk/schemas/risk.v1.avsc": READING | {"fields": []}}, 9, "output.key", "has no field 'machine'"),
        ({"functions/risk/sample.jsonl": None}, 10, "sample", "there is no such file"),
        ({"functions/risk/function.py": None}, 3, "class", "there is no function.py in the function's folder"),
    ],
)
def test_a_mistake_in_a_function(tmp_path, files, line, key, fragment):
    project(tmp_path, files)
    (problem,) = function_problems(load_function(tmp_path / "functions" / "risk"))
    assert (problem.line, problem.key) == (line, key)
    assert fragment in problem.what


def test_a_class_may_stand_in_a_package(tmp_path):
    files = {"functions/risk/function.py": None, "functions/risk/function/__init__.py": ""}
    project(tmp_path, files)
    assert function_problems(load_function(tmp_path / "functions" / "risk")) == []


def test_the_shipped_files_are_good():
    root = Path(__file__).parents[3]
    functions = load_functions(root / "functions")
    for tenant in load_tenants(root / "tenants").values():
        check_tenant_schemas(tenant, functions)
    assert [problem for function in functions.values() for problem in function_problems(function)] == []
