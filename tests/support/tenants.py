"""A platform, tenant specs and schema files for tests of plan and apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pulsar_pipeline.spec.model import Platform, Tenant

PLATFORM = Platform.model_validate(
    {
        "clusters": {
            name: {"admin_url": f"http://{name}:8080", "broker_url": f"pulsar://{name}:6650"}
            for name in ("west", "east", "north")
        }
    }
)


def write_schema(folder: Path, name: str = "reading.v1", *extra: dict[str, Any]) -> Path:
    """An `.avsc` of a record with a machine and a value, and further fields."""
    fields = [{"name": "machine", "type": "string"}, {"name": "value", "type": "double"}, *extra]
    path = folder / f"{name}.avsc"
    path.write_text(json.dumps({"type": "record", "name": "Reading", "fields": fields}))
    return path


def namespace(**policies: Any) -> dict[str, Any]:
    """A namespace's spec that uses every policy; `policies` stand in for its own."""
    return {
        "retention": {"time": "7d", "size": "10GB"},
        "ttl": "1d",
        "backlog_quota": {"size": "1GB", "time": "2h", "policy": "producer_exception"},
        "compaction_threshold": "100MB",
        "deduplication": True,
        "schema": {"compatibility": "full_transitive", "enforce": True},
        "publish_rate": {"messages": 1000, "size": "10MB"},
        "permissions": {"app": ["produce"], "auditor": ["consume"]},
    } | policies


def tenant_spec(schema: Path, name: str = "acme", **changes: Any) -> dict[str, Any]:
    """A tenant's spec, as a YAML file would hold it: two clusters, every policy, a deployment and a view."""
    return {
        "tenant": name,
        "admin_roles": [f"{name}-admin"],
        "clusters": ["west", "east"],
        "home": "west",
        "namespaces": {"sensors": namespace(), "models": {}},
        "topics": {
            "sensors/readings": {"partitions": 4, "schema": str(schema), "key": "machine"},
            "models/risk": {"partitions": 4, "schema": str(schema), "key": "machine"},
        },
        "deployments": {
            "risk": {
                "function": "risk",
                "namespace": "models",
                "inputs": {"readings": "sensors/readings"},
                "output": "models/risk",
            }
        },
        "views": {"risk": {"deployment": "risk"}},
        "api": {"roles": ["dashboard"]},
    } | changes


def tenant(schema: Path, name: str = "acme", **changes: Any) -> Tenant:
    """The model of `tenant_spec`."""
    return Tenant.model_validate(tenant_spec(schema, name, **changes))
