"""`pulsar-pipeline serve`: answer predictions over HTTP from one cluster's views."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.options import PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import err, out
from pulsar_pipeline.query.server import serve
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.load import load_platform, load_tenants
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.models import served_tenants

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Folder of the views.", show_default="views, beside the local clusters")
]
AdminRoleOption = Annotated[
    list[str] | None,
    typer.Option("--admin-role", help="Role that reads every tenant's views (repeatable). By default none does."),
]
ReadyFileOption = Annotated[
    Path | None, typer.Option("--ready-file", help="Write the URL to this file once the workers answer.")
]


def register(app: typer.Typer) -> None:
    @app.command(
        "serve",
        epilog="Examples: `pulsar-pipeline serve --cluster west --port 8000` · "
        "`pulsar-pipeline serve --cluster east --port 8001 --workers 4 --admin-role platform-sre`",
    )
    def serve_(
        *,
        cluster: Annotated[str, typer.Option("--cluster", help="Cluster of the platform file to serve from.")],
        port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
        host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
        workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="HTTP worker processes.")] = 1,
        folder: FolderOption = None,
        admin_role: AdminRoleOption = None,
        ready_file: ReadyFileOption = None,
        platform: PlatformOption,
        tenants: TenantsOption,
    ) -> None:
        """Answer predictions over HTTP from one cluster's views.

        Runs until Ctrl-C or SIGTERM: one process reads the output topics into views, HTTP workers answer from them.
        What is killed is started again; what starts goes on where it was. Tenant specs are read at the start.
        """
        settings = Settings()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s serve: %(message)s")
        logging.getLogger("httpx").setLevel(logging.WARNING)
        views_folder = folder or settings.local / "views"
        config = _config(platform, tenants, cluster, views_folder, admin_role or [], settings.log_level)
        if not config.views:
            err.print(f"no tenant has a view in cluster {cluster}: there is nothing to answer", markup=False)
        serve(config, host=host, port=port, workers=workers, answering=lambda url: _answering(url, config, ready_file))


def _answering(url: str, config: ServeConfig, ready_file: Path | None) -> None:
    if ready_file is not None:
        aside = ready_file.with_name(ready_file.name + ".part")
        aside.write_text(url + "\n")
        aside.replace(ready_file)
    out.print(
        f"{len(config.views)} views of cluster {config.cluster_name} at {url} (try {url}/docs)",
        markup=False,
        soft_wrap=True,
    )


def _config(
    platform: Path, tenants: Path, cluster: str, folder: Path, admin_roles: list[str], log_level: str
) -> ServeConfig:
    loaded = load_platform(platform)
    if cluster not in loaded.clusters:
        mend = f"say one of: {', '.join(sorted(loaded.clusters))}"
        raise loaded.source.error(f"there is no cluster {cluster!r}", "clusters", mend=mend)
    return ServeConfig(
        cluster_name=cluster,
        cluster=loaded.clusters[cluster],
        folder=folder.absolute(),
        tenants=served_tenants(load_tenants(tenants).values(), cluster),
        admin_roles=frozenset(admin_roles),
        log_level=log_level,
    )
