"""`pulsar-pipeline events send`: a file of events into a topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pulsar_pipeline.cli.lookup import cluster_named, tenant_spec, topic_of
from pulsar_pipeline.cli.options import PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import JsonOption, err, out, print_json
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.errors import DataError, ExitCode, SpecError
from pulsar_pipeline.ingest.events import EventMaker
from pulsar_pipeline.ingest.pace import Pace
from pulsar_pipeline.ingest.rows import BadRow, Format, RowFile
from pulsar_pipeline.ingest.send import Report, TopicSender, send_all
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Tenant

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")]
TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="NAMESPACE/TOPIC as in the tenant's spec.")]
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV with a header or JSON lines, plain or .gz; - is standard input.")
]
RateOption = Annotated[
    float | None, typer.Option("--rate", min=0.001, metavar="N", help="Events a second; as fast as it goes without.")
]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Send to this cluster; the tenant's home without.")
]
FormatOption = Annotated[Format | None, typer.Option("--format", help="The file's format; by its suffix without.")]
FromLineOption = Annotated[int, typer.Option("--from-line", min=1, metavar="N", help="Leave out the lines before.")]
RejectsOption = Annotated[
    Path | None, typer.Option("--rejects", metavar="FILE", help="Write the rows left out here, as JSON lines.")
]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="Send with this token; the platform file's without.")
]
ProgressOption = Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")]


def register(app: typer.Typer) -> None:
    events = typer.Typer(name="events", help="Send events to a tenant's topics.", no_args_is_help=True)
    events.callback()(_group)
    events.command(
        epilog="Examples: `pulsar-pipeline events send acme sensors/readings readings.csv` · "
        "`zcat day.jsonl.gz | pulsar-pipeline events send acme sensors/readings - --format jsonl --rate 500`. "
        "Exit codes: 0 all sent, 3 rows left out, 1 stopped."
    )(send)
    app.add_typer(events)


def _group() -> None:
    """Send events to a tenant's topics."""


def send(
    tenant: TenantArgument,
    topic: TopicArgument,
    file: FileArgument,
    *,
    rate: RateOption = None,
    cluster: ClusterOption = None,
    format_: FormatOption = None,
    from_line: FromLineOption = 1,
    rejects: RejectsOption = None,
    token_file: TokenOption = None,
    progress: ProgressOption = True,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Send the rows of a file as events, in their order.

    Each row is checked by the topic's schema before it is sent. One that is no event is told with its line and left
    out; the others go on. When sending itself fails, the command stops and says from which line to go on.
    """
    spec = tenant_spec(tenants, tenant)
    declared = topic_of(spec, topic)
    where = _target(spec, topic, cluster)
    schema = load_schema(declared.schema_file)
    maker = EventMaker(schema, key=declared.key, event_time=declared.event_time)
    clock, report = SystemClock(), Report(resume_line=from_line)
    with ExitStack() as stack:
        rows = stack.enter_context(RowFile(file, format_))
        on_reject = stack.enter_context(_rejects_file(rejects))
        made = maker.events((row for row in rows.rows(maker.check_columns) if row.line >= from_line), rows.format)
        client = stack.enter_context(
            closing(open_client(cluster_named(load_platform(platform), where, platform), token_file=token_file))
        )
        name = str(spec.topic_name(topic))
        sender = stack.enter_context(TopicSender(client, name, declared.partitions, schema, cluster=where))
        on_progress = stack.enter_context(_bar(rows, shown=progress and err.is_terminal))
        start = clock.monotonic()
        try:
            send_all(
                made,
                sender,
                report,
                pace=Pace(rate, clock),
                clock=clock,
                live=rows.size is None,
                on_reject=on_reject,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            err.print(f"{report.sent} events are confirmed; go on with --from-line {report.resume_line}")
            raise
        finally:
            _tell_rejects(report)
    _tell(report, where, name, clock.monotonic() - start, as_json=as_json)
    raise typer.Exit(ExitCode.PARTIAL if report.left_out else ExitCode.OK)


def _target(tenant: Tenant, topic: str, cluster: str | None) -> str:
    name = cluster or tenant.home
    there = tenant.clusters_of(topic.partition("/")[0])
    if name not in there:
        raise SpecError(f"{topic} is not in cluster {name!r}", mend=f"it is in: {', '.join(there)}")
    return name


@contextmanager
def _rejects_file(path: Path | None) -> Iterator[Callable[[BadRow], None]]:
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write: {error.strerror}", where=str(path)) from error
    with file:
        yield lambda row: _write_reject(file, row)


def _write_reject(file: IO[str], row: BadRow) -> None:
    file.write(json.dumps({"line": row.line, "reason": row.reason, "row": row.raw}) + "\n")


@contextmanager
def _bar(rows: RowFile, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Progress on standard error: how much of the file is read, events, events a second."""
    if not shown:
        yield lambda _sent, _left_out: None
        return
    clock = SystemClock()
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task, start = bar.add_task("", total=rows.size), clock.monotonic()

        def update(sent: int, left_out: int) -> None:
            text = f"{sent} events, {sent / max(clock.monotonic() - start, 1e-3):.0f}/s"
            bar.update(
                task,
                completed=rows.position() if rows.size is not None else None,
                description=f"{text}, {left_out} left out" if left_out else text,
            )

        yield update


def _tell_rejects(report: Report) -> None:
    for row in report.rejects:
        err.print(f"line {row.line}: {row.reason}", markup=False, soft_wrap=True)
    more = report.left_out - len(report.rejects)
    if more > 0:
        err.print(f"… and {more} more (--rejects FILE keeps them all)")


def _tell(report: Report, cluster: str, topic: str, seconds: float, *, as_json: bool) -> None:
    rate = report.sent / seconds if seconds > 0 else 0.0
    if as_json:
        print_json(
            {
                "topic": topic,
                "cluster": cluster,
                "sent": report.sent,
                "left_out": report.left_out,
                "rejects": [{"line": row.line, "reason": row.reason} for row in report.rejects],
                "seconds": round(seconds, 3),
                "events_per_s": round(rate, 1),
                "positions": report.positions,
            }
        )
        return
    left_out = f", {report.left_out} rows left out" if report.left_out else ""
    out.print(
        f"{report.sent} events sent to {topic} in {cluster}{left_out}; {rate:.0f}/s", markup=False, soft_wrap=True
    )
    for partition, position in sorted(report.positions.items()):
        out.print(f"  partition {partition}: up to {position}", markup=False)
