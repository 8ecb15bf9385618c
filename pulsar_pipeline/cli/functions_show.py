"""`functions list|status|stats`: how deployments do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pulsar_pipeline.cli.lookup import Home, home_of, tenant_spec
from pulsar_pipeline.cli.options import DeploymentArgument, PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import JsonOption, out, print_json, print_rows
from pulsar_pipeline.rollout.functions_config import digest_of
from pulsar_pipeline.rollout.status import FunctionStatus, Health, InstanceStats, health
from pulsar_pipeline.spec.load import load_tenants
from pulsar_pipeline.spec.model import Tenant

TenantArgument = Annotated[
    str | None, typer.Argument(metavar="[TENANT]", help="One tenant; all of the folder by default.")
]


def register(functions: typer.Typer) -> None:
    @functions.command("list", epilog="Examples: `pulsar-pipeline functions list` · `… list acme --json`")
    def list_(
        tenant: TenantArgument = None,
        *,
        platform: PlatformOption,
        tenants: TenantsOption,
        as_json: JsonOption = False,
    ) -> None:
        """Every deployment: as declared, and as it runs in its home cluster."""
        rows = [row for spec in _chosen(tenants, tenant) for row in _rows(spec, platform)]
        columns = ("deployment", "function", "cluster", "state", "running", "restarts", "package")
        print_rows(rows, columns, as_json=as_json)

    @functions.command(epilog="Example: `pulsar-pipeline functions status acme/failure-risk`")
    def status(
        deployment: DeploymentArgument,
        *,
        platform: PlatformOption,
        tenants: TenantsOption,
        as_json: JsonOption = False,
    ) -> None:
        """Each instance: does it run, what has it counted, what went wrong last and when."""
        with home_of(tenant_spec(tenants, deployment.tenant), platform) as home:
            namespace = home.deployer.namespace_of(deployment.name)
            where = deployment.tenant, namespace, deployment.name
            found, config = home.worker.status(*where), home.worker.config(*where) or {}
        state = health(found, config.get("parallelism") or len(found.instances))
        if as_json:
            instances = [asdict(each) for each in found.instances]
            print_json({"deployment": str(deployment), "state": state.value, "instances": instances})
            return
        print_rows(_status_rows(found), _STATUS_COLUMNS, as_json=False, title=f"{deployment}: {state.value}")
        _print_failures(found)

    @functions.command(epilog="Example: `pulsar-pipeline functions stats acme/failure-risk --json`")
    def stats(
        deployment: DeploymentArgument,
        *,
        platform: PlatformOption,
        tenants: TenantsOption,
        as_json: JsonOption = False,
    ) -> None:
        """Rates, latency and the function's own metrics, per instance and together."""
        with home_of(tenant_spec(tenants, deployment.tenant), platform) as home:
            namespace = home.deployer.namespace_of(deployment.name)
            found = home.worker.stats(deployment.tenant, namespace, deployment.name)
        if as_json:
            print_json({"deployment": str(deployment), **asdict(found)})
            return
        rows = [_stats_row(each) for each in (*found.instances, found.total)]
        print_rows(rows, _STATS_COLUMNS, as_json=False, title=f"{deployment}: the last minute, and in all")
        _print_metrics(found.instances)


_STATUS_COLUMNS = ("instance", "state", "restarts", "received", "processed", "failed", "last_event")
_STATS_COLUMNS = (
    "instance", "in_per_s", "out_per_s", "latency_ms", "failed", "received_in_all", "failed_in_all", "last_event",
)  # fmt: skip


def _chosen(folder: Path, tenant: str | None) -> list[Tenant]:
    return list(load_tenants(folder).values()) if tenant is None else [tenant_spec(folder, tenant)]


def _rows(tenant: Tenant, platform: Path) -> Iterator[dict[str, Any]]:
    with home_of(tenant, platform) as home:
        there = {
            name: namespace
            for namespace in tenant.namespaces
            for name in home.worker.functions(tenant.tenant, namespace)
        }
        for name, declared in tenant.deployments.items():
            row = {"deployment": f"{tenant.tenant}/{name}", "function": declared.function, "cluster": tenant.home}
            yield row | (_live(home, there[name], name) if name in there else {"state": "not deployed"})
        for name in sorted(there.keys() - tenant.deployments.keys()):
            live = _live(home, there[name], name)
            row = {"deployment": f"{tenant.tenant}/{name}", "cluster": tenant.home}
            yield row | live | {"state": f"{live['state']}, not declared"}


def _live(home: Home, namespace: str, name: str) -> dict[str, Any]:
    where = home.tenant.tenant, namespace, name
    config, status = home.worker.config(*where) or {}, home.worker.status(*where)
    parallelism = config.get("parallelism") or len(status.instances)
    running = sum(each.running for each in status.instances)
    return {
        "state": health(status, parallelism).value,
        "running": f"{running}/{parallelism}",
        "restarts": sum(each.restarts for each in status.instances),
        "package": (digest_of(config) or "")[:19] or None,
    }


def _status_rows(status: FunctionStatus) -> list[dict[str, Any]]:
    return [
        {
            "instance": each.instance,
            "state": (Health.RUNNING if each.running else Health.STARTING if each.starting else Health.FAILED).value,
            "restarts": each.restarts,
            "received": each.received,
            "processed": each.processed,
            "failed": each.user_failures,
            "last_event": _time(each.last_event_ms),
        }
        for each in status.instances
    ]


def _print_failures(status: FunctionStatus) -> None:
    for each in status.instances:
        if each.error:
            out.print(f"instance {each.instance}: {each.error}", markup=False, soft_wrap=True)
        for failure in each.last_failures:
            out.print(
                f"instance {each.instance} at {_time(failure.time_ms)}: {failure.message.strip()}",
                markup=False,
                soft_wrap=True,
            )


def _stats_row(each: InstanceStats) -> dict[str, Any]:
    latency = each.mean_latency_last_minute_ms
    return {
        "instance": "all" if each.instance is None else each.instance,
        "in_per_s": f"{each.received_last_minute / 60:.1f}",
        "out_per_s": f"{each.processed_last_minute / 60:.1f}",
        "latency_ms": None if latency is None else f"{latency:.2f}",
        "failed": each.user_failures_last_minute,
        "received_in_all": each.received,
        "failed_in_all": each.user_failures,
        "last_event": _time(each.last_event_ms),
    }


def _print_metrics(instances: tuple[InstanceStats, ...]) -> None:
    rows = [
        {"instance": each.instance, "metric": name, "value": f"{value:.6g}"}
        for each in instances
        for name, value in sorted(each.metrics.items())
    ]
    if rows:
        print_rows(rows, ("instance", "metric", "value"), as_json=False, title="The function's own metrics")


def _time(time_ms: int | None) -> str | None:
    if not time_ms:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
