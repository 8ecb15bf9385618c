from __future__ import annotations

from pulsar_pipeline.spec.model import Tenant
from pulsar_pipeline.view.models import served_tenants


def tenant(**changes):
    document = {
        "tenant": "acme",
        "admin_roles": ["acme-admin"],
        "clusters": ["west", "east"],
        "home": "west",
        "namespaces": {
            "in": {},
            "out": {"permissions": {"reader": ["consume"], "writer": ["produce"]}},
            "local": {"replicate_to": ["west"]},
        },
        "topics": {
            "in/readings": {"partitions": 2, "schema": "a.avsc"},
            "out/risk": {"partitions": 2, "schema": "a.avsc"},
            "local/risk": {"partitions": 4, "schema": "a.avsc"},
        },
        "deployments": {
            "pm": {"function": "f", "namespace": "in", "inputs": {"r": "in/readings"}, "output": "out/risk"},
            "here": {"function": "f", "namespace": "in", "inputs": {"r": "in/readings"}, "output": "local/risk"},
            "sink": {"function": "f", "namespace": "in", "inputs": {"r": "in/readings"}},
        },
        "views": {"risk": {"deployment": "pm"}, "near": {"deployment": "here"}},
        "api": {"roles": ["app"]},
    }
    return Tenant.model_validate({**document, **changes})


def test_a_view_is_its_deployments_output_topic_with_those_who_may_consume_it():
    (served,) = served_tenants([tenant()], "west")
    near, risk = served.views
    assert (near.name, str(near.topic), near.partitions) == ("near", "persistent://acme/local/risk", 4)
    assert (risk.tenant, risk.name, risk.deployment) == ("acme", "risk", "pm")
    assert served.roles == {"acme-admin", "app", "acme-functions"}
    assert risk.roles == served.roles | {"reader"}
    assert near.roles == served.roles


def test_a_cluster_serves_what_it_holds():
    (served,) = served_tenants([tenant()], "east")
    assert [view.name for view in served.views] == ["risk"]
    assert served_tenants([tenant()], "north") == ()


def test_a_deployment_without_output_has_nothing_to_view():
    (served,) = served_tenants([tenant(views={"nothing": {"deployment": "sink"}})], "west")
    assert served.views == ()


def test_a_served_view_survives_json():
    (served,) = served_tenants([tenant()], "west")
    assert type(served).model_validate_json(served.model_dump_json()) == served
