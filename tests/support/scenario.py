"""The whole job as its users do it, on clusters that run: from a tenant's spec to predictions over HTTP, and faults.

Nothing here knows how the clusters were started: a `Provider` says where they are and how to reach what runs on them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.connect import open_client, read_token
from pulsar_pipeline.demo import traffic
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.names import functions_role
from pulsar_pipeline.query.client import QueryClient
from pulsar_pipeline.spec.model import Tenant
from tests.support.project import REPOSITORY, Project, spec_of
from tests.support.serving import Served, module_of, serving
from tests.support.wait import wait_until

DEPLOYMENT = "failure-risk"
READINGS = 600
LATER_READINGS = 100
"""Sent after the kills."""
EVENTS_PER_S = 800.0
SETTLE_TIMEOUT_S = 60.0

Predictions = dict[str, dict[str, Any]]
"""Entity → the output record."""


@dataclass(frozen=True)
class Provider:
    """Running clusters and the way to what runs on them, however they were started."""

    platform_file: Path
    function_tokens: Path
    """Folder where the functions worker's instances look for `TENANT.token`."""
    instances: Callable[[str], Sequence[int]]
    """The runtime instances of a tenant that run now, by a number that no two of them ever share."""
    kill: Callable[[int], None]
    """`kill -9` of one of them."""


@dataclass(frozen=True)
class Service:
    """A running `serve`, and a client of it that may read the tenant's views."""

    served: Served
    client: QueryClient
    tenant: str

    def predictions(self, entities: Sequence[str]) -> Predictions:
        """Of those entities that have one."""
        found = self.client.predictions(self.tenant, DEPLOYMENT, entities)["found"]
        return {each["entity"]: each["prediction"] for each in found}


@dataclass
class Findings:
    """What was seen on the way."""

    planned: int = 0
    deploy_steps: list[str] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    """Entity → its last reading."""
    predictions: dict[str, Predictions] = field(default_factory=dict)
    """By cluster, after the live traffic."""
    stats: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    """Of a file with invalid rows; and what was told on standard error."""
    told_rejects: str = ""
    expected_after_kills: dict[str, int] = field(default_factory=dict)
    after_kills: dict[str, Predictions] = field(default_factory=dict)
    status_after_kills: dict[str, Any] = field(default_factory=dict)


def run_scenario(provider: Provider, folder: Path, name: str) -> Findings:
    """The job in a tenant of this name, in an empty folder. All that it starts is stopped at the end; the tenant stays.

    What any step has to answer is checked on the way; what came of it is given.
    """
    project = Project(folder, provider.platform_file, REPOSITORY / "functions" / "predictive_maintenance")
    tenant, found = project.add_tenant(spec_of("acme", name=name)), Findings()
    _make_tokens(project, provider, tenant)
    _apply(project, found)
    with ExitStack() as stack:
        _deploy(project, provider, tenant, stack, found)
        services = {cluster: stack.enter_context(_service(project, cluster, tenant)) for cluster in tenant.clusters}
        events = _prepare(project, READINGS + LATER_READINGS)
        split = 2 * READINGS
        found.expected = _send(project, tenant, events[:split])
        found.predictions = settled(services, found.expected)
        _look(project, tenant, found)
        _query(project, tenant, services, found)
        _send_some_invalid(project, tenant, services, found)
        _kill(provider, tenant, services)
        found.expected_after_kills = found.expected | _send(project, tenant, events[split:])
        found.after_kills = settled(services, found.expected_after_kills)
        found.status_after_kills = wait_until(lambda: _running(project, tenant), 30, "the killed instance runs again")
    return found


def _make_tokens(project: Project, provider: Provider, tenant: Tenant) -> None:
    functions = provider.function_tokens / f"{tenant.tenant}.token"
    project.run("token", "create", "--role", functions_role(tenant.tenant), "--out", functions)
    project.run("token", "state-key", "create", "--out", functions.with_suffix(".key"))
    for who in ("app", "stranger"):
        project.run("token", "create", "--role", f"{tenant.tenant}-{who}", "--out", _token_file(project, who))


def _token_file(project: Project, who: str) -> Path:
    return project.folder / f"{who}.token"


def _apply(project: Project, found: Findings) -> None:
    found.planned = len(project.json("plan", expect=2)["steps"])
    project.run("apply", "--yes")
    project.run("plan")


def _deploy(project: Project, provider: Provider, tenant: Tenant, stack: ExitStack, found: Findings) -> None:
    """Twice: the second time there is nothing to do. Deleted at the end."""
    name = f"{tenant.tenant}/{DEPLOYMENT}"
    stack.callback(_delete, project, provider, tenant)
    for _ in range(2):
        answer = project.json("functions", "deploy", name, "--slim")
        found.deploy_steps.append(answer["step"])
        assert [instance["running"] for instance in answer["instances"]] == [True, True], answer


def _delete(project: Project, provider: Provider, tenant: Tenant) -> None:
    project.run("functions", "delete", f"{tenant.tenant}/{DEPLOYMENT}", "--yes")
    wait_until(lambda: not provider.instances(tenant.tenant), 20, "no instance is left")


@contextmanager
def _service(project: Project, cluster: str, tenant: Tenant) -> Iterator[Service]:
    """`serve` on a free port; nothing of it is left after the block."""
    token = read_token(_token_file(project, "app"))
    where = project.platform_file, project.tenants, cluster, project.folder / "views"
    with serving(*where, token, tenant.tenant) as served:
        wait_until(served.ready, 60, f"the views of {cluster} are ready")
        children = list(served.children())
        with QueryClient(served.url, token) as client:
            yield Service(served, client, tenant.tenant)
        children += served.children()
    assert served.process.returncode == 0, f"serve of {cluster} ended with {served.process.returncode}"
    assert not any(map(module_of, children)), f"serve of {cluster} left processes behind"


def _prepare(project: Project, rows: int) -> list[str]:
    """Readings and labels as lines, in order of time; of each there are `rows`."""
    script, out = project.functions / "predictive_maintenance" / "prepare.py", project.folder / "data"
    options = ["--out", str(out), "--rows", str(rows)]
    subprocess.run([sys.executable, str(script), *options], check=True, stdout=subprocess.DEVNULL)
    return (out / "events.jsonl").read_text().splitlines()


def _send(project: Project, tenant: Tenant, lines: Sequence[str]) -> dict[str, int]:
    """Send events of both inputs in their order; gives the last reading of each machine among them."""
    file = project.folder / "events.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    with closing(open_client(project.platform.clusters[tenant.home])) as client:
        sent = traffic.send(
            client,
            tenant,
            tenant.deployments[DEPLOYMENT],
            file,
            timed=("readings", "reading_id"),
            rate=EVENTS_PER_S,
            clock=SystemClock(),
            progress=lambda _count: None,
        )
    assert sent.events == len(lines)
    items = [json.loads(line) for line in lines]
    readings = [item["event"] for item in items if item["input"] == "readings"]
    return {reading["machine_id"]: reading["reading_id"] for reading in readings}


def settled(services: Mapping[str, Service], expected: Mapping[str, int]) -> dict[str, Predictions]:
    """Every cluster's predictions, once each shows the last reading of every machine and all are equal."""

    def equal() -> dict[str, Predictions]:
        found = {cluster: service.predictions(list(expected)) for cluster, service in services.items()}
        first = next(iter(found.values()))
        shown = {entity: prediction["reading_id"] for entity, prediction in first.items()}
        return found if shown == expected and all(each == first for each in found.values()) else {}

    return wait_until(equal, SETTLE_TIMEOUT_S, f"{', '.join(services)} show the last of {len(expected)} machines")


def _look(project: Project, tenant: Tenant, found: Findings) -> None:
    """How the deployment does, once all its events are counted."""
    name = f"{tenant.tenant}/{DEPLOYMENT}"

    def all_counted() -> dict[str, Any]:
        stats = project.json("functions", "stats", name)
        return stats if stats["total"]["received"] >= 2 * READINGS else {}

    found.stats = wait_until(all_counted, 30, "every event is counted")
    found.status = project.json("functions", "status", name)


def _query(project: Project, tenant: Tenant, services: Mapping[str, Service], found: Findings) -> None:
    """From each cluster: what is there, what is partly there, what is not, and what is not one's own."""
    entity, *others = sorted(found.expected)
    for cluster, service in services.items():
        model = "query", tenant.tenant, DEPLOYMENT
        mine = "--url", service.served.url, "--token-file", str(_token_file(project, "app"))
        strangers = "--url", service.served.url, "--token-file", str(_token_file(project, "stranger"))
        answer = project.json(*model, entity, *mine)
        assert answer["prediction"] == found.predictions[cluster][entity]
        assert str(answer["prediction"]["reading_id"]) in project.run(*model, entity, *others, *mine)
        partly = project.json(*model, entity, "no-such-machine", *mine, expect=ExitCode.PARTIAL)
        assert [each["entity"] for each in partly["found"]] == [entity]
        assert partly["missing"] == ["no-such-machine"]
        assert project.json(*model, "no-such-machine", *mine, expect=1)["error"] == "not-found"
        assert project.json(*model, entity, *strangers, expect=1)["error"] == "not-found"


def _send_some_invalid(project: Project, tenant: Tenant, services: Mapping[str, Service], found: Findings) -> None:
    """A file of readings with rows that are none: they are told with their lines, the others become predictions."""
    good = json.loads((project.folder / "data" / "readings.jsonl").read_text().splitlines()[0])
    rows = [
        json.dumps(good | {"machine_id": "by-hand-1"}),
        json.dumps(good | {"machine_id": "by-hand-2", "torque_nm": "much"}),
        json.dumps({"machine_id": "by-hand-2"}),
        '{"machine_id": ',
        json.dumps(good | {"machine_id": "by-hand-2"}),
    ]
    file = project.folder / "some-invalid.jsonl"
    file.write_text("".join(f"{row}\n" for row in rows))
    arguments = "events", "send", tenant.tenant, "sensors/readings", file
    out, found.told_rejects = project.both(*arguments, "--json", expect=ExitCode.PARTIAL)
    found.report = json.loads(out)
    good_ones = dict.fromkeys(("by-hand-1", "by-hand-2"), good["reading_id"])
    settled(services, good_ones)


def _kill(provider: Provider, tenant: Tenant, services: Mapping[str, Service]) -> None:
    """`kill -9` of one materialiser, and of one instance of the function."""
    os.kill(next(iter(services.values())).served.materialiser(), signal.SIGKILL)
    before = provider.instances(tenant.tenant)
    provider.kill(before[0])
    wait_until(lambda: before[0] not in provider.instances(tenant.tenant), 5, "the instance is dead")


def _running(project: Project, tenant: Tenant) -> dict[str, Any]:
    status = project.json("functions", "status", f"{tenant.tenant}/{DEPLOYMENT}")
    return status if status["state"] == "running" else {}
