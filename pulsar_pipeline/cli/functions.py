"""`pulsar-pipeline functions`: packages and deployments."""

from __future__ import annotations

import typer

from pulsar_pipeline.cli import (
    functions_checkpoint,
    functions_dead_letters,
    functions_deploy,
    functions_logs,
    functions_package,
    functions_run,
    functions_show,
    functions_state,
)


def register(app: typer.Typer) -> None:
    functions = typer.Typer(
        name="functions",
        help="Package functions, deploy them to their tenant's home cluster, and see how they do.",
        no_args_is_help=True,
    )
    functions.command(epilog=functions_package.EPILOG)(functions_package.package)
    functions_deploy.register(functions)
    functions_run.register(functions)
    functions_show.register(functions)
    functions_logs.register(functions)
    functions_dead_letters.register(functions)
    functions_state.register(functions)
    functions_checkpoint.register(functions)
    app.add_typer(functions)
