"""Two local clusters together: tokens are demanded, functions workers answer, messages replicate."""

from __future__ import annotations

from pathlib import Path

import httpx
import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.tokens import mint, new_secret_key
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.local import processes
from pulsar_pipeline.spec.model import Platform

pytestmark = pytest.mark.cluster

NAMES = ("west", "east")


@pytest.fixture(scope="module")
def replicated(platform: Platform, unique: str) -> str:
    """A namespace that both clusters replicate, registered by hand as `apply` would."""
    tenant = f"geo{unique}"
    namespace = f"{tenant}/events"
    with AdminHttp("west", platform.clusters["west"]) as west, AdminHttp("east", platform.clusters["east"]) as east:
        for http in (west, east):
            for name in NAMES:
                cluster = platform.clusters[name]
                record = {"serviceUrl": cluster.admin_url, "brokerServiceUrl": cluster.broker_url}
                try:
                    http.put(f"/admin/v2/clusters/{name}", json=record)
                except ClusterError:
                    http.post(f"/admin/v2/clusters/{name}", json=record)
            http.put(f"/admin/v2/tenants/{tenant}", json={"adminRoles": [], "allowedClusters": list(NAMES)})
            http.put(f"/admin/v2/namespaces/{namespace}", json={"replication_clusters": list(NAMES)})
    return namespace


@pytest.mark.parametrize("name", NAMES)
def test_functions_worker_has_a_leader(platform: Platform, name: str) -> None:
    with AdminHttp(name, platform.clusters[name]) as http:
        members = http.get("/admin/v2/worker/cluster")
        leader = http.get("/admin/v2/worker/cluster/leader")
    assert [member["workerId"] for member in members] == [leader["workerId"]]


@pytest.mark.parametrize("name", NAMES)
def test_admin_api_demands_a_token_it_believes(platform: Platform, name: str, admin_token: str) -> None:
    url = f"{platform.clusters[name].admin_url}/admin/v2/tenants"
    forged = mint("admin", new_secret_key())
    answers = {
        who: httpx.get(url, headers=headers, trust_env=False, timeout=60).status_code
        for who, headers in {
            "nobody": {},
            "forger": {"Authorization": f"Bearer {forged}"},
            "admin": {"Authorization": f"Bearer {admin_token}"},
        }.items()
    }
    assert answers == {"nobody": 401, "forger": 401, "admin": 200}


def test_broker_demands_a_token(platform: Platform) -> None:
    client = pulsar.Client(platform.clusters["west"].broker_url, operation_timeout_seconds=3, logger=None)
    try:
        with pytest.raises(pulsar.PulsarException):
            client.create_producer("persistent://public/default/no-token")
    finally:
        client.close()


def test_no_token_is_in_the_process_list(platform_file: Path, admin_token: str) -> None:
    commands = [process.command for process in processes.everything()]
    ours = [command for command in commands if str(platform_file.parent) in command]
    assert len(ours) >= len(NAMES)
    assert not [command for command in commands if admin_token in command]
    assert not [command for command in ours if "eyJ" in command]  # how every token begins


def test_messages_replicate_between_token_protected_clusters(platform: Platform, replicated: str) -> None:
    topic = f"persistent://{replicated}/readings"
    west, east = (open_client(platform.clusters[name]) for name in NAMES)
    try:
        consumer = east.subscribe(topic, "check", initial_position=pulsar.InitialPosition.Earliest)
        producer = west.create_producer(topic)
        for number in range(10):
            producer.send(b"%d" % number, partition_key="m1", event_timestamp=1_000 + number)
        received = [consumer.receive(timeout_millis=90_000) for _ in range(10)]
        assert [message.data() for message in received] == [b"%d" % number for number in range(10)]
        assert {message.partition_key() for message in received} == {"m1"}
        assert [message.event_timestamp() for message in received] == list(range(1_000, 1_010))
    finally:
        west.close()
        east.close()
