"""The demo's story, start to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.connect import open_client, read_token
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state_keys import state_key_file
from pulsar_pipeline.demo import commands, report, traffic
from pulsar_pipeline.demo.latency import ArrivalWatch, percentiles_ms
from pulsar_pipeline.demo.services import Service, Services
from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.rollout.worker import FunctionsWorker
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.load import load_platform, load_tenants
from pulsar_pipeline.spec.model import Platform, Tenant

TENANT, DEPLOYMENT = "acme", "failure-risk"
FIRST_HTTP_PORT = 8000
EVENTS_PER_S = 500.0
"""Readings and labels together: a pace two cores keep up with beside two clusters."""

_ENTITY, _IDENTITY = "machine_id", "reading_id"
_QUALITY = ("roc_auc", "average_precision", "labels")
_SETTLE_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Tell:
    """How the demo speaks: headings, commands as typed, and progress of long work."""

    heading: Callable[[str], None]
    command: Callable[[str], None]
    progress: Callable[[int, int], None]


@dataclass(frozen=True)
class Results:
    """What the demo found."""

    answers: report.Answers
    quality: list[dict[str, Any]]
    sent: traffic.Sent
    end_to_end_ms: dict[str, float]
    """From the reading's send to the prediction's arrival at a consumer in the home cluster."""
    replication_ms: dict[str, dict[str, float]]
    """Other cluster → from the arrival at home to the arrival there."""
    services: dict[str, Service]
    token_file: Path


def run(settings: Settings, rows: int, clock: Clock, tell: Tell) -> Results:
    """Everything from nothing; what stands already is re-used. All stays up. Raises PipelineError."""
    tokens = settings.local / "secrets"
    token_file = tokens / f"{TENANT}-app.token"
    _set_up(settings, tokens, token_file, tell)
    platform, tenant = load_platform(settings.platform), load_tenants(settings.tenants)[TENANT]
    services = _serve(settings, tenant, tell)
    events = _prepare_events(settings, tenant, rows, tell)
    tell.heading("Live traffic: readings, and labels that come ten readings later")
    sent, arrived = _traffic(platform, tenant, events, clock, tell)
    tell.heading("The same predictions from every cluster")
    answers = report.settled(
        {cluster: service.url for cluster, service in services.items()},
        read_token(token_file),
        TENANT,
        DEPLOYMENT,
        _last_by_entity(events),
        _SETTLE_TIMEOUT_S,
    )
    home = arrived[tenant.home]
    return Results(
        answers=answers,
        quality=_quality(platform, tenant),
        sent=sent,
        end_to_end_ms=percentiles_ms(sent.left_at, home),
        replication_ms={name: percentiles_ms(home, there) for name, there in arrived.items() if name != tenant.home},
        services=services,
        token_file=token_file,
    )


def stop(settings: Settings, tell: Tell) -> list[str]:
    """End the query services and the clusters; gives what ran. Data stay."""
    stopped = [f"query service of {cluster}" for cluster in _services(settings).stop()]
    if settings.local.exists():
        commands.run(["local", "down", "--folder", str(settings.local)], tell.command)
    return stopped


def _set_up(settings: Settings, tokens: Path, token_file: Path, tell: Tell) -> None:
    tell.heading("Two real Pulsar clusters, token-protected")
    commands.run(["local", "up", "--folder", str(settings.local)], tell.command)
    tell.heading("Tokens: the functions' of each tenant, and an application's; a key for each tenant's state")
    for tenant in load_tenants(settings.tenants):
        _token(f"{tenant}-functions", tokens / "functions" / f"{tenant}.token", tell)
        _state_key(state_key_file(tokens / "functions", tenant), tell)
    _token(f"{TENANT}-app", token_file, tell)
    tell.heading("Tenants, namespaces, topics and schemas in both clusters")
    commands.run(["apply", "--yes"], tell.command)
    tell.heading(f"The function of {TENANT}, through the functions worker")
    commands.run(["functions", "deploy", f"{TENANT}/{DEPLOYMENT}", "--slim"], tell.command)


def _token(role: str, out: Path, tell: Tell) -> None:
    if not out.exists():
        commands.run(["token", "create", "--role", role, "--out", str(out)], tell.command, quiet=True)


def _state_key(out: Path, tell: Tell) -> None:
    if not out.exists():
        commands.run(["token", "state-key", "create", "--out", str(out)], tell.command, quiet=True)


def _services(settings: Settings) -> Services:
    return Services(settings.local / "demo")


def _serve(settings: Settings, tenant: Tenant, tell: Tell) -> dict[str, Service]:
    tell.heading("Query services, one per cluster, in the background")
    running = {}
    for number, cluster in enumerate(tenant.clusters):
        folder = settings.local / "demo" / "views"
        tell.command(f"{commands.PROGRAM} serve --cluster {cluster} --port {FIRST_HTTP_PORT + number}")
        running[cluster] = _services(settings).start(
            commands.program(["serve", "--folder", str(folder)]), cluster, FIRST_HTTP_PORT + number
        )
    return running


def _prepare_events(settings: Settings, tenant: Tenant, rows: int, tell: Tell) -> Path:
    source = settings.functions / tenant.deployments[DEPLOYMENT].function / "prepare.py"
    out = settings.local / "demo" / "events"
    arguments = [str(source), "--out", str(out), "--rows", str(rows)]
    tell.heading("Sensor data: AI4I 2020, a milling machine's log, as readings of 40 machines")
    tell.command(f"python {' '.join(arguments)}")
    done = subprocess.run([sys.executable, *arguments], check=False, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise LocalError("the sensor data cannot be prepared", where=str(source))
    return out / "events.jsonl"


def _traffic(
    platform: Platform, tenant: Tenant, events: Path, clock: Clock, tell: Tell
) -> tuple[traffic.Sent, dict[str, Mapping[Any, float]]]:
    deployment = tenant.deployments[DEPLOYMENT]
    total = sum(1 for _ in events.open())
    with ExitStack() as stack:
        clients = {name: stack.enter_context(_client(platform, name)) for name in tenant.clusters}
        watches = {name: stack.enter_context(_watch(client, tenant)) for name, client in clients.items()}
        sent = traffic.send(
            clients[tenant.home],
            tenant,
            deployment,
            events,
            timed=("readings", _IDENTITY),
            rate=EVENTS_PER_S,
            clock=clock,
            progress=lambda count: tell.progress(count, total),
        )
        _wait_for_all(sent, watches, clock)
        return sent, {name: watch.arrived_at for name, watch in watches.items()}


def _wait_for_all(sent: traffic.Sent, watches: Mapping[str, ArrivalWatch], clock: Clock) -> None:
    """Until every cluster saw a prediction of every reading. Raises LocalError."""
    deadline = clock.monotonic() + _SETTLE_TIMEOUT_S
    for cluster, watch in watches.items():
        while not watch.wait_for(sent.left_at.keys(), timeout_s=1.0):
            if clock.monotonic() > deadline:
                missing = len(sent.left_at.keys() - watch.arrived_at.keys())
                raise LocalError(
                    f"{missing} of {len(sent.left_at)} predictions did not arrive in {cluster}",
                    mend=f"{commands.PROGRAM} functions status {TENANT}/{DEPLOYMENT}",
                )


def _watch(client: pulsar.Client, tenant: Tenant) -> ArrivalWatch:
    ref = tenant.deployments[DEPLOYMENT].output or ""
    topic, partitions = tenant.topic_name(ref), tenant.topics[ref].partitions
    return ArrivalWatch(client, [topic.partition(index) for index in range(partitions)], str(topic), _IDENTITY)


@contextmanager
def _client(platform: Platform, cluster: str) -> Iterator[pulsar.Client]:
    client = open_client(platform.clusters[cluster])
    try:
        yield client
    finally:
        client.close()


def _last_by_entity(events: Path) -> dict[str, tuple[str, Any]]:
    """Entity → the field and value that its last prediction shows."""
    last = {}
    with events.open() as lines:
        for line in lines:
            item = json.loads(line)
            if item["input"] == "readings":
                last[item["event"][_ENTITY]] = (_IDENTITY, item["event"][_IDENTITY])
    return last


def _quality(platform: Platform, tenant: Tenant) -> list[dict[str, Any]]:
    with AdminHttp(tenant.home, platform.clusters[tenant.home]) as http:
        namespace = tenant.deployments[DEPLOYMENT].namespace
        return report.quality(FunctionsWorker(http).stats(TENANT, namespace, DEPLOYMENT), _QUALITY)
