"""`functions run`: a deployment's instances without a functions worker, in the foreground."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.functions_deploy import build_package_of
from pulsar_pipeline.cli.functions_package import SlimOption
from pulsar_pipeline.cli.lookup import cluster_named, deployment_of, home_of, tenant_spec
from pulsar_pipeline.cli.options import DeploymentArgument, FunctionsOption, PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import err
from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.errors import ClusterError, RolloutError, TokenError
from pulsar_pipeline.local.layout import Layout
from pulsar_pipeline.local.ports import is_free
from pulsar_pipeline.names import DeploymentName
from pulsar_pipeline.package.archive import package_digest
from pulsar_pipeline.package.verify import verify_package
from pulsar_pipeline.query.supervisor import POLL_S, Supervisor
from pulsar_pipeline.rollout.functions_config import function_config, input_partitions
from pulsar_pipeline.rollout.instance_arguments import Launch
from pulsar_pipeline.settings import Settings, environment
from pulsar_pipeline.spec.check import check_tenant
from pulsar_pipeline.spec.load import load_functions, load_platform
from pulsar_pipeline.spec.model import Deployment, Tenant

ENTRY = "pulsar_pipeline.runtime.foreground"

InstanceOption = Annotated[
    int | None,
    typer.Option("--instance", min=0, metavar="I", help="Only this one, in this very process: for a container."),
]
ParallelismOption = Annotated[
    int | None, typer.Option("--parallelism", min=1, metavar="N", help="Of N instances; as declared without.")
]
PackageOption = Annotated[
    Path | None, typer.Option("--package", metavar="FILE", help="Run this package instead of building one.")
]
TokensOption = Annotated[
    Path | None,
    typer.Option(
        "--function-tokens",
        metavar="DIR",
        help="Folder with TENANT.token and TENANT.key of the functions.",
        show_default="$PULSAR_PIPELINE_FUNCTION_TOKENS or secrets/functions beside the platform file",
    ),
]
MetricsOption = Annotated[
    int | None,
    typer.Option("--metrics-port", min=1, max=65535, metavar="PORT", help="Metrics of instance I are at PORT + I."),
]


def register(functions: typer.Typer) -> None:
    functions.command(
        "run",
        epilog="Examples: `pulsar-pipeline functions run acme/failure-risk --slim` · "
        "`pulsar-pipeline functions run acme/failure-risk --instance 0 --package predictive_maintenance.zip`",
    )(run)


def run(
    deployment: DeploymentArgument,
    *,
    instance: InstanceOption = None,
    parallelism: ParallelismOption = None,
    package: PackageOption = None,
    slim: SlimOption = False,
    function_tokens: TokensOption = None,
    metrics_port: MetricsOption = None,
    platform: PlatformOption,
    tenants: TenantsOption,
    functions: FunctionsOption,
) -> None:
    """Run a deployment's instances here, without a functions worker, until Ctrl-C or SIGTERM.

    They are the instances that a functions worker runs: the same guarantee, state, dead letters and metrics. Each has
    a process, whose log is printed here; one that ends is started again. What they have done is committed before they
    end. Not beside a functions worker that runs the same deployment.
    """
    settings = Settings()
    tenant = tenant_spec(tenants, deployment.tenant)
    declared = deployment_of(tenant, deployment.name)
    cluster = cluster_named(load_platform(platform), tenant.home, platform)
    count = _parallelism(tenant, declared, deployment, parallelism, instance)
    tokens = _tokens(function_tokens or settings.function_tokens or Layout(platform.parent).function_tokens, tenant)
    if deployment.name in tenant.exactly_once:
        load_state_key(state_key_file(tokens, tenant.tenant))
    _check_home(tenant, platform, deployment)
    if package is None:
        check_tenant(tenant, None, load_functions(functions))
    file = package or build_package_of(functions / declared.function, slim=slim)
    manifest = verify_package(file)
    launch = Launch(
        config=function_config(tenant, deployment.name, manifest, package_digest(file)),
        package=file.resolve(),
        cluster_name=tenant.home,
        cluster=cluster,
        parallelism=count,
        log_folder=settings.cache / "run",
        metrics_port=metrics_port,
    )
    instances = range(count) if instance is None else (instance,)
    _check_ports(metrics_port, instances)
    child_environment = {
        **environment(),
        "PULSAR_PIPELINE_FUNCTION_TOKENS": str(tokens.resolve()),
        "PYTHONSAFEPATH": "1",  # modules of the folder one happens to be in are none of the function's
    }
    if instance is not None:
        _become(launch, instance, child_environment)
    _supervise(launch, deployment, child_environment, settings.log_level)


def _become(launch: Launch, instance: int, child_environment: dict[str, str]) -> None:
    """This process goes on as the instance: a container has one process, which gets the signals."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", ENTRY, *launch.arguments(instance)], child_environment)


def _supervise(launch: Launch, deployment: DeploymentName, child_environment: dict[str, str], log_level: str) -> None:
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s run: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopped = _stop_signals()
    supervisor = Supervisor(child_environment)
    try:
        for number in range(launch.parallelism):
            supervisor.add(f"instance {number}", [ENTRY, *launch.arguments(number)])
        err.print(f"{deployment}: {launch.parallelism} instance(s) in the foreground; Ctrl-C ends them", markup=False)
        while not stopped():
            supervisor.tend()
            time.sleep(POLL_S)
    finally:
        supervisor.close()
    err.print(f"{deployment}: ended", markup=False)


def _stop_signals() -> Callable[[], bool]:
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received.append(number))
    return lambda: bool(received)


def _parallelism(
    tenant: Tenant, declared: Deployment, deployment: DeploymentName, wanted: int | None, instance: int | None
) -> int:
    count = wanted or declared.parallelism
    partitions = input_partitions(tenant, declared)
    if count > partitions:
        raise RolloutError(
            f"{count} instances cannot share {partitions} partitions",
            where=str(deployment),
            mend=f"say --parallelism {partitions} or less",
        )
    if instance is not None and instance >= count:
        raise RolloutError(
            f"there is no instance {instance} of {count}",
            where=str(deployment),
            mend=f"they are 0 to {count - 1}; every one of them has to be run with the same --parallelism",
        )
    return count


def _tokens(folder: Path, tenant: Tenant) -> Path:
    path = folder / f"{tenant.tenant}.token"
    if not path.is_file():
        raise TokenError(
            f"there is no token for the functions of tenant {tenant.tenant}",
            where=str(path),
            mend=f"pulsar-pipeline token create --role {tenant.functions_role} --out {path}",
        )
    return folder


def _check_home(tenant: Tenant, platform: Path, deployment: DeploymentName) -> None:
    """Nobody else may run it there. Where the cluster does not say (there is no worker, or the token may not ask), the
    instances find out by themselves: they wait for partitions that others hold."""
    namespace = tenant.deployments[deployment.name].namespace
    with home_of(tenant, platform) as home:
        try:
            taken = home.worker.config(tenant.tenant, namespace, deployment.name) is not None
            home.deployer.check_topics(deployment.name)
        except ClusterError as error:
            err.print(f"note: not looked up whether a functions worker runs it: {error.what}", markup=False)
            return
    if taken:
        raise RolloutError(
            f"the functions worker of {tenant.home} runs it, and two would take its partitions from each other",
            where=str(deployment),
            mend=f"pulsar-pipeline functions delete {deployment}, or run it under another name of the tenant",
        )


def _check_ports(first: int | None, instances: range | tuple[int, ...]) -> None:
    for number in instances if first is not None else ():
        port = (first or 0) + number
        if not is_free(port):
            raise RolloutError(f"port {port}, for the metrics of instance {number}, is taken", mend="say another one")
