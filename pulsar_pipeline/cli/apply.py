"""`pulsar-pipeline apply`: make the clusters what the specs declare."""

from __future__ import annotations

from typing import Annotated

import typer

from pulsar_pipeline.apply.audit import Audit, audit_file, role_of
from pulsar_pipeline.apply.execute import Outcome, check_deletes, execute
from pulsar_pipeline.cli.options import FunctionsOption, PlatformOption, TenantsOption, YesOption
from pulsar_pipeline.cli.output import JsonOption, agree, err, out, print_json
from pulsar_pipeline.cli.plan import TenantsArgument, load_specs, open_clusters, show
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.errors import PipelineError
from pulsar_pipeline.plan.describe import describe
from pulsar_pipeline.plan.explain import plan_document
from pulsar_pipeline.plan.make import clusters_of, make_plan
from pulsar_pipeline.plan.steps import Plan, Step
from pulsar_pipeline.spec.load import load_platform

AllowDeleteOption = Annotated[bool, typer.Option("--allow-delete", help="Take steps that delete topics, too.")]


def register(app: typer.Typer) -> None:
    @app.command(
        epilog="Examples: `pulsar-pipeline apply` · `pulsar-pipeline apply acme --yes`. "
        "A failure in the middle stops it; run it again to go on."
    )
    def apply(
        *,
        tenants: TenantsArgument = None,
        platform: PlatformOption,
        tenants_folder: TenantsOption,
        functions: FunctionsOption,
        yes: YesOption = False,
        allow_delete: AllowDeleteOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Plan, ask, and make every cluster of the tenants what is declared."""
        loaded = load_platform(platform)
        specs = load_specs(tenants or (), loaded, tenants_folder, functions)
        names = clusters_of(loaded, specs)
        with open_clusters(loaded, names) as clusters:
            made = make_plan(loaded, specs, clusters)
            if not as_json:
                show(made, as_json=False)
            check_deletes(made, allow_delete=allow_delete)
            outcome = Outcome((), (), None)
            if made.steps:
                agree("Apply this plan?", yes=yes)
                audit = Audit(audit_file(platform), SystemClock())
                audit.start(made, {name: role_of(loaded.clusters[name]) for name in names})
                outcome = execute(made, clusters, _Listener(audit, len(made.steps)))
                audit.end(outcome)
        report(made, outcome, as_json=as_json)


class _Listener:
    """Tells of each step on standard error and in the audit record."""

    def __init__(self, audit: Audit, total: int) -> None:
        self._audit, self._total, self._number = audit, total, 0

    def __call__(self, step: Step, error: PipelineError | None) -> None:
        self._audit.step(step, error)
        self._number += 1
        told = describe(step)
        line = f"[{self._number}/{self._total}] {step.cluster}: {told.kind} {told.object}: {told.text}"
        err.print(line if error is None else f"{line} — failed", markup=False, soft_wrap=True)


def report(plan: Plan, outcome: Outcome, *, as_json: bool) -> None:
    """How the apply ended. Raises the error that cut it short, with how to go on."""
    error = outcome.error
    if error is not None:
        progress = f"{len(outcome.done)} of {len(plan.steps)} steps done, {len(outcome.remaining)} remain"
        error.mend = " ".join(filter(None, (error.mend, f"{progress}: run apply again to go on")))
        raise error
    if as_json:
        print_json(plan_document(plan) | {"applied": len(outcome.done)})
    elif plan.steps:
        out.print(f"Applied: {len(outcome.done)} steps.")
