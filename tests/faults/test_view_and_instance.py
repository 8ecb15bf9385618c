"""Instances and `serve` are killed and topics unloaded while events flow: every event has its prediction all the same.

At least once: some may have two. That the state counts each once is not promised here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.local import processes
from pulsar_pipeline.query.client import QueryClient
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, Home, apply_tenant, build, home
from tests.support.project import Project
from tests.support.remove import remove_tenant
from tests.support.serving import Served, serving
from tests.support.unload import unload
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

EVENTS, RESULTS = "flow/events", "flow/results"
PARTITIONS = 4
ROUND = 100
"""Events sent at a time."""
QUERY = 500
SCHEMAS = FUNCTIONS / "counter" / "schemas"


def spec(name: str) -> dict[str, Any]:
    topics = {EVENTS: "event.v1.avsc", RESULTS: "result.v1.avsc"}
    return {
        "tenant": name,
        "clusters": ["west", "east"],
        "home": "west",
        "namespaces": {"flow": {"retention": {"time": "1d", "size": "1GB"}}},
        "topics": {
            ref: {"partitions": PARTITIONS, "schema": str(SCHEMAS / file), "key": "id"} for ref, file in topics.items()
        },
        "deployments": {
            "counter": {
                "function": "counter",
                "namespace": "flow",
                "inputs": {"events": EVENTS},
                "output": RESULTS,
                "parallelism": 2,
            }
        },
        "views": {"counter": {"deployment": "counter"}},
        "api": {"roles": [f"{name}-app"]},
    }


class Flow:
    """Events, each with a key of its own, sent in the background until it is told to stop."""

    def __init__(self, at_home: Home) -> None:
        self.sent = 0
        self._home, self._stop, self._failure = at_home, threading.Event(), []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def go_on(self) -> None:
        """Until some more are sent."""
        before = self.sent
        wait_until(lambda: self.sent > before + 2 * ROUND or self._failure, 30, "events flow")
        assert not self._failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                numbers = range(self.sent, self.sent + ROUND)
                self._home.send(EVENTS, [{"id": f"k{n}", "n": n} for n in numbers])
                self.sent += ROUND
        except BaseException as failure:
            self._failure.append(failure)
            raise


@pytest.fixture
def project(platform_file: Path, tmp_path: Path) -> Project:
    return Project(tmp_path, platform_file)


@pytest.fixture
def deployed(project: Project, platform: Platform, tokens: Tokens, tmp_path: Path, unique: str) -> Iterator[Home]:
    tenant = project.add_tenant(spec(f"faults-{unique}"))
    apply_tenant(platform, tenant)
    tokens.give_to_functions(tenant.tenant)
    with home(platform, tenant) as at_home:
        at_home.deploy("counter", build("counter", tmp_path))
        yield at_home
        at_home.delete("counter")
    remove_tenant(platform, tenant.tenant)


def test_no_event_is_without_a_prediction(
    deployed: Home, project: Project, platform: Platform, tokens: Tokens, tmp_path: Path
) -> None:
    tenant = deployed.tenant
    token = read_token(tokens.file_of(f"{tenant.tenant}-app", tmp_path))
    with ExitStack() as stack:

        def serve(cluster: str) -> Served:
            where = project.platform_file, project.tenants, cluster, tmp_path / "views", token, tenant.tenant
            served = stack.enter_context(serving(*where))
            wait_until(served.ready, 60, f"the views of {cluster} are ready")
            return served

        services = {cluster: serve(cluster) for cluster in tenant.clusters}
        with Flow(deployed) as flow:
            flow.go_on()
            os.kill(_instances(tenant)[0], signal.SIGKILL)
            flow.go_on()
            _unload(platform, tenant, RESULTS)
            flow.go_on()
            os.kill(services["west"].materialiser(), signal.SIGKILL)
            _unload(platform, tenant, EVENTS)
            flow.go_on()
            os.kill(services["west"].process.pid, signal.SIGKILL)
            services["west"].process.wait()
            os.kill(_instances(tenant)[-1], signal.SIGKILL)
            flow.go_on()
            services["west"] = serve("west")
            flow.go_on()
        for cluster, served in services.items():
            with QueryClient(served.url, token) as client:
                last = wait_until(lambda client=client: _all(client, tenant, flow.sent), 90, f"all in {cluster}")
            assert last == {f"k{n}": 2 * n for n in range(flow.sent)}


def _all(client: QueryClient, tenant: Tenant, count: int) -> dict[str, int]:
    """Every prediction, once none is missing."""
    found: dict[str, int] = {}
    for start in range(0, count, QUERY):
        entities = [f"k{n}" for n in range(start, min(start + QUERY, count))]
        answer = client.predictions(tenant.tenant, "counter", entities)
        if answer["missing"]:
            return {}
        found |= {each["entity"]: each["prediction"]["doubled"] for each in answer["found"]}
    return found


def _instances(tenant: Tenant) -> list[int]:
    def running() -> list[int]:
        return [
            each.pid
            for each in processes.everything()
            if "runtime/main.py" in each.command and f'"tenant":"{tenant.tenant}"' in each.command
        ]

    return wait_until(lambda: found if len(found := running()) == 2 else [], 60, "both instances run")


def _unload(platform: Platform, tenant: Tenant, ref: str) -> None:
    """Every partition's owner lets go of it, and of all that is connected to it."""
    with AdminHttp(tenant.home, platform.clusters[tenant.home]) as http:
        assert unload(http, map(tenant.topic_name(ref).partition, range(PARTITIONS))) > 0
