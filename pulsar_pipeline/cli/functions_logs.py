"""`functions logs`: what the instances log, from the deployment's log topic."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from pulsar_pipeline.cli.lookup import deployment_of, home_of, tenant_spec
from pulsar_pipeline.cli.options import DeploymentArgument, PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import out
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.errors import RolloutError
from pulsar_pipeline.names import logs_topic
from pulsar_pipeline.rollout.logs import LogLine, LogTopicReader
from pulsar_pipeline.spec.units import Seconds


def _seconds(text: str | int) -> int:
    try:
        return TypeAdapter(Seconds).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r} is not a time; write for example 30m") from error


LinesOption = Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")]
SinceOption = Annotated[
    int,
    typer.Option("--since", parser=_seconds, metavar="TIME", show_default="1h", help="How far back: 30m, 2d."),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged, until Ctrl-C.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def register(functions: typer.Typer) -> None:
    @functions.command(
        epilog="Examples: `pulsar-pipeline functions logs acme/failure-risk -n 20` · `… logs acme/failure-risk -f`"
    )
    def logs(
        deployment: DeploymentArgument,
        *,
        lines: LinesOption = 100,
        since: SinceOption = 3600,
        follow: FollowOption = False,
        platform: PlatformOption,
        tenants: TenantsOption,
        as_json: JsonLinesOption = False,
    ) -> None:
        """What the instances of a deployment log. Not there with `logs: false` in the tenant's spec."""
        tenant = tenant_spec(tenants, deployment.tenant)
        declared = deployment_of(tenant, deployment.name)
        if not declared.logs:
            raise RolloutError(
                "its logs go to files on the functions worker's machine only",
                where=str(deployment),
                mend="remove `logs: false` from it in the tenant's spec, apply, and deploy again",
            )
        topic = str(logs_topic(tenant.tenant, declared.namespace, deployment.name))
        with (
            home_of(tenant, platform) as home,
            closing(open_client(home.cluster)) as client,
            LogTopicReader(client, topic, 1, cluster=tenant.home) as reader,
        ):
            _print(reader.tail(lines, SystemClock().now_ms() - since * 1000), as_json=as_json)
            if follow:
                _print(reader.follow(lambda: False), as_json=as_json)


def _print(lines: Iterable[LogLine], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            sys.stdout.write(json.dumps(asdict(line)) + "\n")
            sys.stdout.flush()
            continue
        time = datetime.fromtimestamp(line.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        text = f"{time.replace('+00:00', 'Z')} {line.instance or '-'} {line.level or 'info'}: {line.message}"
        out.print(f"{text}\n{line.exception}" if line.exception else text, markup=False, soft_wrap=True)
