"""How the command line prints: tables and messages for people, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pulsar_pipeline.errors import PipelineError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

_WIDE = 1000

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
"""Progress and messages go here, so that standard output stays data."""


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Rows as a JSON array, or as a table with the given columns."""
    rows = list(rows)
    if as_json:
        print_json(rows)
        return
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    console = out if out.is_terminal else Console(highlight=False, width=_WIDE)  # a pipe has no width to fit
    console.print(table)


def agree(question: str, *, yes: bool) -> None:
    """Ask on the terminal unless `yes`. Raises PipelineError without a clear yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise PipelineError("nobody is there to agree; nothing was changed", mend="say --yes")
    if not typer.confirm(question, err=True):
        raise PipelineError("not agreed; nothing was changed")
