"""`pulsar-pipeline query`: predictions over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pulsar_pipeline.cli.output import JsonOption, err, print_json, print_rows
from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.errors import ExitCode, TokenError
from pulsar_pipeline.query.client import QueryClient
from pulsar_pipeline.settings import Settings

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a view of the tenant.")]
EntitiesArgument = Annotated[list[str], typer.Argument(metavar="ENTITY...", help="Keys of the predictions.")]
UrlOption = Annotated[str, typer.Option("--url", help="The query API.")]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="Bearer token; $PULSAR_PIPELINE_QUERY_TOKEN without.")
]


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: `pulsar-pipeline query acme failure-risk machine-007 --token-file acme.token` · "
        "`… query acme failure-risk machine-001 machine-002 --url http://localhost:8001 --json`. "
        "Exit codes: 0 all found, 3 some entities have no prediction, 1 none has, or an error."
    )(query)


def query(
    tenant: TenantArgument,
    model: ModelArgument,
    entities: EntitiesArgument,
    *,
    url: UrlOption = "http://127.0.0.1:8000",
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """The latest predictions of one or more entities, with how fresh they are."""
    with QueryClient(url, _token(token_file)) as client:
        if len(entities) == 1:
            answer = client.prediction(tenant, model, entities[0])
            found, missing = [answer], []
        else:
            answer = client.predictions(tenant, model, entities)
            found, missing = answer["found"], answer["missing"]
    if as_json:
        print_json(answer)
    else:
        _print(found)
        for entity in missing:
            err.print(f"no prediction of {entity}", markup=False, soft_wrap=True)
    if missing:
        raise typer.Exit(ExitCode.PARTIAL if found else ExitCode.ERROR)


def _token(file: Path | None) -> str:
    if file is not None:
        return read_token(file)
    token = Settings().query_token
    if not token:
        raise TokenError("no token to query with", mend="say --token-file FILE, or set PULSAR_PIPELINE_QUERY_TOKEN")
    return token


def _print(found: list[dict[str, Any]]) -> None:
    rows = [
        {
            "entity": each["entity"],
            **{name: value for name, value in each["prediction"].items() if value != each["entity"]},
            "event_time": each["event_time"],
            "lag_ms": each["lag_ms"],
        }
        for each in found
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row if column != "lag_ms"))
    if rows:
        print_rows(rows, [*columns, "lag_ms"], as_json=False)
