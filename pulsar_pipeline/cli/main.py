"""`pulsar-pipeline`: assembles the verbs; the one place where errors reach the user."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import typer

from pulsar_pipeline.cli.output import err
from pulsar_pipeline.errors import ExitCode, PipelineError

VERBS = ("local", "token", "plan", "apply", "functions", "events", "serve", "query", "demo", "spec")
"""Each is a module of this package with a `register(app)`; the order is that of `--help`."""


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="pulsar-pipeline",
        help="Multi-tenant, geo-replicated online models on Apache Pulsar.",
        epilog="Exit codes: 0 done, 1 error, 2 changes pending (plan), 3 done in part (events send), "
        "64 wrong usage, 70 a bug, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for verb in VERBS:
        importlib.import_module(f"pulsar_pipeline.cli.{verb}").register(app)
    return app


def run(argv: Sequence[str] | None = None) -> None:
    """Entry point: run a command and exit with its documented code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str]) -> int:
    try:
        result = build()(arguments, standalone_mode=False)
    except PipelineError as error:
        _report(error, as_json="--json" in arguments)
        return error.exit_code
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        err.print("interrupted")
        return ExitCode.INTERRUPTED
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except BrokenPipeError:
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the process edge: a bug is told as a bug, with its trace in a file
        err.print(
            f"[bold red]bug:[/] {type(error).__name__}: {error}\nThe trace is in {_save_trace()}; please report it."
        )
        return ExitCode.BUG
    return result if isinstance(result, int) else ExitCode.OK


def _report(error: PipelineError, *, as_json: bool) -> None:
    if as_json:
        document = {"error": error.slug, "what": error.what, "where": error.where, "mend": error.mend}
        sys.stdout.write(json.dumps(document) + "\n")
        return
    err.print("[bold red]error:[/] ", end="")
    err.print(f"{error.where}: {error.what}" if error.where else error.what, markup=False)
    if error.mend:
        err.print(f"  mend: {error.mend}", markup=False)


def _save_trace() -> Path:
    with NamedTemporaryFile("w", prefix="pulsar-pipeline-", suffix=".trace", delete=False) as file:
        file.write(traceback.format_exc())
    return Path(file.name)
