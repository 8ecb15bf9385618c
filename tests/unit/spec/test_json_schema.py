"""The JSON Schemas in docs/schemas are those of the models, and hold for the shipped files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pulsar_pipeline.spec.json_schema import MODELS, json_schema, json_schema_text

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", MODELS)
def test_the_published_schema_is_up_to_date(kind):
    published = ROOT / "docs" / "schemas" / f"{kind}.schema.json"
    told = f"run: pulsar-pipeline spec schema {kind} --out docs/schemas/{kind}.schema.json"
    assert published.read_text() == json_schema_text(kind), told


@pytest.mark.parametrize("kind", MODELS)
def test_every_object_refuses_unknown_keys(kind):
    schema = json_schema(kind)
    objects = [schema, *schema["$defs"].values()]
    assert all(entry["additionalProperties"] is False for entry in objects if "properties" in entry)


def test_keys_are_described_as_they_are_written():
    topic = json_schema("tenant")["$defs"]["Topic"]
    assert set(topic["properties"]) == {"partitions", "schema", "key", "event_time"}
    assert "message key" in topic["properties"]["key"]["description"]


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("tenants/*.yaml"), ROOT / "deploy" / "platform.example.yaml"]), ids=str
)
def test_shipped_files_name_their_schema(path):
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert match is not None
    assert json.loads((path.parent / match[1]).read_text())["$schema"]
