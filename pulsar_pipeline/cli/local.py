"""`pulsar-pipeline local`: real Pulsar clusters on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.options import YesOption
from pulsar_pipeline.cli.output import JsonOption, agree, err, out, print_rows
from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import foreground
from pulsar_pipeline.local.clusters import DEFAULT_NAMES, LocalClusters, Machine
from pulsar_pipeline.local.logs import follow, tail
from pulsar_pipeline.settings import Settings

FolderOption = Annotated[
    Path,
    typer.Option(
        "--folder",
        help="Where the clusters keep their data, ports, logs and tokens.",
        default_factory=lambda: Settings().local,
        show_default="$PULSAR_PIPELINE_LOCAL or .local",
    ),
]
_COLUMNS = ("cluster", "state", "pid", "admin_url", "broker_url")


def register(app: typer.Typer) -> None:
    local = typer.Typer(
        name="local",
        help="Real Pulsar clusters on this machine, tokens and authorization on.",
        no_args_is_help=True,
    )
    local.command(
        epilog="Examples: `pulsar-pipeline local up` · `pulsar-pipeline local up --clusters north,south --foreground`"
    )(up)
    local.command(epilog="Example: `pulsar-pipeline local down`. The data stays.")(down)
    local.command(epilog="Example: `pulsar-pipeline local status --json`")(status)
    local.command(epilog="Examples: `pulsar-pipeline local logs west` · `pulsar-pipeline local logs east --follow`")(
        logs
    )
    local.command(epilog="Example: `pulsar-pipeline local reset --yes`")(reset)
    app.add_typer(local)


def up(
    *,
    folder: FolderOption,
    clusters: Annotated[
        str,
        typer.Option(
            help="Names, with commas between; their number is yours to choose.",
            show_default=f"those of the folder, else {','.join(DEFAULT_NAMES)}",
        ),
    ] = "",
    stay: Annotated[bool, typer.Option("--foreground", help="Stay, and stop the clusters at Ctrl-C.")] = False,
) -> None:
    """Start the clusters that do not run and wait until they can be worked with."""
    names = [name.strip() for name in clusters.split(",") if name.strip()]
    local = _clusters(folder)
    if stay:
        foreground.run(local, names, when_up=lambda: _tell_up(local, "Ctrl-C stops them."))
    else:
        local.up(names)
        _tell_up(local, "They stay up until `pulsar-pipeline local down`.")


def down(*, folder: FolderOption) -> None:
    """Stop the clusters and everything they started."""
    stopped = _clusters(folder).down()
    err.print(f"stopped {', '.join(stopped)}" if stopped else "nothing ran")


def status(*, folder: FolderOption, as_json: JsonOption = False) -> None:
    """How the clusters are: running, unready (starting, or hung), dead (ended by itself), stopped."""
    rows = [asdict(row) for row in _clusters(folder).status()]
    if rows or as_json:
        print_rows(rows, _COLUMNS, as_json=as_json)
    else:
        err.print(f"no clusters in {folder}; `pulsar-pipeline local up` makes some")


def logs(
    cluster: Annotated[str | None, typer.Argument(help="A cluster; needed where there are several.")] = None,
    *,
    folder: FolderOption,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    stay: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written next.")] = False,
) -> None:
    """The last lines of a cluster's log."""
    layout = _clusters(folder).layout
    names = layout.existing()
    chosen = cluster or (names[0] if len(names) == 1 else "")
    if chosen not in names:
        raise LocalError(
            f"no cluster {chosen!r}" if chosen else "which cluster?",
            where=str(folder),
            mend=f"there are: {', '.join(names) or 'none'}",
        )
    log = layout.cluster(chosen).log
    for line in tail(log, lines):
        sys.stdout.write(line + "\n")
    for line in follow(log, _ticks()) if stay else ():
        sys.stdout.write(line)
        sys.stdout.flush()


def reset(*, folder: FolderOption, yes: YesOption = False) -> None:
    """Stop the clusters and delete their data; tokens stay."""
    agree(f"Delete all data of the clusters in {folder}?", yes=yes)
    _clusters(folder).reset()
    err.print("deleted")


def _clusters(folder: Path) -> LocalClusters:
    settings = Settings()
    machine = Machine(settings.cache.expanduser().resolve(), settings.java_home, settings.log_level)
    return LocalClusters(folder, machine, lambda line: err.print(line, markup=False, soft_wrap=True))


def _tell_up(local: LocalClusters, what_next: str) -> None:
    err.print(f"up: {', '.join(local.layout.existing())}. {what_next}", markup=False, soft_wrap=True)
    out.print(str(local.layout.platform), markup=False, soft_wrap=True)


def _ticks() -> Iterator[None]:
    while True:
        time.sleep(0.3)
        yield
