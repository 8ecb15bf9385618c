"""`functions deploy|restart|delete`: what changes a deployment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.status import Status

from pulsar_pipeline.cli.functions_package import SlimOption, build_named
from pulsar_pipeline.cli.lookup import Home, deployment_of, home_of, tenant_spec
from pulsar_pipeline.cli.options import (
    DeploymentArgument,
    FunctionsOption,
    PlatformOption,
    TenantsOption,
    YesOption,
)
from pulsar_pipeline.cli.output import JsonOption, agree, err, out, print_json
from pulsar_pipeline.names import DeploymentName
from pulsar_pipeline.package.archive import package_digest
from pulsar_pipeline.package.verify import verify_package
from pulsar_pipeline.rollout.deploy import Rollout, Step
from pulsar_pipeline.rollout.status import FunctionStatus
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.check import check_tenant
from pulsar_pipeline.spec.load import load_functions

PackageOption = Annotated[
    Path | None, typer.Option("--package", metavar="FILE", help="Deploy this package instead of building one.")
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every instance runs.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait.")]


def register(functions: typer.Typer) -> None:
    @functions.command(
        epilog="Examples: `pulsar-pipeline functions deploy acme/failure-risk` · "
        "`pulsar-pipeline functions deploy acme/failure-risk --package predictive_maintenance.zip --no-wait`"
    )
    def deploy(
        deployment: DeploymentArgument,
        *,
        package: PackageOption = None,
        slim: SlimOption = False,
        wait: WaitOption = True,
        timeout: TimeoutOption = 120,
        platform: PlatformOption,
        tenants: TenantsOption,
        functions: FunctionsOption,
        as_json: JsonOption = False,
    ) -> None:
        """Bring a deployment to what its tenant's spec says.

        Builds the package (or takes one), uploads it to the home cluster and waits for the instances. What runs
        already with the same package and config is left alone.
        """
        tenant = tenant_spec(tenants, deployment.tenant)
        spec = deployment_of(tenant, deployment.name)
        definitions = load_functions(functions)
        check_tenant(tenant, None, definitions)
        file = package or build_package_of(functions / spec.function, slim=slim)
        manifest, digest = verify_package(file), package_digest(file)
        with home_of(tenant, platform) as home:
            rollout = home.deployer.deploy(deployment.name, file, manifest, digest)
            status = _wait(home, rollout, deployment, timeout) if wait else None
        _tell(deployment, tenant.home, digest, rollout, status, as_json=as_json)

    @functions.command(epilog="Example: `pulsar-pipeline functions restart acme/failure-risk`")
    def restart(
        deployment: DeploymentArgument,
        *,
        platform: PlatformOption,
        tenants: TenantsOption,
    ) -> None:
        """Restart every instance of a deployment."""
        tenant = tenant_spec(tenants, deployment.tenant)
        with home_of(tenant, platform) as home:
            namespace = home.deployer.namespace_of(deployment.name)
            home.worker.restart(tenant.tenant, namespace, deployment.name)
        out.print(f"{deployment}: restarting in {tenant.home}")

    @functions.command(epilog="Example: `pulsar-pipeline functions delete acme/failure-risk --yes`")
    def delete(
        deployment: DeploymentArgument,
        *,
        yes: YesOption = False,
        platform: PlatformOption,
        tenants: TenantsOption,
    ) -> None:
        """Stop a deployment and remove it with its subscriptions; its topics stay."""
        tenant = tenant_spec(tenants, deployment.tenant)
        with home_of(tenant, platform) as home:
            namespace = home.deployer.namespace_of(deployment.name)
            agree(f"Delete {deployment} in {tenant.home}, and its place in the inputs?", yes=yes)
            home.worker.delete(tenant.tenant, namespace, deployment.name)
        out.print(f"{deployment}: deleted in {tenant.home}")


def build_package_of(source: Path, *, slim: bool) -> Path:
    """The function's package, in the cache."""
    with err.status(f"building the package of {source.name}"):
        return build_named(source, slim=slim, out_folder=None, cache=Settings().cache).path


def _wait(home: Home, rollout: Rollout, deployment: DeploymentName, timeout: float) -> FunctionStatus:
    with err.status(f"{deployment}: {rollout.step.value}") as shown:
        return home.deployer.wait(rollout, timeout, lambda status: _show(shown, deployment, rollout, status))


def _show(shown: Status, deployment: DeploymentName, rollout: Rollout, status: FunctionStatus) -> None:
    running = sum(each.running for each in status.instances)
    said = next((each.error for each in status.instances if each.error), "")
    progress = f"{deployment}: {running} of {rollout.config['parallelism']} instances run"
    shown.update(f"{progress} ({said})" if said else progress)


def _tell(
    deployment: DeploymentName,
    cluster: str,
    digest: str,
    rollout: Rollout,
    status: FunctionStatus | None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        instances: list[Any] | None = None if status is None else [asdict(each) for each in status.instances]
        print_json(
            {
                "deployment": str(deployment),
                "cluster": cluster,
                "digest": digest,
                "step": rollout.step.value,
                "changed": sorted(rollout.before.differing),
                "instances": instances,
            }
        )
        return
    running = "" if status is None else f", {len(status.instances)} instance(s) running"
    why = f" ({', '.join(sorted(rollout.before.differing))})" if rollout.step is Step.UPDATE else ""
    text = f"{deployment}: {rollout.step.value}{why} in {cluster}{running}; package {digest[:19]}"
    out.print(text, markup=False, soft_wrap=True)
