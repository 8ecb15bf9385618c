"""`pulsar-pipeline`: assembles the verbs; the one place where errors reach the user."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer
from typer.core import TyperGroup

from pulsar_pipeline.cli.output import err
from pulsar_pipeline.errors import ExitCode, PipelineError

PROGRAM = "pulsar-pipeline"

VERBS: tuple[str, ...] = ("local", "token", "spec", "plan", "apply", "functions", "events", "serve", "query", "demo")
"""Each is a module of this package with a `register(app)`; the order is that of `--help`."""

_USAGE_ERROR = 2
"""What typer's usage errors call their exit code; ours is 64, for 2 means `plan` found changes."""


class _InOrder(TyperGroup):
    """Lists the verbs in the order of `VERBS`, where typer would put plain commands before groups."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer's own Context
        return sorted(super().list_commands(ctx), key=VERBS.index)


def build(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command tree, or the part of it with these verbs."""
    app = typer.Typer(
        name=PROGRAM,
        cls=_InOrder,
        help="Multi-tenant, geo-replicated online models on Apache Pulsar.",
        epilog="Exit codes: 0 done, 1 error, 2 changes pending (plan), 3 done in part (events send, query, "
        "dead-letters replay), 64 wrong usage, 70 a bug, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_global_options)
    for verb in verbs:
        importlib.import_module(f"pulsar_pipeline.cli.{verb}").register(app)
    return app


def run(argv: Sequence[str] | None = None) -> None:
    """Entry point: run a command and exit with its documented code."""
    sys.exit(exit_code(sys.argv[1:] if argv is None else argv))


def exit_code(argv: Sequence[str]) -> int:
    """Run a command; the code to exit with. Whatever goes wrong is told on the way, never as a traceback."""
    logging.getLogger("pulsar").addHandler(logging.NullHandler())  # the client library's own words are for log files
    try:
        verbs = [verb for verb in VERBS if verb in argv[:1]]  # the others' imports would cost half a second
        result = build(verbs or VERBS)(list(argv), prog_name=PROGRAM, standalone_mode=False)
    except KeyboardInterrupt:
        result = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the process edge: every error is told here and nowhere else
        return _tell(error, as_json="--json" in argv)
    if result == ExitCode.INTERRUPTED:
        err.print("interrupted")
    return result if isinstance(result, int) else ExitCode.OK


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{PROGRAM} {importlib.metadata.version(PROGRAM)}\n")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before the verb."""


def _tell(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong; the exit code for it."""
    match error:
        case PipelineError():
            _print_error(error.slug, error.what, error.where, error.mend, as_json=as_json)
            return error.exit_code
        case typer.Abort():
            err.print("interrupted")
            return ExitCode.INTERRUPTED
        case typer.TyperException():
            return _tell_usage(error, as_json=as_json)
        case _:
            mend = f"please report it, with the trace in {_save_trace(error)}"
            _print_error("bug", f"{type(error).__name__}: {error}", None, mend, as_json=as_json)
            return ExitCode.BUG


def _tell_usage(error: typer.TyperException, *, as_json: bool) -> int:
    """A command line that cannot be understood: with the way to its help."""
    message = error.format_message()
    if not message:  # a bare command: its help has been printed already
        return ExitCode.USAGE
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    _print_error("usage", message, None, f"see {command} --help", as_json=as_json)
    return ExitCode.USAGE if error.exit_code == _USAGE_ERROR else ExitCode.ERROR


def _print_error(slug: str, what: str, where: str | None, mend: str | None, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": slug, "what": what, "where": where, "mend": mend}) + "\n")
        return
    label = slug if slug in ("bug", "usage") else "error"
    err.print(f"[bold red]{label}:[/] ", end="")
    err.print(f"{where}: {what}" if where else what, markup=False, soft_wrap=True)
    if mend:
        err.print(f"  mend: {mend}", markup=False, soft_wrap=True)


def _save_trace(error: Exception) -> Path:
    with NamedTemporaryFile("w", prefix=f"{PROGRAM}-", suffix=".trace", delete=False) as file:
        file.writelines(traceback.format_exception(error))
    return Path(file.name)
