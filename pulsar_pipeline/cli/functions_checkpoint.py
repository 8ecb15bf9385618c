"""`functions checkpoint`: an exported state for packages that run under Pulsar's own Python instance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.output import JsonOption, out, print_json
from pulsar_pipeline.cluster.state_keys import load_state_key
from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.online.checkpoint import write_checkpoint
from pulsar_pipeline.state.arriving import open_archive
from pulsar_pipeline.state.plain import states_of

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What `functions state export` wrote.")]
KeyFileOption = Annotated[
    Path, typer.Option("--key-file", metavar="FILE", help="The state key of the tenant that it was exported from.")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the checkpoint.")]


def register(functions: typer.Typer) -> None:
    functions.command(
        epilog="Example: `pulsar-pipeline functions checkpoint risk.state "
        "--key-file .local/secrets/functions/acme.key --out functions/risk/checkpoint.jsonl`"
    )(checkpoint)


def checkpoint(
    file: FileArgument, *, key_file: KeyFileOption, out_file: OutOption, as_json: JsonOption = False
) -> None:
    """Write an exported state so that Pulsar's own Python instance can start from it.

    As `checkpoint.jsonl` beside `function.py` it becomes part of the package; elsewhere the deployment's config names
    the file and its SHA-256. Who has the file can read the state, and it is no longer signed.
    """
    states = states_of(open_archive(file, load_state_key(key_file)))
    try:
        digest = write_checkpoint(out_file, states)
    except OSError as error:
        raise StateLogError(f"cannot write the checkpoint: {error.strerror}", where=str(out_file)) from error
    entries = sum(len(state) for state in states.values())
    if as_json:
        print_json({"file": str(out_file), "sha256": digest, "partitions": len(states), "entries": entries})
        return
    out.print(f"{out_file}: {entries} entries of {len(states)} partitions\nsha256:{digest}", soft_wrap=True)
