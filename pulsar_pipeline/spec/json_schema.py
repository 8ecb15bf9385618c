"""JSON Schemas of the YAML files, for editors: completion, descriptions and errors while typing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pulsar_pipeline.spec.model import FunctionDefinition, Platform, Root, Tenant

Kind = Literal["platform", "tenant", "function"]

MODELS: Mapping[Kind, type[Root]] = {"platform": Platform, "tenant": Tenant, "function": FunctionDefinition}


def json_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one kind of file."""
    schema = MODELS[kind].model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"pulsar-pipeline {kind} file",
    }


def json_schema_text(kind: Kind) -> str:
    """As the file in `docs/schemas`."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
