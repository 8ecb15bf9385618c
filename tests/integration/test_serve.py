"""Views and the HTTP API over real clusters: what is written in one is answered alike by both, whatever is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from datetime import timedelta

import pytest

from pulsar_pipeline import metrics
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from tests.support.deployed import apply_tenant, read_all
from tests.support.remove import remove_tenant
from tests.support.serving import OUTPUT, PARTITIONS, OutputTopic, command, module_of, serving, write_tenant
from tests.support.unload import unload
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

MACHINES = [f"m-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def tenants_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tenants")


@pytest.fixture(scope="module")
def tenant(platform, tenants_folder, unique):
    tenant = write_tenant(tenants_folder, f"serve{unique}")
    apply_tenant(platform, tenant)
    yield tenant
    remove_tenant(platform, tenant.tenant)


@pytest.fixture(scope="module")
def output(platform, tenant):
    client = open_client(platform.clusters["west"])
    yield OutputTopic(client, tenant)
    client.close()


@pytest.fixture(scope="module")
def token(tokens, tenant):
    return tokens.of(f"{tenant.tenant}-app")


@pytest.fixture
def start(platform_file, tenants_folder, tenant, token, tmp_path):
    """Starts `serve` for a cluster; the same folder again for the same cluster."""
    with ExitStack() as stack:

        def start(cluster, *more):
            served = stack.enter_context(
                serving(platform_file, tenants_folder, cluster, tmp_path, token, tenant.tenant, *more)
            )
            wait_until(served.ready, 60, f"{cluster} is ready")
            return served

        yield start


def sent_up_to(served, expected):
    """Whether every machine's row is the one expected."""
    found = served.predictions(expected)
    return {machine: row["prediction"]["n"] for machine, row in found.items()} == expected


def test_both_clusters_answer_alike(start, output):
    west, east = start("west"), start("east")
    output.send(({"machine": machine, "n": n} for n, machine in enumerate(MACHINES)), event_time_ms=1_700_000_000_123)
    expected = {machine: n for n, machine in enumerate(MACHINES)}
    wait_until(lambda: sent_up_to(west, expected), 20, "west has all")
    wait_until(lambda: sent_up_to(east, expected), 20, "east has all")
    for machine in MACHINES:
        of_west, of_east = west.prediction(machine), east.prediction(machine)
        assert of_west["position"].startswith("v1.west.")
        assert of_east["position"].startswith("v1.east.")
        assert of_west["event_time"] == "2023-11-14T22:13:20.123Z"
        for answer in (of_west, of_east):
            del answer["position"], answer["lag_ms"]
        assert of_west == of_east
    wait_until(lambda: (west.prediction("m-1") or {}).get("lag_ms") == 0, 10, "west is caught up")
    wait_until(lambda: (east.prediction("m-1") or {}).get("lag_ms") == 0, 10, "east is caught up")


def test_tokens_that_the_brokers_take_and_no_others(start, output, tokens, tenant):
    west = start("west")
    output.send([{"machine": "m-0", "n": 0}])
    wait_until(lambda: west.prediction("m-0"), 20, "a prediction")
    path = f"/v1/tenants/{tenant.tenant}/models/risk/predictions/m-0"
    for role, status in (
        (f"{tenant.tenant}-app", 200),
        (f"{tenant.tenant}-functions", 200),
        ("admin", 404),
        ("stranger", 404),
    ):
        assert west.get(path, token=tokens.of(role)).status_code == status, role
    assert west.get(path, token="").status_code == 401
    expired = tokens.of(f"{tenant.tenant}-app", valid_for=timedelta(seconds=-1))
    assert west.get(path, token=expired).status_code == 401


def test_nothing_is_lost_or_taken_twice_when_the_materialiser_is_killed_under_load(start, output, platform, tenant):
    west = start("west")
    rounds = 150
    done = threading.Event()

    def load():
        try:
            for n in range(rounds):
                output.send({"machine": machine, "n": n} for machine in MACHINES)
        finally:
            done.set()

    thread = threading.Thread(target=load)
    thread.start()
    kills = 0
    while not done.is_set() or kills < 3:
        pid = wait_until(lambda: _materialiser(west), 20, "a materialiser")
        taken = west.total(metrics.VIEW_APPLIED.name)
        wait_until(lambda taken=taken: west.total(metrics.VIEW_APPLIED.name) > taken or done.is_set(), 30, "progress")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not module_of(pid), 10, "it is dead")
        kills += 1
        if kills == 2:
            _unload(platform, tenant)
    thread.join()
    expected = dict.fromkeys(MACHINES, rounds - 1)
    wait_until(lambda: sent_up_to(west, expected), 60, "west has the last of every machine")
    # the topic itself may hold a batch twice: a producer that is cut off by the unload sends it again
    held = len(read_all(output.client, str(tenant.topic_name(OUTPUT)), PARTITIONS))
    assert held >= rounds * len(MACHINES)
    taken_or_left = (metrics.VIEW_APPLIED.name, metrics.VIEW_SKIPPED.name)
    wait_until(lambda: sum(map(west.total, taken_or_left)) == held, 20, "the view has taken each message once")


def _materialiser(served):
    try:
        return served.materialiser()
    except StopIteration:
        return None


def _unload(platform, tenant):
    with AdminHttp("west", platform.clusters["west"]) as http:
        assert unload(http, map(tenant.topic_name(OUTPUT).partition, range(PARTITIONS))) > 0


def test_a_worker_that_is_killed_is_started_again(start, output):
    west = start("west", "--workers", "2")
    workers = [pid for pid, module in west.children().items() if module.endswith("query.process")]
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    def others():
        now = [pid for pid, module in west.children().items() if module.endswith("query.process")]
        return len(now) == 2 and not set(now) & set(workers)

    wait_until(others, 20, "two new workers")
    wait_until(west.ready, 20, "they answer")


def test_killing_the_parent_leaves_no_child_and_a_new_start_goes_on(start, output, platform_file, tmp_path):
    west = start("west")
    output.send({"machine": machine, "n": 7} for machine in MACHINES)
    wait_until(lambda: sent_up_to(west, dict.fromkeys(MACHINES, 7)), 20, "west has all")
    taken = west.total(metrics.VIEW_APPLIED.name)
    children = list(west.children())
    assert len(children) == 2
    os.kill(west.process.pid, signal.SIGKILL)
    west.process.wait()
    again = start("west")
    wait_until(lambda: not any(map(module_of, children)), 15, "the old children are gone")
    assert sent_up_to(again, dict.fromkeys(MACHINES, 7))
    output.send([{"machine": "m-3", "n": 8}])
    wait_until(lambda: sent_up_to(again, {"m-3": 8}), 20, "the next one")
    assert again.total(metrics.VIEW_APPLIED.name) == taken + 1


def test_stopping_ends_every_process(start):
    west = start("west")
    children = list(west.children())
    os.kill(west.process.pid, signal.SIGTERM)
    assert west.process.wait(60) == 0
    assert not any(map(module_of, children))


def test_a_bad_message_is_left_out_and_counted(start, output):
    west = start("west")
    skipped = west.total(metrics.VIEW_SKIPPED.name)
    output.send([{"machine": "m-6", "n": 100}])
    output.send_bytes(b"\xff\xff truncated", "m-6")
    output.send([{"machine": "m-9", "n": 101}])
    wait_until(lambda: sent_up_to(west, {"m-6": 100, "m-9": 101}), 20, "those before and after")
    wait_until(lambda: west.total(metrics.VIEW_SKIPPED.name) == skipped + 1, 10, "it is counted")


def test_a_second_serve_is_refused_in_a_line(start, platform_file, tenants_folder, tmp_path):
    start("west")
    arguments = command(platform_file, tenants_folder, "west", tmp_path, "--port", "0")
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=180, check=False)
    assert result.returncode == 1
    assert "in use by another process" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_told_in_a_line(platform_file, tenants_folder, tenant, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = command(platform_file, tenants_folder, "west", tmp_path, "--port", str(port))
        result = subprocess.run(arguments, capture_output=True, text=True, timeout=180, check=False)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in " ".join(result.stderr.split())
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_partition_that_is_added_is_read(start, output, platform, tenant):
    west = start("west")
    path = f"/admin/v2/persistent/{tenant.topic_name(OUTPUT).path}/partitions"
    for name, cluster in platform.clusters.items():
        with AdminHttp(name, cluster) as http:
            http.post(path, json=PARTITIONS + 1)
    output.send([{"machine": "m-1000", "n": 1}], partition=PARTITIONS)
    wait_until(lambda: west.prediction("m-1000"), 40, "the new partition is read")
    (model,) = west.get(f"/v1/tenants/{tenant.tenant}/models").json()["models"]
    assert (model["ready"], len(model["positions"])) == (True, PARTITIONS + 1)
