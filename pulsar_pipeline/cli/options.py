"""Options and arguments that several verbs share; defaults come from the environment through `Settings`.

Declare a parameter with the type alone, without a default: `def plan(*, platform: PlatformOption) -> None`.
The default is read when the command runs, so `PULSAR_PIPELINE_PLATFORM=…` works in a test as it does in a shell.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.names import DeploymentName
from pulsar_pipeline.settings import Settings

PlatformOption = Annotated[
    Path,
    typer.Option(
        "--platform",
        help="Platform file: the clusters, their URLs and tokens.",
        default_factory=lambda: Settings().platform,
        show_default="$PULSAR_PIPELINE_PLATFORM or .local/platform.yaml",
    ),
]

TenantsOption = Annotated[
    Path,
    typer.Option(
        "--tenants",
        help="Folder of tenant specs.",
        default_factory=lambda: Settings().tenants,
        show_default="$PULSAR_PIPELINE_TENANTS or tenants",
    ),
]

FunctionsOption = Annotated[
    Path,
    typer.Option(
        "--functions",
        help="Folder of function sources.",
        default_factory=lambda: Settings().functions,
        show_default="$PULSAR_PIPELINE_FUNCTIONS or functions",
    ),
]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _deployment(text: str) -> DeploymentName:
    try:
        return DeploymentName.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


DeploymentArgument = Annotated[
    DeploymentName, typer.Argument(parser=_deployment, metavar="TENANT/NAME", help="The deployment.")
]
