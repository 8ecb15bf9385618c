"""`pulsar-pipeline plan`: what apply would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.options import FunctionsOption, PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import JsonOption, out, print_json
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ExitCode, SpecError
from pulsar_pipeline.plan.explain import explain, plan_document
from pulsar_pipeline.plan.make import clusters_of, make_plan
from pulsar_pipeline.plan.steps import Plan
from pulsar_pipeline.schemas.check import check_tenant_schemas
from pulsar_pipeline.spec.check import check_tenant
from pulsar_pipeline.spec.load import load_functions, load_platform, load_tenants
from pulsar_pipeline.spec.model import Platform, Tenant

TenantsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TENANT...]", help="Tenants; all of the folder by default.")
]


def register(app: typer.Typer) -> None:
    @app.command(
        epilog="Examples: `pulsar-pipeline plan` · `pulsar-pipeline plan acme --json`. "
        "Exit codes: 0 nothing to do, 2 changes, 1 error."
    )
    def plan(
        *,
        tenants: TenantsArgument = None,
        platform: PlatformOption,
        tenants_folder: TenantsOption,
        functions: FunctionsOption,
        as_json: JsonOption = False,
    ) -> None:
        """Show what apply would change in every cluster of the tenants."""
        loaded = load_platform(platform)
        specs = load_specs(tenants or (), loaded, tenants_folder, functions)
        with open_clusters(loaded, clusters_of(loaded, specs)) as clusters:
            made = make_plan(loaded, specs, clusters)
        show(made, as_json=as_json)
        raise typer.Exit(ExitCode.CHANGES if made.steps else ExitCode.OK)


def load_specs(names: Sequence[str], platform: Platform, folder: Path, functions: Path) -> list[Tenant]:
    """The named tenants (all without names), checked. Raises SpecError."""
    specs = load_tenants(folder)
    unknown = [name for name in names if name not in specs]
    if unknown:
        raise SpecError(
            f"no spec of tenant {', '.join(unknown)}",
            file=folder,
            mend=f"it has {', '.join(sorted(specs)) or 'none'}",
        )
    definitions = load_functions(functions)
    chosen = [specs[name] for name in names or sorted(specs)]
    for tenant in chosen:
        check_tenant(tenant, platform, definitions)
        check_tenant_schemas(tenant, definitions)
    return chosen


@contextmanager
def open_clusters(platform: Platform, names: Sequence[str]) -> Iterator[dict[str, AdminCluster]]:
    """The clusters' admin APIs, closed at the end."""
    with ExitStack() as stack:
        yield {name: AdminCluster(stack.enter_context(AdminHttp(name, platform.clusters[name]))) for name in names}


def show(plan: Plan, *, as_json: bool) -> None:
    """The plan on standard output."""
    if as_json:
        print_json(plan_document(plan))
        return
    for line in explain(plan):
        out.print(line, soft_wrap=True)
