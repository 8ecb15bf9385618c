"""Our verdict on changes of schema is that of a real broker, for every strategy and every change of the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterConflict
from pulsar_pipeline.schemas.compatibility import incompatibilities, same_schema
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.spec.model import Platform
from tests.support.avro import record, schema
from tests.support.remove import remove_tenant
from tests.support.schema_pairs import PAIRS

pytestmark = pytest.mark.cluster

STRATEGIES = (
    "backward",
    "backward_transitive",
    "forward",
    "forward_transitive",
    "full",
    "full_transitive",
    "always_compatible",
    "always_incompatible",
)

WITHOUT_B = schema(record(("a", "int")))
WITH_DEFAULT = schema(record(("a", "int"), ("b", "int", 0)))
WITH_B = schema(record(("a", "int"), ("b", "int")))
HISTORIES = {
    "a default comes and goes": (WITHOUT_B, WITH_DEFAULT, WITH_B),
    "a field gets a default and goes": (WITH_B, WITH_DEFAULT, WITHOUT_B),
    "back to the first": (WITHOUT_B, WITH_DEFAULT, WITHOUT_B),
}


class Registry:
    """The schema registry of one cluster, one namespace per strategy."""

    def __init__(self, http: AdminHttp, tenant: str) -> None:
        self._http = http
        self._tenant = tenant

    def create(self) -> None:
        clusters = [self._http.name]
        self._http.put(f"/admin/v2/tenants/{self._tenant}", json={"adminRoles": [], "allowedClusters": clusters})
        for strategy in STRATEGIES:
            policies = {"schema_compatibility_strategy": strategy.upper(), "replication_clusters": clusters}
            self._http.put(f"/admin/v2/namespaces/{self._tenant}/{strategy}", json=policies)

    def register(self, strategy: str, topic: str, new: Schema) -> int | None:
        """The version it got; None when the broker refuses it."""
        path = f"/admin/v2/schemas/{self._tenant}/{strategy}/{topic}/schema"
        body = {"type": "AVRO", "schema": new.text, "properties": {}}
        try:
            return int(self._http.post(path, json=body)["version"]["version"])
        except ClusterConflict:
            return None


@pytest.fixture(scope="module")
def registry(platform: Platform, unique: str) -> Iterator[Registry]:
    tenant = f"schemas-{unique}"
    with AdminHttp("west", platform.clusters["west"]) as http:
        made = Registry(http, tenant)
        made.create()
        yield made
    remove_tenant(platform, tenant)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_changes(registry, strategy):
    ours, brokers = {}, {}
    for number, (name, pair) in enumerate(PAIRS.items()):
        old, new = schema(pair.old), schema(pair.new)
        first = registry.register(strategy, f"pair-{number}", old)
        then = registry.register(strategy, f"pair-{number}", new)
        brokers[name] = "refused" if then is None else "same" if then == first else "taken"
        refused = incompatibilities(strategy, new, [old])
        ours[name] = "refused" if refused else "same" if same_schema(old, new) else "taken"
    assert ours == brokers


@pytest.mark.parametrize("strategy", STRATEGIES[:-1])
def test_histories(registry, strategy):
    ours, brokers = {}, {}
    for number, (name, (first, second, third)) in enumerate(HISTORIES.items()):
        topic = f"history-{number}"
        versions = [registry.register(strategy, topic, known) for known in (first, second)]
        assert versions == [0, 1]
        brokers[name] = registry.register(strategy, topic, third) is not None
        ours[name] = not incompatibilities(strategy, third, [first, second])
    assert ours == brokers
