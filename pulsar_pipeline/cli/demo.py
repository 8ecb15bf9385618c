"""`pulsar-pipeline demo`: the main job from nothing to predictions, on two real clusters."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pulsar_pipeline.cli.output import JsonOption, err, out, print_json, print_rows
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.demo import run as story
from pulsar_pipeline.demo.run import DEPLOYMENT, TENANT, Results, Tell
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.settings import Settings

_SHOWN_ENTITIES = 5

RowsOption = Annotated[int, typer.Option("--rows", min=100, max=10_000, help="Readings to send.")]
DownOption = Annotated[bool, typer.Option("--down", help="Stop everything the demo started; its data stay.")]


def register(app: typer.Typer) -> None:
    @app.command(
        epilog="Examples: `pulsar-pipeline demo` · `pulsar-pipeline demo --rows 2000` · `pulsar-pipeline demo --down`"
    )
    def demo(*, rows: RowsOption = 10_000, down: DownOption = False, as_json: JsonOption = False) -> None:
        """Two clusters, a tenant, a learning function, and its predictions over HTTP; all stays up afterwards."""
        settings = Settings()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        ) as bar:
            tell = _tell(bar)
            if down:
                for what in story.stop(settings, tell):
                    err.print(f"stopped: {what}")
                return
            results = story.run(settings, rows, SystemClock(), tell)
        if as_json:
            print_json(_document(results))
        else:
            _show(results)
        if not results.answers.equal:
            raise typer.Exit(ExitCode.ERROR)


def _tell(bar: Progress) -> Tell:
    task = bar.add_task("events", total=None, visible=False)
    return Tell(
        heading=lambda text: err.print(f"\n[bold]{text}[/]"),
        command=lambda text: err.print(f"[dim]$ {text}[/]", soft_wrap=True),
        progress=lambda done, total: bar.update(task, completed=done, total=total, visible=done < total),
    )


def _show(results: Results) -> None:
    by_cluster = results.answers.by_cluster
    clusters = list(by_cluster)
    entities = sorted(by_cluster[clusters[0]])
    rows = [_row(entity, results) for entity in entities[:_SHOWN_ENTITIES]]
    out.print()
    print_rows(rows, list(rows[0]), as_json=False, title=f"Latest predictions of {TENANT}/{DEPLOYMENT} over HTTP")
    verdict = "equal in" if results.answers.equal else "DIFFERENT between"
    out.print(f"{len(entities)} machines, predictions {verdict} {' and '.join(clusters)}.")
    out.print()
    print_rows(
        results.quality, list(results.quality[0]), as_json=False, title="Quality, progressive: predict, then learn"
    )
    out.print()
    print_rows(_latencies(results), ["from_to", "p50", "p95", "p99", "max"], as_json=False, title="Latency, ms")
    rate = results.sent.events / results.sent.seconds
    out.print(f"{results.sent.events} events sent at {rate:,.0f} a second.")
    out.print("\n[bold]Go on by hand[/]")
    for line in _next_steps(results, entities[0]):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _row(entity: str, results: Results) -> dict[str, Any]:
    answers = {cluster: found[entity] for cluster, found in results.answers.by_cluster.items()}
    first = next(iter(answers.values()))["prediction"]
    risks = {f"risk_in_{cluster}": f"{answer['prediction']['risk']:.4f}" for cluster, answer in answers.items()}
    return {
        "machine": entity,
        "reading": first["reading_id"],
        **risks,
        "alert": first["alert"],
        "learned": first["learned"],
    }


def _latencies(results: Results) -> list[dict[str, Any]]:
    measured = {"reading sent → prediction at a consumer at home": results.end_to_end_ms} | {
        f"prediction at home → in {cluster}": figures for cluster, figures in results.replication_ms.items()
    }
    return [
        {"from_to": name} | {label: f"{value:.1f}" for label, value in figures.items()}
        for name, figures in measured.items()
    ]


def _next_steps(results: Results, entity: str) -> list[str]:
    token, urls = results.token_file, [service.url for service in results.services.values()]
    return [
        f"pulsar-pipeline query {TENANT} {DEPLOYMENT} {entity} --url {urls[-1]} --token-file {token}",
        f'curl -H "Authorization: Bearer $(cat {token})" {urls[0]}/v1/tenants/{TENANT}/models/{DEPLOYMENT}'
        f"/predictions/{entity}",
        f"pulsar-pipeline functions status {TENANT}/{DEPLOYMENT}",
        "pulsar-pipeline plan",
        f"open {urls[0]}/docs",
        "make down",
    ]


def _document(results: Results) -> dict[str, Any]:
    return {
        "equal": results.answers.equal,
        "predictions": results.answers.by_cluster,
        "quality": results.quality,
        "events": results.sent.events,
        "seconds": results.sent.seconds,
        "end_to_end_ms": results.end_to_end_ms,
        "replication_ms": results.replication_ms,
        "urls": {cluster: service.url for cluster, service in results.services.items()},
    }
