from __future__ import annotations

from pathlib import Path

from pulsar_pipeline.plan.permissions import permissions_of
from tests.support.tenants import namespace, tenant


def test_functions_get_what_their_deployments_use(tmp_path: Path) -> None:
    granted = permissions_of(tenant(tmp_path / "r.avsc"))
    assert granted["sensors"]["acme-functions"] == {"produce", "consume", "functions"}
    assert granted["models"]["acme-functions"] == {"produce", "consume", "functions"}


def test_functions_write_late_events(tmp_path: Path) -> None:
    spec = tenant(tmp_path / "r.avsc", namespaces={"sensors": {}, "models": {}, "late": {}})
    deployment = spec.deployments["risk"].model_copy(update={"late": "late/readings"})
    with_late = spec.model_copy(update={"deployments": {"risk": deployment}})
    assert permissions_of(spec)["late"]["acme-functions"] == frozenset()
    assert "produce" in permissions_of(with_late)["late"]["acme-functions"]


def test_functions_get_nothing_where_no_deployment_goes(tmp_path: Path) -> None:
    granted = permissions_of(tenant(tmp_path / "r.avsc", deployments={}, views={}))
    assert granted["sensors"]["acme-functions"] == frozenset()


def test_the_api_consumes_only_predictions_that_are_served(tmp_path: Path) -> None:
    granted = permissions_of(tenant(tmp_path / "r.avsc"))
    assert granted["models"]["dashboard"] == {"consume"}
    assert granted["sensors"]["dashboard"] == frozenset()


def test_declared_actions_are_joined_with_derived_ones(tmp_path: Path) -> None:
    spaces = {
        "sensors": {},
        "models": namespace(permissions={"dashboard": ["produce"], "acme-functions": ["packages"]}),
    }
    granted = permissions_of(tenant(tmp_path / "r.avsc", namespaces=spaces))
    assert granted["models"]["dashboard"] == {"produce", "consume"}
    assert granted["models"]["acme-functions"] == {"produce", "consume", "functions", "packages"}


def test_a_role_declared_in_one_namespace_may_do_nothing_in_another(tmp_path: Path) -> None:
    granted = permissions_of(tenant(tmp_path / "r.avsc"))
    assert granted["sensors"]["app"] == {"produce"}
    assert granted["models"]["app"] == frozenset()
    assert "stranger" not in granted["models"]
